"""Warnings about invented curves; those about real runs are in tests/training/test_failures.py."""

from __future__ import annotations

from typing import Any

import pytest

from gckd.config import preset
from gckd.report import warnings as module
from gckd.report.curves import reads_labels
from gckd.report.row_configs import row_configs
from gckd.report.warnings import failure_warnings, grouped, label_use_notes
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


def test_a_sound_run_has_no_warning() -> None:
    assert failure_warnings(points()) == []
    assert failure_warnings([]) == []


WRONG = {
    "cross_edges_text": ([0.3, 0.0099], "0.99 % of the edges of target nodes (text) cross the domains", "centre=true"),
    "accepted_share": ([0.5, 0.009], "0.90 % of the target pairs pass delta", "lower distill.matching.delta"),
    "propagation_change_image": ([0.1, 2e-7], "(image) leaves its input almost unchanged", "graph.propagate.residual"),
    "target_val_rank_1": ([50.0, 48.9], "fell from 50.0, the source model before adaptation, to 48.9", "adapt.lr"),
    "target_rank_me": ([21.0, 10.9], "effective rank fell from 21.00 to 10.90", "adapt.lr"),
}


@pytest.mark.parametrize("name", WRONG)
def test_each_rule_by_itself(name: str) -> None:
    values, sign, remedy = WRONG[name]
    (line,) = map(str, failure_warnings(points() + points("-cmkd", 3, **{name: values})))
    assert line.startswith("WARNING, row -cmkd, seed 3: ")
    assert sign in line
    assert remedy in line.partition("Remedy: ")[2]
    assert ("uses labels of target val" in line) == (name == "target_val_rank_1")


def test_seeds_of_a_row_share_a_line() -> None:
    low = {"accepted_share": [0.0, 0.001]}
    runs = points(seed=2, **low) + points(seed=0) + points(seed=1, accepted_share=[0.0, 0.004])
    (line,) = map(str, failure_warnings(runs))
    assert "row full, seeds 1, 2 (values of the first): 0.40 % of the target pairs" in line


def test_without_a_value_before_adaptation_no_fall_is_reported() -> None:
    later = [p for p in points(target_val_rank_1=[50.0, 1.0], target_rank_me=[20.0, 1.0]) if p["step"] > 0]
    assert failure_warnings(later) == []


def test_curves_of_pretraining_are_ignored() -> None:
    pretraining = [p | {"stage": "pretrain"} for p in points(accepted_share=[0.0, 0.0])]
    assert failure_warnings(pretraining) == []


def test_collapse_has_the_threshold_of_the_search() -> None:
    """Applied to the excess over 1, the smallest rank: half of 1.4 is impossible, half of its excess is not."""
    assert module.COLLAPSE == GATE
    assert "embeddings collapse" in str(failure_warnings(points(target_rank_me=[1.4, 1.1]))[0])


def test_curves_that_read_labels() -> None:
    assert [reads_labels(n) for n in ("audit_target_precision", "target_val_map", "teacher_target_val_rank_1")] == [
        True
    ] * 3
    assert not any(reads_labels(name) for name in ("target_rank_me", "source_val_rank_1", "accepted_share"))
    assert label_use_notes(points()) == []
    (line,) = label_use_notes(points(audit_target_precision=[0.1, 0.2]))
    assert line.startswith("Uses target labels: ")


ALL_WRONG = {name: values for name, (values, _, _) in WRONG.items()} | {"target_contrastive": [1.0, 1.0]}


@pytest.mark.parametrize(
    ("edits", "absent"),
    [
        ('{"graph.propagate": {"kind": "none"}}', ["graph.propagate."]),
        ('{"distill.matching": {"kind": "none"}}', ["distill.matching.delta"]),
        ('{"distill.teacher": {"kind": "none"}, "distill.targets": {"kind": "mutual"}}', ["teacher.m", "sharpen"]),
        ('{"centre": true}', ["centre=true"]),
        ('{"graph.propagate.residual": 0.0}', ["residual"]),
    ],
)
def test_a_remedy_names_no_field_that_the_row_lacks(edits: str, absent: list[str]) -> None:
    runs = points("full", 0, **ALL_WRONG) + points("changed", 0, **ALL_WRONG)
    records = [{"row": "full", "edits": '{"centre": false}'}, {"row": "changed", "edits": edits}]
    warnings = failure_warnings(runs, row_configs(records, preset("tiny")))
    text = {row: " ".join(str(w) for w in warnings if w.row == row) for row in ("full", "changed")}
    for field in absent:
        assert field in text["full"]
        assert field not in text["changed"]
    assert "WARNING, row changed" in text["changed"]


def test_a_weight_is_advised_only_where_its_term_is_trained() -> None:
    runs = points(target_rank_me=[21.0, 1.5])
    (without,) = failure_warnings(runs, row_configs([{"row": "full", "edits": "{}"}], preset("tiny")))
    assert "weights.target_contrastive" not in str(without)


def test_a_group_has_a_line_for_each_sign_with_all_its_rows() -> None:
    records = [{"row": "full", "edits": "{}"}, {"row": "-cmkd", "edits": '{"distill.teacher": {"kind": "none"}}'}]
    runs = [*points(target_val_rank_1=[50.0, 1.0]), *points("-cmkd", target_val_rank_1=[50.0, 2.0])]
    lines = grouped(failure_warnings([*runs, *points("-gmp", accepted_share=[0.0, 0.0])]))
    assert [line.partition(" in ")[2].partition(";")[0] for line in lines] == ["-gmp", "full, -cmkd"]
    (line,) = grouped(failure_warnings(runs, row_configs(records, preset("tiny"))))
    assert line.endswith("remedy: lower adapt.lr")  # the only one that both rows have
