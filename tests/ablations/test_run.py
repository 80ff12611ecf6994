"""`python ablations/run.py` as a process: fake runs on a real, embedded Ray."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.dist import fakes
from tests.toy import make_toy

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["pretrain.batch=4", "adapt.batch=4", "graph.memory.capacity=8", "graph.propagate.k=3"]
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}  # as /proc writes them
LISTEN = "0A"


class Place:
    """A folder with two toy datasets, where the command is run."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out, self.log = folder, folder / "out", folder / "log"
        make_toy(folder / "a")
        make_toy(folder / "b", shade=200)

    def start(self, *arguments: str, seconds: float = 0.0) -> subprocess.Popen[str]:
        fixed = ["--source", "a", "--target", "b", "--cache", "cache", "--out", "out", "--workers", "2", "--threads", "1"]
        sets = [word for text in SMALL for word in ("--set", text)]
        script = str(Path(__file__).with_name("with_fakes.py"))
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
        environment |= {"PYTHONPATH": str(ROOT), "FAKE_LOG": str(self.log), "FAKE_SECONDS": str(seconds)}
        return subprocess.Popen(
            [sys.executable, script, *fixed, *sets, *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def table(self) -> pd.DataFrame:
        return pd.read_parquet(self.out / "runs.parquet")

    def calls(self) -> list[list[str]]:
        return [line.split() for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def wait_for(self, path: Path) -> None:
        end = time.monotonic() + 120
        while not path.exists():
            assert time.monotonic() < end, f"{path} never came"
            time.sleep(0.1)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def interrupt(process: subprocess.Popen[str], number: signal.Signals) -> str:
    """Sends the signal as a terminal does, to the whole group; standard error, once every process is gone."""
    family = [process.pid, *descendants(process.pid)]
    assert len(family) > 4
    assert any(listening(pid) for pid in family)
    assert {host for pid in family for host in listening(pid)} <= LOOPBACK
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    end = time.monotonic() + 10
    while any(alive(pid) for pid in family) and time.monotonic() < end:
        time.sleep(0.1)
    assert not [pid for pid in family if alive(pid)]
    return err


def test_an_interrupted_table_leaves_no_process_and_goes_on_by_resume(place: Place) -> None:
    process = place.start("--drop", "gmp", "--seeds", "2", seconds=1)
    place.wait_for(place.out / "runs.parquet")
    err = interrupt(process, signal.SIGINT)
    assert f"--out {place.out} --resume goes on" in err
    assert "Traceback" not in err
    kept = {(r.row, r.seed) for r in place.table().itertuples()}
    assert 1 <= len(kept) < 4

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
    assert {"table.md", "table.csv", "table.tex", "curves.png", "config.yaml"} <= set(os.listdir(place.out))
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


def test_failures_of_every_kind_leave_the_others_running(place: Place) -> None:
    first = fakes.FAIL_SEED - 1
    assert (fakes.PREPARE_FAIL_SEED, fakes.DEATH_SEED) == (first + 2, first + 3)
    status, out, err = place.run("--seeds", "4", "--set", f"seed={first}")
    assert status == 1
    assert "1 (3 of 4 failed)" in out
    errors = {r.seed: r.error for r in place.table().itertuples()}
    assert errors[first] is None
    assert errors[first + 1] == "at step 3"
    assert errors[first + 2] == "RuntimeError: no source model"
    assert errors[first + 3].startswith("WorkerCrashedError: ")
    assert "full seed 101: failed at step 3" in err
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
        for child in (task / "children").read_text().split():
            yield int(child)
            yield from descendants(int(child))


def listening(pid: int) -> set[str]:
    """Addresses, as /proc writes them, on which a process listens."""
    sockets = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            sockets.add(os.readlink(link))
        except OSError:
            continue
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == LISTEN and f"socket:[{words[9]}]" in sockets:
                found.add(words[1].partition(":")[0])
    return found


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--drop", "gnn"], "error: --drop: 'gnn' is no component; the components are gmp, cmkd"),
        (["--drop", "gmp", "--drop", "gmp"], "error: --drop: 'gmp' is asked for twice"),
        (["--set", "adapt.stepz=3"], "error: adapt.stepz: there is no field 'stepz' here"),
        (["--set", "distill.matching.delta=2"], "error: distill.matching.delta: 2.0 is outside its limit: >= -1 and <= 1"),
        (["--set", "distill.teacher.m=1"], "error: distill.teacher.m: 1.0 is outside its limit: >= 0 and < 1"),
        (["--set", "adapt.steps=0"], "error: adapt.steps: 0 is outside its limit: >= 1"),
        (["--set", "data.source=x"], "error: --set data.source: it conflicts with --source"),
        (["--preset", "huge"], "error: --preset: 'huge' is not one of tiny, small, base"),
        (["--source", "missing"], "error: dataset 'missing': there is no folder"),
        (["--seeds", "0"], "Error: Invalid value for '--seeds': 0 is not in the range x>=1."),
    ],
)
def test_bad_input_is_refused_before_anything_starts(
    place: Place, arguments: list[str], expected: str, capfd: pytest.CaptureFixture[str]
) -> None:
    status, out, err = place.run(*arguments)
    assert status == 2
    assert expected in err
    assert "Traceback" not in out + err
    assert not place.out.exists()
    assert not place.calls()


def test_a_batch_above_the_dataset_is_refused_with_every_other_problem(place: Place) -> None:
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


def test_one_dataset_alone_is_refused(place: Place) -> None:
    process = subprocess.run(
        [sys.executable, ROOT / "ablations" / "run.py", "--source", "a", "--cache", "cache"],
        cwd=place.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode, process.stderr) == (
        2,
        "error: --target: no dataset is given; give both --source and --target, or neither\n",
    )
