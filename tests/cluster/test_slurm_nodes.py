"""clusters/slurm.sbatch as users submit it: SLURM's own daemons on two hosts in namespaces, and a real Ray on them."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from gckd.config import apply, to_yaml
from tests.cluster.hosts import SHARED, Host, hosts, missing
from tests.toy import make_toy
from tests.training.micro import micro

ROOT = Path(__file__).resolve().parents[2]
_PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
_DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch")
_ABSENT = [tool for tool in _DAEMONS if shutil.which(tool, path=_PATH) is None]
_REASON = f"needs {', '.join(_ABSENT)}" if _ABSENT else missing()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(_REASON), reason=_REASON),
]

PATIENCE = 400.0
SLURM_CONF = """
ClusterName=test
SlurmctldHost={head.name}({head.address})
AuthType=auth/munge
AuthInfo=socket=/run/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
StateSaveLocation=/run/slurm-state
SlurmdSpoolDir=/run/slurmd-spool
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile={shared}/slurmctld.log
SlurmdLogFile={shared}/slurmd-%n.log
SlurmUser=root
ReturnToService=2
MpiDefault=none
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
START = "munged --force --key-file={shared}/munge.key --socket=/run/munge.socket --pid-file=/run/munged.pid \
--log-file=/run/munged.log --seed-file=/run/munged.seed"


TABLE = f"--drop gmp --seeds 2 --cache {SHARED}/cache --resume"
WAITING = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING")


@dataclass
class Slurm:
    """Two nodes with SLURM, of which the first one also has the controller."""

    head: Host
    shared: Path

    def run(self, script: str) -> str:
        done = self.head.run(f"cd {ROOT}; {script}", SLURM_CONF=f"{SHARED}/slurm.conf", PATH=_PATH)
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def submit(self, command: str) -> str:
        """Number of the job that runs `command` on both nodes."""
        options = f"--parsable --gpus-per-node=0 --cpus-per-task=1 --time=01:00:00 --output={SHARED}/job-%j.log"
        return self.run(f"sbatch {options} clusters/slurm.sbatch {command}")

    def state(self, job: str) -> str:
        fields = dict(
            word.split("=", 1) for word in self.run(f"scontrol show job {job} --oneliner").split(" ") if "=" in word
        )
        return fields["JobState"]

    def output(self, job: str) -> str:
        file = self.shared / f"job-{job}.log"
        return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""

    def wait(self, job: str, condition: Callable[[], object], what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"timed out: {what}\n{self.state(job)}\n{self.output(job)}"
            time.sleep(1)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    shared = tmp_path_factory.mktemp("shared")
    (shared / "munge.key").write_bytes(os.urandom(128))
    (shared / "munge.key").chmod(0o600)
    with hosts(["192.0.2.11", "192.0.2.12"], shared) as made:
        nodes = "\n".join(
            f"NodeName=node{number} NodeHostname={host.name} NodeAddr={host.address} CPUs=1 RealMemory=1000"
            for number, host in enumerate(made, 1)
        )
        (shared / "slurm.conf").write_text(SLURM_CONF.format(head=made[0], shared=SHARED, nodes=nodes))
        # Which plugin is not important, as nothing uses cgroups here. By default slurmd looks for a mounted one.
        (shared / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        environment = {"SLURM_CONF": f"{SHARED}/slurm.conf", "PATH": _PATH}
        for number, host in enumerate(made, 1):
            controller = "mkdir /run/slurm-state; slurmctld;" if number == 1 else ""
            started = host.run(
                f"set -e; {START.format(shared=SHARED)}; {controller} slurmd -N node{number}", **environment
            )
            assert started.returncode == 0, started.stdout + started.stderr
        cluster = Slurm(made[0], shared)
        config = micro(make_toy(shared / "source"), make_toy(shared / "target", shade=120))
        paths = {f"data.{domain}": f"{SHARED}/{domain}" for domain in ("source", "target")}
        (shared / "config.yaml").write_text(to_yaml(apply(config, paths)))
        (shared / "long.yaml").write_text(to_yaml(apply(config, paths | {"adapt.steps": 20_000})))
        yield cluster


def test_a_table_runs_on_both_nodes(slurm: Slurm) -> None:
    job = slurm.submit(f"gckd ablate --config {SHARED}/config.yaml {TABLE} --out {SHARED}/table")
    slurm.wait(job, lambda: slurm.state(job) not in WAITING, "the table")
    output = slurm.output(job)
    assert slurm.state(job) == "COMPLETED", output
    assert "nodes have joined" not in output  # the warning that a node is missing
    table = pd.read_parquet(slurm.shared / "table" / "runs.parquet")
    assert set(zip(table.row, table.seed, table.status, strict=True)) == {
        (row, seed, "done") for row in ("full", "-gmp", "source-model") for seed in (3, 4)
    }


def test_a_job_near_its_time_limit_is_requeued_and_resumes(slurm: Slurm) -> None:
    """The signal is sent here by hand, and the wait of two minutes that SLURM prescribes is cut short."""
    job = slurm.submit(f"gckd ablate --config {SHARED}/long.yaml {TABLE} --out {SHARED}/long")
    slurm.wait(job, lambda: "adapt" in slurm.output(job), "the first line of progress of an adaptation")
    slurm.run(f"scancel --batch --signal=TERM {job}")
    slurm.wait(job, lambda: slurm.state(job) == "PENDING", "the job in the queue again")
    assert "stopped before the end; the job is requeued and resumes" in slurm.output(job)
    assert list((slurm.shared / "long").glob("*/seed-*/checkpoint.pt"))
    before = len(slurm.output(job))
    slurm.run(f"scontrol update JobId={job} StartTime=now")
    slurm.wait(job, lambda: "adapt" in slurm.output(job)[before:], "progress of the resumed job")
    slurm.run(f"scancel {job}")
    slurm.wait(job, lambda: slurm.state(job) == "CANCELLED", "the end of the job")
