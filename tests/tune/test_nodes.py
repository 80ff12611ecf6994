"""A search on a user's own cluster, at RAY_ADDRESS, that loses a node."""

from __future__ import annotations

import psutil
import pytest
from optuna.trial import TrialState

from benchmarks.nodes import Nodes
from gckd.config import apply
from tests.tune.search_process import EPOCHS, TRIAL, SearchFolder, descendants, output_of, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(900)]


def listening(pid: int) -> set[str]:
    """Addresses that a process and its descendants listen on."""
    connections = [c for p in [psutil.Process(pid), *descendants(pid)] for c in p.net_connections("inet")]
    return {c.laddr.ip.removeprefix("::ffff:") for c in connections if c.status == psutil.CONN_LISTEN}


def kill_node(raylet: int) -> None:
    """Kills all processes of a node at once, like a power failure."""
    for process in [psutil.Process(raylet), *descendants(raylet)]:
        process.kill()


def test_the_death_of_a_node_costs_only_the_running_epoch(search_folder: SearchFolder, nodes: Nodes) -> None:
    search_folder.ray = nodes.environment
    search_folder.configure(apply(search_folder.config, {"adapt.steps": 150}))
    relative = ("--source", "source", "--target", "target")  # workers have other working folders
    driver = search_folder.start("--trials", "3", "--concurrent", "1", "--scheduler", "none", *relative)
    search_folder.wait_for_epochs(EPOCHS + 1)
    before = search_folder.trials()
    assert {*listening(driver.pid), *listening(nodes.pid)} == {"127.0.0.1"}
    assert descendants(driver.pid, "ray::") == []
    (busy_node,) = [pid for pid in nodes.raylets if descendants(pid, TRIAL)]
    assert not [pid for pid in nodes.raylets if descendants(pid, "ray::Board")]  # its death would block the driver
    kill_node(busy_node)
    output_of(driver)

    after = search_folder.trials()
    assert (before[0].state, after[0]) == (TrialState.COMPLETE, before[0])
    assert [trial.number for trial in after] == [0, 1, 2]
    for trial in after:
        assert trial.state == TrialState.COMPLETE
        assert list(trial.intermediate_values) == [1, 2, 3]
    assert before[1].params == after[1].params
    assert before[1].intermediate_values.items() <= after[1].intermediate_values.items()
    # The cluster keeps running, without processes of the search.
    (other,) = [pid for pid in nodes.raylets if pid != busy_node]
    assert psutil.pid_exists(other)
    wait_until(lambda: not descendants(nodes.pid, TRIAL), "the end of the search's workers")
