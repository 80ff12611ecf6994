"""Failure failure_warnings of invented curves; those of real runs are in tests/training/test_failures.py."""

from __future__ import annotations

from typing import Any

import pytest

from gckd.report import warnings as module
from gckd.report.warnings import audited, failure_warnings, reads_labels
from gckd.validators.choose import GATE

SOUND = {
    "cross_edges_image": [0.3, 0.2],
    "cross_edges_text": [0.3, 0.0101],
    "accepted_share": [0.0, 0.02],  # the last value counts
    "propagation_change_image": [0.1, 0.1],
    "target_val_rank_1": [50.0, 49.5],
    "target_rank_me": [21.0, 11.1],
}


def points(row: str = "full", seed: int = 0, **curves: list[float]) -> list[dict[str, Any]]:
    """Curves of two points, at steps 0 and 40."""
    return [
        {"row": row, "seed": seed, "stage": "adapt", "step": 40 * place, "name": name, "value": value}
        for name, values in (SOUND | curves).items()
        for place, value in enumerate(values)
    ]


def test_a_sound_run_has_none() -> None:
    assert failure_warnings(points()) == []
    assert failure_warnings([]) == []


WRONG = {
    "cross_edges_text": ([0.3, 0.0099], "0.99 % of the edges of target nodes (text) cross the domains", "centre=true"),
    "accepted_share": ([0.5, 0.009], "0.90 % of the target pairs pass delta", "lower distill.matching.delta"),
    "propagation_change_image": ([0.1, 2e-7], "(image) leaves what it is given as it is", "graph.propagate.residual"),
    "target_val_rank_1": ([50.0, 48.9], "fell from 50.0, the source model before adaptation, to 48.9", "adapt.lr"),
    "target_rank_me": ([21.0, 10.9], "effective rank fell from 21.00 to 10.90", "adapt.lr"),
}


@pytest.mark.parametrize("name", WRONG)
def test_each_by_itself(name: str) -> None:
    values, said, change = WRONG[name]
    (line,) = failure_warnings(points() + points("-cmkd", 3, **{name: values}))
    assert line.startswith("WARNING, row -cmkd, seed 3: ")
    assert said in line
    assert change in line.partition("To change it: ")[2]
    assert ("uses labels of target val" in line) == (name == "target_val_rank_1")


def test_seeds_of_a_row_share_a_line() -> None:
    low = {"accepted_share": [0.0, 0.001]}
    (line,) = failure_warnings(points(seed=2, **low) + points(seed=0) + points(seed=1, accepted_share=[0.0, 0.004]))
    assert "row full, seeds 1, 2 (values of the first): 0.40 % of the target pairs" in line


def test_without_a_value_before_adaptation_nothing_is_said_to_fall() -> None:
    later = [p for p in points(target_val_rank_1=[50.0, 1.0], target_rank_me=[20.0, 1.0]) if p["step"] > 0]
    assert failure_warnings(later) == []


def test_the_start_of_pretraining_is_no_start_of_adaptation() -> None:
    other = [p | {"stage": "pretrain"} for p in points(accepted_share=[0.0, 0.0])]
    assert failure_warnings(other) == []


def test_collapse_is_where_the_search_says_so() -> None:
    """But above 1, the least rank there is: a model that begins at 1.4 could not fall to half of that."""
    assert module.COLLAPSE == GATE
    assert "embeddings collapse" in failure_warnings(points(target_rank_me=[1.4, 1.1]))[0]


def test_curves_that_need_labels() -> None:
    assert [reads_labels(n) for n in ("audit_target_precision", "target_val_map", "teacher_target_val_rank_1")] == [
        True
    ] * 3
    assert not any(reads_labels(name) for name in ("target_rank_me", "source_val_rank_1", "accepted_share"))
    assert audited(points()) == []
    (line,) = audited(points(audit_target_precision=[0.1, 0.2]))
    assert line.startswith("Uses target labels: ")
