"""`python ablations/run.py` as a process: fake runs on a real, embedded Ray."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from gckd.cli.ablate import ablate
from gckd.cli.guard import run_command
from gckd.runs.records import Records
from gckd.storage.label import OUTPUT_NAMES
from gckd.storage.path import StoragePath as Store
from tests.runs import fakes
from tests.toy import make_toy

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["pretrain.batch=4", "adapt.batch=4", "graph.memory.capacity=8", "graph.propagate.k=3"]
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}  # as /proc writes them
LISTEN = "0A"
PATIENCE = 200.0  # seconds; a few on an idle machine


class AblationFolder:
    """Working folder of the command, with two toy datasets."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out, self.log = folder, folder / "out", folder / "log"
        self.started: list[subprocess.Popen[str]] = []
        make_toy(folder / "a")
        make_toy(folder / "b", shade=200)

    def start(self, *arguments: str, ablated_seconds: float = 0.0, out: str = "out") -> subprocess.Popen[str]:
        fixed = [
            "--source",
            "a",
            "--target",
            "b",
            "--cache",
            "cache",
            "--out",
            out,
            "--workers",
            "2",
            "--threads",
            "1",
        ]
        sets = [word for text in SMALL for word in ("--set", text)]
        script = str(Path(__file__).with_name("with_fakes.py"))
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
        environment |= {
            "PYTHONPATH": str(ROOT),
            "FAKE_LOG": str(self.log),
            "FAKE_ABLATED_SECONDS": str(ablated_seconds),
        }
        environment["RAY_worker_niceness"] = "0"  # a busy test machine would starve the fake runs, at Ray's 15
        process = subprocess.Popen(
            [sys.executable, script, *fixed, *sets, *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def stop_all(self) -> None:
        """Kills what a failed test left running. Ray's processes end with the one that started them."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def run(self, *arguments: str, out: str = "out") -> tuple[int, str, str]:
        process = self.start(*arguments, out=out)
        out_text, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out_text, err

    def table(self) -> pd.DataFrame:
        return pd.read_parquet(self.out / "runs.parquet")

    def calls(self) -> list[list[str]]:
        return [line.split() for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def wait_for(self, path: Path) -> None:
        end = time.monotonic() + PATIENCE
        while not path.exists():
            assert time.monotonic() < end, f"{path} never came"
            time.sleep(0.1)


@pytest.fixture
def ablation(tmp_path: Path) -> Iterator[AblationFolder]:
    folder = AblationFolder(tmp_path)
    yield folder
    folder.stop_all()


def interrupt(process: subprocess.Popen[str], number: signal.Signals) -> str:
    """Sends the signal to the whole process group, as a terminal does; returns standard error once all have ended."""
    processes = [process.pid, *descendants(process.pid)]
    assert len(processes) > 4
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    end = time.monotonic() + 10
    while any(alive(pid) for pid in processes) and time.monotonic() < end:
        time.sleep(0.1)
    assert not [pid for pid in processes if alive(pid)]
    return err


@pytest.mark.slow
def test_an_interrupted_table_leaves_no_process_and_can_be_resumed(ablation: AblationFolder) -> None:
    process = ablation.start("--drop", "gmp", "--seeds", "2", ablated_seconds=1000)
    ablation.wait_for(ablation.out / "runs.parquet")
    addresses = [listening(pid) for pid in (process.pid, *descendants(process.pid))]
    assert any(addresses)
    assert set().union(*addresses) <= LOOPBACK
    err = interrupt(process, signal.SIGINT)
    assert f"to continue, repeat the command with --out {ablation.out} --resume" in err
    assert "Traceback" not in err
    recorded = {(r.row, r.seed) for r in ablation.table().itertuples()}
    assert recorded
    assert recorded <= {(row, seed) for row in ("full", "source-model") for seed in (0, 1)}

    status, _, err = ablation.run("--drop", "gmp", "--seeds", "2")
    assert (status, "add --resume" in err) == (2, True)

    before = len(ablation.calls())
    status, out, err = ablation.run("--drop", "gmp", "--drop", "cmkd,gmp", "--seeds", "2", "--resume")
    assert status == 0, err
    table = ablation.table()
    assert {(r.row, r.seed, r.rank_1) for r in table.itertuples()} == {
        (row, seed, base + seed / 2)
        for row, base in (("full", 70.0), ("source-model", 60.0), ("-gmp", 68.0), ("-gmp-cmkd", 63.0))
        for seed in (0, 1)
    }
    edits = {r.row: json.loads(r.edits) for r in table.itertuples()}
    assert (edits["full"], edits["-gmp"]) == ({}, {"graph.propagate": {"kind": "none"}})
    assert "+2.0 ± 0.0" in out
    assert {"table.md", "table.csv", "table.tex", "curves.png", "config.yaml", "report.html", "launches.json"} <= {
        path.name for path in ablation.out.iterdir()
    }
    done = ablation.calls()[before:]
    missing = set(zip(table["row"], table["seed"], strict=True)) - recorded
    folders = {(f"without{row}" if row.startswith("-") else row, seed) for row, seed in missing}
    assert {(c[3], int(c[2])) for c in done if c[:2] == ["run", "start"]} == folders
    check_schedule(done)


def check_schedule(calls: list[list[str]]) -> None:
    """Each seed is prepared once, before any of its runs starts."""
    events = [(c[0], c[1], int(c[2])) for c in calls]
    seeds = [seed for function, event, seed in events if (function, event) == ("prepare", "start")]
    assert sorted(seeds) == [0, 1]
    for seed in seeds:
        ready = events.index(("prepare", "end", seed))
        assert all(i > ready for i, event in enumerate(events) if event == ("run", "start", seed))


@pytest.mark.slow
def test_a_spec_and_a_sweep_are_one_table(ablation: AblationFolder) -> None:
    status, _, err = ablation.run("--spec", "table4", "--sweep", "distill.teacher.m=0.5,0.9", "--seeds", "1")
    assert status == 0, err
    sweep = [f"distill.teacher.m={m}" for m in (0.5, 0.9)]
    assert set(ablation.table()["row"]) == {"full", "source-model", "baseline", "+cmkd", "+gmp", *sweep}
    assert set(ablation.table()["seed"]) == {0}
    assert {path.parts[-3] for path in ablation.out.glob("*/seed-0/queries.parquet")} == set(ablation.table()["row"])
    assert {path.name for path in ablation.out.iterdir() if path.is_file()} - {".lock"} <= set(OUTPUT_NAMES)
    question = "What do knowledge distillation (CMKD) and message passing (GMP) add"
    assert question in (ablation.out / "table.md").read_text()

    records = Records(ablation.out)
    records.add({**records.runs[0], "git_revision": "1a2b"})
    again = ("--spec", "table4", "--seeds", "2", "--resume")
    status, _, err = ablation.run(*again)
    assert status == 2
    assert f"error: --resume: {ablation.out} has runs of code 1a2b, the current code is " in err
    assert set(ablation.table()["seed"]) == {0}
    status, out, err = ablation.run(*again, "--mixed")
    assert status == 0, err
    assert "warning: the runs differ in code: " in out
    assert "1a2b (full)" in out


@pytest.mark.slow
def test_a_spec_with_subtables_makes_a_table_for_each_and_one_summary(ablation: AblationFolder) -> None:
    spec = ablation.folder / "twice.yaml"
    spec.write_text("question: Twice?\ndrop: [gmp]\neach: {as-is: {}, slower: {distill.teacher.m: 0.5}}\n")
    status, out, err = ablation.run("--spec", str(spec), "--seeds", "1")
    assert status == 0, err
    for subtable in ("as-is", "slower"):
        table = pd.read_parquet(ablation.out / subtable / "runs.parquet")
        expected = {("full", 70.0), ("source-model", 60.0), ("-gmp", 68.0)}
        assert {*zip(table["row"], table["rank_1"], strict=True)} == expected
    assert "Rank-1 of full against -gmp: no significant difference in as-is, slower." in out
    assert (ablation.out / "gains.md").read_text().startswith("Twice?")
    before = len(ablation.calls())
    status, _, err = ablation.run("--spec", str(spec), "--seeds", "1", "--resume")
    assert (status, len(ablation.calls())) == (0, before), err


@pytest.mark.slow
def test_the_ceiling_reads_target_labels_in_its_row_alone_and_every_format_says_so(ablation: AblationFolder) -> None:
    """gap closed: full (70 - 60) / (80 - 60), -gmp (68 - 60) / (80 - 60)."""
    status, out, err = ablation.run("--drop", "gmp", "--seeds", "2", "--ceiling")
    assert status == 0, err
    edits = {r.row: json.loads(r.edits) for r in ablation.table().itertuples()}
    assert set(edits) == {"full", "source-model", "-gmp", "supervised"}
    assert [row for row, changes in edits.items() if "adapt.labels" in changes] == ["supervised"]
    assert "supervised (target labels)" in out and "50 " in out and "40 " in out
    texts = {name: (ablation.out / name).read_text() for name in ("table.md", "table.tex", "table_full.tex")}
    for name, text in texts.items():
        assert "supervised (target labels)" in text.lower() and "Target labels: supervised reads them." in text
        assert name == "table.tex" or ("50 " in text and "40 " in text)  # the compact table lacks the column
    html = (ablation.out / "report.html").read_text()
    assert "supervised (target labels)" in html and "Target labels: supervised reads them." in html
    csv = pd.read_csv(ablation.out / "table.csv", index_col="row")
    assert list(csv["target_labels"].items()) == [("full", 0), ("source-model", 0), ("-gmp", 0), ("supervised", 1)]
    assert csv["gap_closed"].dropna().to_dict() == {"full": 50.0, "-gmp": 40.0}


@pytest.mark.slow
def test_tuned_rows_have_their_own_rate_and_follow_a_choice_that_changes_on_resume(
    ablation: AblationFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fake scores are best at 0.012 with the graph and at 0.0012 without; candidates are 0.0012, 0.004, 0.012."""
    options = ("--drop", "gmp", "--ceiling", "--tuned-rows", "--set", "adapt.lr=0.004")
    monkeypatch.setenv("FAKE_DIVERGING_RATE", "0.012")
    status, _, err = ablation.run(*options, "--seeds", "1")
    assert status == 1, err
    rates = {r.row: json.loads(r.edits).get("adapt.lr", 0.004) for r in ablation.table().itertuples()}
    assert rates == {"full": 0.004, "source-model": 0.004, "-gmp": 0.0012, "supervised": 0.004}
    caption = (ablation.out / "table.md").read_text()
    assert "Tuned adapt.lr, from the candidates 0.0012, 0.004, 0.012: full 0.004, -gmp 0.0012." in caption
    assert "Rows without tuning: source-model, supervised." in caption
    assert "Failed tuning runs: full at 0.012, -gmp at 0.012." in caption
    assert "full,adapt.lr=0.012 seed 1000: failed" in err and "DivergenceError: the loss is not finite at step 3" in err
    tuning = pd.read_parquet(ablation.out / "tuning.parquet")
    assert sorted(zip(tuning["row"], tuning["seed"], tuning["status"], strict=True)) == [
        (f"{row},adapt.lr={rate}", 1000, "failed" if rate == "0.012" else "done")
        for row in ("-gmp", "full")
        for rate in ("0.0012", "0.004", "0.012")
    ]
    assert {path.name for path in (ablation.out / "tuning").iterdir()} == {
        f"{folder},adapt.lr={rate}" for folder in ("without-gmp", "full") for rate in ("0.0012", "0.004", "0.012")
    }
    assert {path.name for path in ablation.out.iterdir() if path.is_file()} - {".lock"} <= set(OUTPUT_NAMES)

    monkeypatch.delenv("FAKE_DIVERGING_RATE")
    before = len(ablation.calls())
    status, _, err = ablation.run(*options, "--seeds", "2", "--resume")
    assert status == 0, err
    calls = [(c[0], c[2], c[3]) for c in ablation.calls()[before:] if c[:2] in (["score", "start"], ["run", "start"])]
    assert sorted(calls) == [
        ("run", "0", "full"),  # again, with the rate that is chosen now
        *(("run", "1", row) for row in ("full", "source-model", "supervised", "without-gmp")),
        *(("score", "1000", f"{row},adapt.lr=0.012") for row in ("full", "without-gmp")),
    ]
    assert "row full: adapt.lr is now 0.012; runs repeated: 1" in err
    rates_of_full = {json.loads(r.edits).get("adapt.lr") for r in ablation.table().itertuples() if r.row == "full"}
    assert rates_of_full == {0.012}
    caption = (ablation.out / "table.md").read_text()
    assert "full 0.012, -gmp 0.0012." in caption and "Failed tuning runs" not in caption

    status, _, err = ablation.run("--drop", "gmp", "--ceiling", "--set", "adapt.lr=0.004", "--resume")
    assert (status, "has tuned rows; add --tuned-rows, or choose another --out" in err) == (2, True)


@pytest.mark.slow
def test_a_table_in_an_object_store_is_resumed_on_another_machine(
    ablation: AblationFolder, bucket: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, store = f"{bucket}/table", Store.at(bucket) / "table"
    status, _, err = ablation.run("--drop", "gmp", "--seeds", "1", out=out)
    assert (status, f"written to {out}" in err) == (0, True), err
    (folder,) = (ablation.folder / "runs").iterdir()
    first = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()} - {".lock"}
    assert {"report.html", "full/seed-0/queries.parquet", "launches.json"} <= first
    assert not [name for name in first if name.endswith("checkpoint.pt")]
    assert all((store / name).exists() for name in (*first, "full/seed-0/checkpoint.pt"))
    shutil.rmtree(ablation.folder / "runs")  # another machine
    monkeypatch.chdir(ablation.folder)
    sets = [word for text in SMALL for word in ("--set", text)]
    assert status_of(["--source", "a", "--target", "b", "--cache", "cache", "--out", out, *sets]) == 2
    assert f"error: --out: {out} is not empty; add --resume to continue it" in capsys.readouterr().err
    before = len(ablation.calls())
    status, printed, err = ablation.run("--drop", "gmp", "--seeds", "2", "--resume", out=out)
    assert status == 0, err
    assert {call[2] for call in ablation.calls()[before:]} == {"1"}
    assert "+2.0 ± 0.0" in printed
    assert first <= {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    with (store / "runs.parquet").reading() as file:
        assert len(pd.read_parquet(file)) == 6


@pytest.mark.slow
def test_failed_runs_do_not_stop_the_others(ablation: AblationFolder) -> None:
    first = fakes.FAIL_SEED - 1
    assert (first + 2, first + 3) == (fakes.PREPARE_FAIL_SEED, fakes.DEATH_SEED)
    status, out, err = ablation.run("--seeds", "4", "--set", f"seed={first}")
    assert status == 1
    assert "1 (3 of 4 failed)" in out
    errors = {r.seed: r.error for r in ablation.table().itertuples()}
    assert pd.isna(errors[first])
    assert errors[first + 1] == "ValueError: the loss is not finite at step 3"
    assert errors[first + 2] == "RuntimeError: no source model"
    assert errors[first + 3].startswith("WorkerCrashedError: ")
    assert "full seed 101: failed ValueError: the loss is not finite at step 3" in err
    traces = [(ablation.out / "full" / f"seed-{first + i}" / "error.txt").read_text() for i in (1, 2, 3)]
    assert "ValueError: the loss is not finite" in traces[0]
    assert all(trace.startswith("Traceback") for trace in traces[:2])


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def descendants(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            children = (task / "children").read_text().split()
        except OSError:  # the thread has ended
            continue
        for child in map(int, children):
            yield child
            yield from descendants(child)


def listening(pid: int) -> set[str]:
    """Addresses on which a process listens, as /proc writes them; empty if it has ended."""
    sockets, addresses = set(), set()
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # closed since
                sockets.add(str(link.readlink()))
        for protocol in ("tcp", "tcp6"):
            for line in Path(f"/proc/{pid}/net/{protocol}").read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == LISTEN and f"socket:[{words[9]}]" in sockets:
                    addresses.add(words[1].partition(":")[0])
    return addresses


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--drop", "gnn"], "error: --drop: unknown component 'gnn'; choose from gmp, cmkd"),
        (["--add", "ema"], "error: --add: unknown component 'ema'; choose from gmp, cmkd"),
        (
            ["--sweep", "graph.propagate.k"],
            "error: --sweep: 'graph.propagate.k' is not PATH=VALUE,VALUE, for example graph.propagate.k=2,5,20",
        ),
        (["--spec", "table5"], "error: --spec: unknown spec 'table5'; choose from "),
        (["--spec", "table4", "--add", "gmp"], "error: row baseline: given twice"),
        (["--drop", "gmp", "--drop", "gmp"], "error: row -gmp: given twice"),
        (
            ["--sweep", "adapt.steps=7"],
            "error: row adapt.steps=7: its budget of adaptation is 336 pairs, that of full is 11,520 pairs; --mixed",
        ),
        (["--set", "adapt.stepz=3"], "error: adapt.stepz: unknown field 'stepz'"),
        (
            ["--set", "distill.matching.delta=2"],
            "error: distill.matching.delta: 2.0 is outside its limit: >= -1 and <= 1",
        ),
        (["--set", "distill.teacher.m=1"], "error: distill.teacher.m: 1.0 is outside its limit: >= 0 and < 1"),
        (["--set", "adapt.steps=-1"], "error: adapt.steps: -1 is outside its limit: >= 0"),
        (["--set", "data.source=x"], "error: --set data.source: conflicts with --source"),
        (["--ceiling", "--set", "adapt.steps=0"], "error: --ceiling: adapt.steps is 0"),
        (["--tuned-rows", "--set", "adapt.steps=0"], "error: --tuned-rows: adapt.steps is 0, so no row has a learning"),
        (
            ["--tuned-rows", "--sweep", "adapt.lr=0.001"],
            "error: --tuned-rows: row adapt.lr=0.001 differs from row full only in adapt.lr",
        ),
        (["--preset", "huge"], "error: --preset: unknown preset 'huge'; choose from tiny, base"),
        (["--config", "none.yaml"], "error: none.yaml: cannot be read (No such file or directory)"),
        (["--seeds", "0"], "error: --seeds: 0 is outside its limit: >= 1; see "),
        (["--workers-per-run", "0"], "error: --workers-per-run: 0 is outside its limit: >= 1; see "),
        (["--workers-per-run", "two"], "error: --workers-per-run: 'two' is not a whole number; see "),
        (
            [*(word for text in SMALL for word in ("--set", text)), "--workers-per-run", "5"],
            "error: --workers-per-run: 5 is above its limit: pretrain.batch = 4, as workers share each batch",
        ),
        (["--gpus-per-worker", "-1"], "error: --gpus-per-worker: -1 is outside its limit: >= 0; see "),
        (["--gpus-per-worker", "nan"], "error: --gpus-per-worker: nan is outside its limit: >= 0; see "),
        *(
            (
                ["--gpus-per-worker", share],
                f"error: --gpus-per-worker: {share} is outside its limit: a whole number, or a fraction from 0.0001",
            )
            for share in ("1.5", "inf", "1e-05")
        ),
    ],
)
def test_bad_input_is_refused_before_anything_starts(
    ablation: AblationFolder,
    arguments: list[str],
    expected: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ablation.folder)
    assert status_of(["--source", "a", "--target", "b", "--cache", "cache", "--out", "out", *arguments]) == 2
    assert expected in capsys.readouterr().err
    assert not ablation.out.exists()


def status_of(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as caught:
        run_command(ablate, arguments)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_the_script_runs_in_any_folder_and_lists_every_problem(ablation: AblationFolder) -> None:
    process = subprocess.run(
        [sys.executable, ROOT / "ablations" / "run.py", "--source", "a", "--target", "b", "--cache", "cache"],
        cwd=ablation.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 2
    assert "error: pretrain.batch: 64 is above its limit: 12 source train images" in process.stderr.splitlines()
    assert "error: adapt.batch: 48 is above its limit: 12 target train images" in process.stderr.splitlines()
    assert not (ablation.folder / "runs").exists()


def test_a_source_without_a_target_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["--source", "a", "--cache", str(tmp_path)]) == 2
    expected = "error: --target: no dataset is given; give both --source and --target, or neither\n"
    assert capsys.readouterr().err == expected


@pytest.mark.slow
def test_a_dataset_that_disappears_ends_the_table_and_can_be_restored(
    ablation: AblationFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every other run would fail in the same way. A run that fails for its own reason does not end a table."""
    monkeypatch.setenv("FAKE_SECONDS", "2")
    command = ("--drop", "gmp", "--seeds", "2", "--set", f"seed={fakes.FAIL_SEED - 1}")
    process = ablation.start(*command)
    ablation.wait_for(ablation.log)
    (ablation.folder / "b").rename(ablation.folder / "away")
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2, err
    (problem,) = [line for line in err.splitlines() if line.startswith("error:")]
    assert problem.startswith("error: data.target: lost after the start: ")
    assert str(ablation.folder / "b") in problem
    assert f"to continue, repeat the command with --out {ablation.out} --resume" in err
    assert not [call for call in ablation.calls() if "-gmp" in call]
    assert (ablation.out / "report.html").exists()

    (ablation.folder / "away").rename(ablation.folder / "b")
    monkeypatch.delenv("FAKE_SECONDS")
    status, _, err = ablation.run(*command, "--resume")
    assert status == 1, err
    states = {(r.row, r.seed): r.status for r in ablation.table().itertuples()}
    assert len(states) == 6
    assert {seed for (_, seed), state in states.items() if state == "failed"} == {fakes.FAIL_SEED}
