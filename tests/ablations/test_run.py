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

from gckd.cli.ablate import table
from gckd.cli.guard import run_command
from gckd.runs.records import Records
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


class StoragePath:
    """A folder with two toy datasets, where the command is run."""

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
        """Whatever a failed test left running; Ray's processes end with the one that started them."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def run(self, *arguments: str, out: str = "out") -> tuple[int, str, str]:
        process = self.start(*arguments, out=out)
        said, err = process.communicate(timeout=PATIENCE)
        return process.returncode, said, err

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
def place(tmp_path: Path) -> Iterator[StoragePath]:
    made = StoragePath(tmp_path)
    yield made
    made.stop_all()


def interrupt(process: subprocess.Popen[str], number: signal.Signals) -> str:
    """Sends the signal as a terminal does, to the whole group; standard error, once every process is gone."""
    family = [process.pid, *descendants(process.pid)]
    assert len(family) > 4
    assert any(listening(pid) for pid in family)
    assert {host for pid in family for host in listening(pid)} <= LOOPBACK
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    end = time.monotonic() + 10
    while any(alive(pid) for pid in family) and time.monotonic() < end:
        time.sleep(0.1)
    assert not [pid for pid in family if alive(pid)]
    return err


def test_an_interrupted_table_leaves_no_process_and_goes_on_by_resume(place: StoragePath) -> None:
    process = place.start("--drop", "gmp", "--seeds", "2", ablated_seconds=1000)
    place.wait_for(place.out / "runs.parquet")
    err = interrupt(process, signal.SIGINT)
    assert f"--out {place.out} --resume goes on" in err
    assert "Traceback" not in err
    kept = {(r.row, r.seed) for r in place.table().itertuples()}
    assert kept
    assert kept <= {("full", 0), ("full", 1)}

    status, _, err = place.run("--drop", "gmp", "--seeds", "2")
    assert (status, "add --resume" in err) == (2, True)

    before = len(place.calls())
    status, out, err = place.run("--drop", "gmp", "--drop", "cmkd,gmp", "--seeds", "2", "--resume")
    assert status == 0, err
    table = place.table()
    assert {(r.row, r.seed, r.rank_1) for r in table.itertuples()} == {
        (row, seed, base + seed / 2)
        for row, base in (("full", 70.0), ("-gmp", 68.0), ("-gmp-cmkd", 63.0))
        for seed in (0, 1)
    }
    edits = {r.row: json.loads(r.edits) for r in table.itertuples()}
    assert (edits["full"], edits["-gmp"]) == ({}, {"graph.propagate": {"kind": "none"}})
    assert "+2.0 ± 0.0" in out
    assert {"table.md", "table.csv", "table.tex", "curves.png", "config.yaml", "report.html", "launches.json"} <= {
        path.name for path in place.out.iterdir()
    }
    done = place.calls()[before:]
    assert {(c[3], int(c[2])) for c in done if c[:2] == ["run", "start"]} == set(
        zip(table["row"], table["seed"], strict=True)
    ) - kept
    check_schedule(done)


def check_schedule(calls: list[list[str]]) -> None:
    """Each seed is prepared once, and none of its runs starts before."""
    events = [(c[0], c[1], int(c[2])) for c in calls]
    seeds = [seed for what, when, seed in events if (what, when) == ("prepare", "start")]
    assert sorted(seeds) == [0, 1]
    for seed in seeds:
        ready = events.index(("prepare", "end", seed))
        assert all(i > ready for i, event in enumerate(events) if event == ("run", "start", seed))


def test_a_spec_and_a_sweep_are_one_table(place: StoragePath) -> None:
    status, out, err = place.run("--spec", "table4", "--sweep", "distill.teacher.m=0.5,0.9", "--seeds", "1")
    assert status == 0, err
    sweep = [f"distill.teacher.m={m}" for m in (0.5, 0.9)]
    assert set(place.table()["row"]) == {"full", "source-model", "baseline", "+cmkd", "+gmp", *sweep}
    assert set(place.table()["seed"]) == {0}
    assert {path.parts[-3] for path in place.out.glob("*/seed-0/queries.parquet")} == set(place.table()["row"])
    assert "What do knowledge distillation (CMKD) and message passing (GMP) add" in out

    records = Records(place.out)
    records.add({**records.runs[0], "git_revision": "1a2b"})
    again = ("--spec", "table4", "--seeds", "2", "--resume")
    status, _, err = place.run(*again)
    assert status == 2
    assert f"error: --resume: {place.out} has runs of code 1a2b, and this is " in err
    assert set(place.table()["seed"]) == {0}
    status, out, err = place.run(*again, "--mixed")
    assert status == 0, err
    assert "NOT ALIKE in code: " in out
    assert "1a2b (full)" in out


def test_a_question_of_several_blocks_is_several_tables_and_one_summary(place: StoragePath) -> None:
    spec = place.folder / "twice.yaml"
    spec.write_text("question: Twice?\ndrop: [gmp]\neach: {as-is: {}, slower: {distill.teacher.m: 0.5}}\n")
    status, out, err = place.run("--spec", str(spec), "--seeds", "1")
    assert status == 0, err
    for block in ("as-is", "slower"):
        table = pd.read_parquet(place.out / block / "runs.parquet")
        assert {*zip(table["row"], table["rank_1"], strict=True)} == {("full", 70.0), ("-gmp", 68.0)}
    assert "Rank-1 of full against -gmp: not told apart in as-is, slower." in out
    assert (place.out / "blocks.md").read_text().startswith("Twice?")
    before = len(place.calls())
    status, _, err = place.run("--spec", str(spec), "--seeds", "1", "--resume")
    assert (status, len(place.calls())) == (0, before), err


@pytest.mark.slow
def test_a_table_in_an_object_store_goes_on_from_another_machine(
    place: StoragePath, bucket: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, there = f"{bucket}/table", Store.at(bucket) / "table"
    status, _, err = place.run("--drop", "gmp", "--seeds", "1", out=out)
    assert (status, f"written to {out}" in err) == (0, True), err
    (folder,) = (place.folder / "runs").iterdir()
    first = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()} - {".lock"}
    assert {"report.html", "full/seed-0/queries.parquet", "launches.json"} <= first
    assert not [name for name in first if name.endswith("checkpoint.pt")]
    assert all((there / name).exists() for name in (*first, "full/seed-0/checkpoint.pt"))
    shutil.rmtree(place.folder / "runs")  # another machine
    monkeypatch.chdir(place.folder)
    sets = [word for text in SMALL for word in ("--set", text)]
    assert status_of(["--source", "a", "--target", "b", "--cache", "cache", "--out", out, *sets]) == 2
    assert f"error: --out: {out} is not empty; add --resume to continue it" in capsys.readouterr().err
    before = len(place.calls())
    status, said, err = place.run("--drop", "gmp", "--seeds", "2", "--resume", out=out)
    assert status == 0, err
    assert {call[2] for call in place.calls()[before:]} == {"1"}
    assert "+2.0 ± 0.0" in said
    assert first <= {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    with (there / "runs.parquet").reading() as file:
        assert len(pd.read_parquet(file)) == 4


def test_failures_of_every_kind_leave_the_others_running(place: StoragePath) -> None:
    first = fakes.FAIL_SEED - 1
    assert (first + 2, first + 3) == (fakes.PREPARE_FAIL_SEED, fakes.DEATH_SEED)
    status, out, err = place.run("--seeds", "4", "--set", f"seed={first}")
    assert status == 1
    assert "1 (3 of 4 failed)" in out
    errors = {r.seed: r.error for r in place.table().itertuples()}
    assert pd.isna(errors[first])
    assert errors[first + 1] == "ValueError: the loss is not finite at step 3"
    assert errors[first + 2] == "RuntimeError: no source model"
    assert errors[first + 3].startswith("WorkerCrashedError: ")
    assert "full seed 101: failed ValueError: the loss is not finite at step 3" in err
    traces = [(place.out / "full" / f"seed-{first + i}" / "error.txt").read_text() for i in (1, 2, 3)]
    assert "ValueError: the loss is not finite" in traces[0]
    assert all(trace.startswith("Traceback") for trace in traces[:2])


def alive(pid: int) -> bool:
    """Whether it runs; a zombie does not."""
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
    """Addresses, as /proc writes them, on which a process listens; none if it has ended."""
    sockets, found = set(), set()
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # closed since
                sockets.add(str(link.readlink()))
        for protocol in ("tcp", "tcp6"):
            for line in Path(f"/proc/{pid}/net/{protocol}").read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == LISTEN and f"socket:[{words[9]}]" in sockets:
                    found.add(words[1].partition(":")[0])
    return found


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--drop", "gnn"], "error: --drop: 'gnn' is no component; the components are gmp, cmkd"),
        (["--add", "ema"], "error: --add: 'ema' cannot be added to the baseline; what can is gmp, cmkd"),
        (["--sweep", "graph.propagate.k"], "error: --sweep: 'graph.propagate.k': write it as PATH=VALUE,VALUE"),
        (["--spec", "table5"], "error: --spec: table5 is no file that can be read, nor one of "),
        (["--spec", "table4", "--add", "gmp"], "error: row baseline: it is asked for twice"),
        (["--drop", "gmp", "--drop", "gmp"], "error: row -gmp: it is asked for twice"),
        (
            ["--sweep", "adapt.steps=7"],
            "error: row adapt.steps=7: its budget of adaptation is 448 pairs, and 5,120 pairs in full; --mixed puts",
        ),
        (["--set", "adapt.stepz=3"], "error: adapt.stepz: unknown field 'stepz'"),
        (
            ["--set", "distill.matching.delta=2"],
            "error: distill.matching.delta: 2.0 is outside its limit: >= -1 and <= 1",
        ),
        (["--set", "distill.teacher.m=1"], "error: distill.teacher.m: 1.0 is outside its limit: >= 0 and < 1"),
        (["--set", "adapt.steps=-1"], "error: adapt.steps: -1 is outside its limit: >= 0"),
        (["--set", "data.source=x"], "error: --set data.source: conflicts with --source"),
        (["--preset", "huge"], "error: --preset: unknown preset 'huge'; choose from tiny, small, base"),
        (["--config", "none.yaml"], "error: none.yaml: cannot be read (No such file or directory)"),
        (["--seeds", "0"], "Error: Invalid value for '--seeds': 0 is not in the range x>=1."),
    ],
)
def test_bad_input_is_refused_before_anything_starts(
    place: StoragePath,
    arguments: list[str],
    expected: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(place.folder)
    assert status_of(["--source", "a", "--target", "b", "--cache", "cache", "--out", "out", *arguments]) == 2
    assert expected in capsys.readouterr().err
    assert not place.out.exists()


def status_of(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as caught:
        run_command(table, arguments)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_the_script_runs_from_anywhere_and_lists_every_problem(place: StoragePath) -> None:
    process = subprocess.run(
        [sys.executable, ROOT / "ablations" / "run.py", "--source", "a", "--target", "b", "--cache", "cache"],
        cwd=place.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 2
    assert "error: pretrain.batch: 64 is above its limit: 12 source train images" in process.stderr.splitlines()
    assert "error: adapt.batch: 64 is above its limit: 12 target train images" in process.stderr.splitlines()
    assert not (place.folder / "runs").exists()


def test_one_dataset_alone_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["--source", "a", "--cache", str(tmp_path)]) == 2
    expected = "error: --target: no dataset is given; give both --source and --target, or neither\n"
    assert capsys.readouterr().err == expected
