"""Reference rows: the source model in every table, and the supervised row on request."""

from __future__ import annotations

from typing import Any

import pytest

from gckd.ablations.reference_rows import with_reference_rows
from gckd.config import Config, apply, check, preset
from gckd.config.distill import NoMatching, NoTargets, NoTeacher
from gckd.config.graph import NoPropagation
from gckd.config.losses import NoAlignment
from gckd.errors import InputError

FULL = preset("tiny")
ROWS: dict[str, dict[str, Any]] = {"-gmp": {"graph.propagate": "none"}}
SOURCE_MODEL = {"adapt.steps": 0}
SUPERVISED: dict[str, Any] = {
    "graph.propagate": NoPropagation(),
    "distill.teacher": NoTeacher(),
    "distill.targets": NoTargets(),
    "distill.matching": NoMatching(),
    "adapt.labels": "target",
    "adapt.source_share": 0.0,
}


def test_the_source_model_is_the_first_row_and_the_supervised_row_the_last() -> None:
    assert with_reference_rows(ROWS, FULL, ceiling=False) == {"source-model": SOURCE_MODEL, **ROWS}
    rows = with_reference_rows(ROWS, FULL, ceiling=True)
    assert list(rows) == ["source-model", "-gmp", "supervised"]
    assert rows["supervised"] == SUPERVISED


def test_a_user_may_write_the_reference_rows_too() -> None:
    """They are in the table once, at their usual places."""
    written = {"supervised": SUPERVISED, **ROWS, "source-model": SOURCE_MODEL}
    assert list(with_reference_rows(written, FULL, ceiling=False)) == ["source-model", "-gmp", "supervised"]
    assert with_reference_rows(written, FULL, ceiling=True) == with_reference_rows(ROWS, FULL, ceiling=True)


@pytest.mark.parametrize("name", ["source-model", "supervised"])
def test_their_names_are_reserved(name: str) -> None:
    with pytest.raises(InputError, match=f"row {name}: the name is reserved for the edits {{.*}}; rename the row"):
        with_reference_rows({name: {"adapt.steps": 7}}, FULL, ceiling=False)


def test_a_full_config_without_adaptation_is_the_source_model() -> None:
    unadapted = apply(FULL, SOURCE_MODEL)
    assert with_reference_rows(ROWS, unadapted, ceiling=False) == ROWS
    with pytest.raises(InputError, match="--ceiling: adapt.steps is 0"):
        with_reference_rows(ROWS, unadapted, ceiling=True)


@pytest.mark.parametrize(
    ("edits", "additional"),
    [
        ({"align": "mmd"}, {"align": NoAlignment()}),
        ({"graph.propagate": "gnn", "evaluate.propagate": True}, {"evaluate.propagate": False}),
        (
            {"graph.propagate": "gnn", "distill.matching": "none", "adapt.source": "banks"},
            {"adapt.source": "samples"},
        ),
        ({"metric": "triplet"}, {}),
    ],
    ids=["alignment", "propagation at test time", "source-free", "metric loss"],
)
def test_the_supervised_row_drops_whatever_adapts_without_labels(
    edits: dict[str, Any], additional: dict[str, Any]
) -> None:
    config = apply(FULL, edits)
    supervised = with_reference_rows(ROWS, config, ceiling=True)["supervised"]
    present = {"distill.matching"} if "distill.matching" in edits else set()
    assert supervised == {path: value for path, value in SUPERVISED.items() if path not in present} | additional
    assert apply(config, supervised).metric == config.metric


def test_the_full_config_may_not_train_with_target_labels() -> None:
    with pytest.raises(InputError, match="adapt.labels: 'target' reads target labels, which the full config must not"):
        with_reference_rows({}, apply(FULL, SUPERVISED), ceiling=True)


@pytest.mark.parametrize(
    ("edits", "problem"),
    [
        ({"distill.teacher": "ema"}, "distill.teacher: 'ema'"),
        ({"distill.teacher": "ema", "distill.targets": "soft"}, "distill.targets: 'soft'"),
        ({"distill.matching": "cross"}, "distill.matching: 'cross'"),
        ({"graph.propagate": "gnn"}, "graph.propagate: 'gnn'"),
        ({"align": "mmd"}, "align: 'mmd'"),
        ({"adapt.source": "none"}, "adapt.source: 'none'"),
    ],
)
def test_nothing_else_adapts_a_model_that_trains_with_target_labels(edits: dict[str, Any], problem: str) -> None:
    supervised: Config = apply(FULL, SUPERVISED)
    assert check(supervised) == supervised
    with pytest.raises(InputError, match=f"{problem} needs adapt.labels = source, not target"):
        apply(supervised, edits)
