"""Progress board of a cluster: an actor beside the driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gckd.runs.progress_board import Board

if TYPE_CHECKING:
    from collections.abc import Sequence


def shared_board(ray: Any, runs: Sequence[tuple[str, int]] = ()) -> Any:
    """A Board as an actor beside the driver, who waits for its answers; it comes back, empty, where its process dies.

    On a node of its own a loss of that node would hold up the driver, and with it everything, until Ray is sure of it.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    beside = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1, "scheduling_strategy": beside}
    return ray.remote(**options)(Board).remote(runs)
