"""clusters/slurm.sbatch with stand-ins for SLURM and Ray: what it starts, and what it does with a signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "clusters" / "slurm.sbatch"
TOOLS = {
    "scontrol": """
case "$1 $2" in
    "show hostnames") printf 'node1\\nnode2\\n' ;;
    "show node") echo "NodeName=$3 Arch=x NodeAddr=127.0.0.1 NodeHostName=$3" ;;
    "show job") echo "JobId=$3 JobState=$STATE Reason=None" ;;
    *) echo "scontrol $*" >>"$CALLS" ;;
esac""",
    "srun": 'echo "srun ${*//$\'\\n\'/ } token=${#RAY_AUTH_TOKEN}" >>"$CALLS"; echo of-ray; echo of-a-step >&2',
    "ray": '[[ ! -e "$CALLS.no-ray" ]]',
    "sleep": "",
    "python": f"""if [[ $* == *ray.init* ]]; then echo "$JOINED"; else exec {sys.executable} "$@"; fi""",
}
WORK = """trap 'echo saved; exit 130' TERM; echo started; while :; do /bin/sleep 0.05; done"""
Job = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """File with a line for each call of a stand-in."""
    return tmp_path / "calls"


@pytest.fixture
def job(tmp_path: Path, calls: Path) -> Job:
    """Function that starts the script as SLURM does."""
    for name, text in TOOLS.items():
        file = tmp_path / name
        file.write_text(f"#!/bin/bash\n{text}\n")
        file.chmod(0o755)

    def start(*command: str, state: str = "RUNNING", joined: int = 2) -> subprocess.Popen[str]:
        environment = os.environ | {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "CALLS": str(calls),
            "TMPDIR": str(tmp_path),
            "STATE": state,
            "JOINED": str(joined),
            "SLURM_JOB_ID": "7",
            "SLURM_JOB_NODELIST": "node[1-2]",
        }
        pipe = subprocess.PIPE
        return subprocess.Popen(["bash", str(SCRIPT), *command], env=environment, stdout=pipe, stderr=pipe, text=True)

    return start


def test_every_node_has_ray_with_the_token_of_the_job(job: Job, calls: Path) -> None:
    running = job("sh", "-c", "echo $RAY_ADDRESS; exit 3")
    assert running.communicate(timeout=60)[0].strip() == "127.0.0.1:20007"
    assert running.returncode == 3
    head, worker = (line for line in sorted(calls.read_text().splitlines()) if line.startswith("srun"))
    assert "--nodelist=node1" in head and "--head --node-ip-address=127.0.0.1 --port=20007" in head
    assert "--nodelist=node2" in worker and "--address=127.0.0.1:20007" in worker
    assert head.endswith("token=64") and worker.endswith("token=64")
    assert "requeue" not in calls.read_text()


@pytest.mark.parametrize("joined", [1, 2])
def test_a_node_that_does_not_join_is_named_before_the_command_starts(job: Job, joined: int) -> None:
    out, err = job("echo", "started", joined=joined).communicate(timeout=60)
    assert out == "started\n"
    assert ("warning: only 1 of 2 nodes have joined Ray" in err) == (joined == 1)


@pytest.mark.parametrize(("state", "requeues"), [("RUNNING", 1), ("COMPLETING", 0)])
def test_a_signal_saves_the_work_and_requeues_a_running_job(job: Job, calls: Path, state: str, requeues: int) -> None:
    running = job("bash", "-c", WORK, state=state)
    assert running.stdout is not None
    assert running.stdout.readline() == "started\n"
    time.sleep(0.2)  # until the script waits
    running.send_signal(signal.SIGTERM)
    text, _ = running.communicate(timeout=60)
    assert text.startswith("saved\n")
    assert running.returncode == 130
    assert calls.read_text().count("scontrol requeue 7") == requeues


def test_a_head_that_does_not_start_ends_the_job(job: Job, calls: Path) -> None:
    Path(f"{calls}.no-ray").touch()
    running = job("echo", "started")
    assert running.communicate(timeout=60)[0] == ""
    assert running.returncode == 1
    assert "requeue" not in calls.read_text()


def test_the_output_of_a_job_is_that_of_its_command(job: Job, calls: Path) -> None:
    """Ray's messages follow only if Ray does not start."""
    assert job("echo", "table").communicate(timeout=60) == ("table\n", "")
    Path(f"{calls}.no-ray").touch()
    out, err = job("echo", "table").communicate(timeout=60)
    assert out == "" and "of-ray\nof-a-step\nerror: Ray did not start on node1" in err


def test_a_command_is_needed(job: Job) -> None:
    running = job()
    running.communicate(timeout=60)
    assert running.returncode == 2
