"""A search on a cluster of the user's, named by RAY_ADDRESS: where it runs, and what a node that dies costs."""

from __future__ import annotations

import psutil
import pytest
from optuna.trial import TrialState

from benchmarks.nodes import Nodes
from gckd.config import apply
from tests.tune.search_process import EPOCHS, TRIAL, SearchFolder, descendants, ended, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(900)]


def listening(pid: int) -> set[str]:
    """Addresses that a process and those below it listen on."""
    connections = [c for p in [psutil.Process(pid), *descendants(pid)] for c in p.net_connections("inet")]
    return {c.laddr.ip.removeprefix("::ffff:") for c in connections if c.status == psutil.CONN_LISTEN}


def kill_node(raylet: int) -> None:
    """All of it at once, as where the power goes."""
    for process in [psutil.Process(raylet), *descendants(raylet)]:
        process.kill()


def test_a_node_that_dies_costs_its_running_epoch_alone(place: SearchFolder, nodes: Nodes) -> None:
    place.ray = nodes.environment
    place.configure(apply(place.config, {"adapt.steps": 150}))
    relative = ("--source", "source", "--target", "target")  # workers stand in folders of their own
    driver = place.start("--trials", "3", "--concurrent", "1", "--scheduler", "none", *relative)
    place.told(EPOCHS + 1)
    before = place.trials()
    assert {*listening(driver.pid), *listening(nodes.pid)} == {"127.0.0.1"}
    assert descendants(driver.pid, "ray::") == []
    (at_work,) = [pid for pid in nodes.raylets if descendants(pid, TRIAL)]
    assert not [pid for pid in nodes.raylets if descendants(pid, "ray::Board")]  # whose loss would hold up the driver
    kill_node(at_work)
    ended(driver)

    after = place.trials()
    assert (before[0].state, after[0]) == (TrialState.COMPLETE, before[0])
    assert [trial.number for trial in after] == [0, 1, 2]
    for trial in after:
        assert trial.state == TrialState.COMPLETE
        assert list(trial.intermediate_values) == [1, 2, 3]
    assert before[1].params == after[1].params
    assert before[1].intermediate_values.items() <= after[1].intermediate_values.items()
    # The cluster is the user's: it lives on, and nothing of the search is left there.
    (other,) = [pid for pid in nodes.raylets if pid != at_work]
    assert psutil.pid_exists(other)
    wait_until(lambda: not descendants(nodes.pid, TRIAL), "the search's workers are gone")
