"""`ray up` of the on-premises variant on three hosts in namespaces: token, search, death of a host, `ray down`."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import optuna
import pytest
import yaml
from optuna.trial import FrozenTrial, TrialState

from gckd.config import apply, to_yaml
from gckd.tune.storage import open_storage
from tests.cluster.hosts import SHARED, Host, hosts, left, missing
from tests.toy import make_toy
from tests.training.micro import micro

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(missing()), reason=missing()),
]

ROOT = Path(__file__).resolve().parents[2]
FILE = f"{SHARED}/cluster.yaml"
EPOCHS, CORES = 3, os.cpu_count() or 1  # of each host
TRIALS = 2 * CORES + 1
PATIENCE = 240.0
NODES = """
import ray
ray.init(logging_level=40)
print(*[node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]])
"""


@dataclass
class Up:
    """A running cluster: the user's machine, the hosts, and the folder that all of them share."""

    desk: Host
    head: Host
    workers: list[Host]
    shared: Path

    def ray(self, *words: str) -> str:
        return checked(self.desk, f"cd {ROOT}; ray {' '.join(words)}")


def checked(host: Host, script: str) -> str:
    done = host.run(script, RAY_UP_enable_autoscaler_v2="0", RAY_AUTH_MODE="token")
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def on_these_hosts(shared: Path, user: str = "root") -> dict[str, object]:
    """clusters/local.yaml, filled in. Nothing has to be installed on these hosts."""
    given = yaml.safe_load((ROOT / "clusters" / "local.yaml").read_text())
    given["auth"] = {"ssh_user": user, "ssh_private_key": f"{SHARED}/key"}
    for commands in ("head_setup_commands", "worker_setup_commands"):
        given[commands] = [command for command in given[commands] if "pip install" not in command]
    (shared / "cluster.yaml").write_text(yaml.safe_dump(given))
    return given


def wait_until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"timed out: {what}"
        time.sleep(0.5)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    shared = tmp_path_factory.mktemp("shared")
    provider = on_these_hosts(shared)["provider"]
    assert isinstance(provider, dict)
    with hosts(["192.0.2.10", provider["head_ip"], *provider["worker_ips"]], shared) as (desk, head, *workers):
        checked(desk, "ray get-auth-token --generate")
        cluster = Up(desk, head, workers, shared)
        cluster.ray("up", "-y", "--no-config-cache", FILE)
        yield cluster
        cluster.ray("down", "-y", FILE)
    assert left() == []


def alive(up: Up) -> list[str]:
    """Addresses of the nodes that have joined."""
    (up.shared / "nodes.py").write_text(NODES)
    output = up.ray("exec", FILE, f"'python {SHARED}/nodes.py'")
    (addresses,) = [line for line in output.splitlines() if line.startswith("192.0.2.")]
    return sorted(addresses.split())


def test_all_hosts_join(up: Up) -> None:
    wait_until(lambda: len(alive(up)) == 3, "three nodes")
    assert alive(up) == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


def test_access_needs_the_token(up: Up) -> None:
    get = (
        "import sys, urllib.request as r; print(r.urlopen(r.Request(sys.argv[1], headers=dict([sys.argv[2:]]))).status)"
    )
    token = checked(up.desk, "cat ~/.ray/auth_token").strip()
    for path in ("api/jobs/", "nodes?view=summary"):
        url = f"http://127.0.0.1:8265/{path}"
        assert checked(up.head, f"python -c '{get}' '{url}' Authorization 'Bearer {token}'").split() == ["200"]
        assert "HTTP Error 401" in up.head.run(f"python -c '{get}' '{url}' X-None none").stderr
    assert "Connection refused" in up.desk.run(f"python -c '{get}' http://192.0.2.1:8265/ X-None none").stderr
    status = up.desk.run("ray status --address 192.0.2.1:6379", HOME="/nowhere", RAY_AUTH_MODE="disabled")
    assert status.returncode != 0
    assert "Demands" not in status.stdout


def trials(up: Up) -> list[FrozenTrial]:
    """Trials of the search so far; none before it has created its study."""
    if not (up.shared / "out" / "owner").exists():
        return []
    storage = open_storage(None, up.shared / "out")
    if "out" not in optuna.get_all_study_names(storage):
        return []
    return optuna.load_study(storage=storage, study_name="out").get_trials(deepcopy=False)


def addresses_of_trials(up: Up) -> dict[int, set[str]]:
    """Addresses of the hosts that each trial has reported epochs from."""
    addresses: dict[int, set[str]] = {}
    for file in (up.shared / "out" / "tune").glob("*/*/result.json"):
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        for row in rows:
            addresses.setdefault(row["config"]["number"], set()).add(row["node_ip"])
    return addresses


def test_a_search_survives_the_loss_of_a_host(up: Up) -> None:
    config = micro(make_toy(up.shared / "source"), make_toy(up.shared / "target", shade=120))
    paths = {f"data.{domain}": f"{SHARED}/{domain}" for domain in ("source", "target")}
    # Enough steps for several seconds on a fast machine: the host must die in the middle of a trial.
    (up.shared / "config.yaml").write_text(to_yaml(apply(config, {"adapt.steps": 240, **paths})))
    # A continuous range, so that no trial is a duplicate, which would not run and not count.
    (up.shared / "space.yaml").write_text("adapt.lr: {float: [1.0e-4, 1.0e-3]}\n")
    options = [f"--config {SHARED}/config.yaml --space {SHARED}/space.yaml --cache {SHARED}/cache --out {SHARED}/out"]
    options += [f"--trials {TRIALS} --concurrent {2 * CORES} --scheduler none --epochs {EPOCHS}", "--confirm-seeds 0"]
    script = f"cd {ROOT}; ray submit {FILE} tune/search.py {' '.join(options)}"
    search = up.desk.start(script, RAY_UP_enable_autoscaler_v2="0", RAY_AUTH_MODE="token")

    lost = up.workers[1]

    def in_the_middle() -> bool:
        assert search.poll() is None, search.communicate()[0]
        # A trial takes one core. More trials than one host has cores, so some are on the host that will be lost.
        return sum(t.state == TrialState.RUNNING and bool(t.intermediate_values) for t in trials(up)) > CORES

    wait_until(in_the_middle, "an epoch of a trial on the host that will be lost")
    before = trials(up)
    lost.pull_the_plug()
    output = search.communicate(timeout=PATIENCE)[0]
    assert search.returncode == 0, output

    after = trials(up)
    assert [trial.state for trial in after] == [TrialState.COMPLETE] * TRIALS
    for was, now in zip(before, after, strict=False):
        assert was.params == now.params
        assert was.intermediate_values.items() <= now.intermediate_values.items()
    moved = [number for number, addresses in addresses_of_trials(up).items() if len(addresses) == 2]
    assert moved  # resumed on the other host from its checkpoint, with the same earlier epochs
    assert (up.shared / "out" / "best.yaml").is_file()  # written from the results


def test_an_error_leaves_no_host_behind(up: Up, tmp_path: Path) -> None:
    before = left()
    with contextlib.suppress(ZeroDivisionError), hosts(["192.0.2.20"], tmp_path) as (host,):
        assert host.run("hostname").stdout.strip() == host.name
        raise ZeroDivisionError
    assert not Path(f"/proc/{host.first}").exists()
    assert left() == before
