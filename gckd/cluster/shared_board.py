"""Progress board of a cluster: an actor on the node of the driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gckd.runs.progress_board import Board

if TYPE_CHECKING:
    from collections.abc import Sequence


def shared_board(ray: Any, runs: Sequence[tuple[str, int]] = ()) -> Any:
    """Start a Board as an actor on the driver's node. If its process dies, it restarts empty.

    On another node, the loss of that node would block the driver until Ray notices it.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    same_node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1, "scheduling_strategy": same_node}
    return ray.remote(**options)(Board).remote(runs)
