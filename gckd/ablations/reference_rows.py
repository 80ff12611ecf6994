"""Reference rows that a table has beside those of its options: the source model and, on request, a supervised one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gckd.config import Config, apply
from gckd.config.edit import effective_edits
from gckd.errors import InputError
from gckd.report.reference_rows import SOURCE_MODEL, SUPERVISED

if TYPE_CHECKING:
    from gckd.ablations.rows import Rows


def with_reference_rows(rows: Rows, config: Config, *, ceiling: bool) -> Rows:
    """The rows with the source model before them and, with `ceiling`, the supervised row after them.

    A full config without adaptation is the source model itself and gets no such row.

    Args:
        rows: every other row. They may include a reference row with the same edits.
        config: full config.

    Raises:
        InputError: a row has the name of a reference row, but other edits; the full config trains with target labels;
            or the supervised row would have no steps.
    """
    if config.adapt.labels != "source":
        raise InputError(
            f"adapt.labels: {config.adapt.labels!r} reads target labels, which the full config must not; set it to "
            f"source, and add --ceiling for the row {SUPERVISED}"
        )
    edits = {SOURCE_MODEL: effective_edits(config, {"adapt.steps": 0}), SUPERVISED: supervised_edits(config)}
    for name in edits.keys() & rows.keys():
        if apply(config, rows[name]) != apply(config, edits[name]):
            raise InputError(f"row {name}: the name is reserved for the edits {_text(edits[name])}; rename the row")
    if ceiling and not config.adapt.steps:
        raise InputError(f"--ceiling: adapt.steps is 0, so the row {SUPERVISED} would not be trained; set it to >= 1")
    first = {SOURCE_MODEL: edits[SOURCE_MODEL]} if edits[SOURCE_MODEL] else {}
    last = {SUPERVISED: edits[SUPERVISED]} if ceiling or SUPERVISED in rows else {}
    return first | {name: row for name, row in rows.items() if name not in edits} | last


def supervised_edits(config: Config) -> dict[str, Any]:
    """Edits that train on the target's labelled train split with the source losses alone."""
    others = {
        "adapt.source": "samples",
        "adapt.labels": "target",
        "adapt.source_share": 0.0,
        "evaluate.propagate": False,
    }
    return effective_edits(config, config.off_without_labels() | others)


def _text(edits: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{path}: {getattr(value, 'kind', value)}" for path, value in edits.items()) + "}"
