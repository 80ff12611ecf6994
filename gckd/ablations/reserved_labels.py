"""Labels of the rows that `--drop` and `--add` give. A table may print a published number beside them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from gckd.ablations.components import ADDED, drop_edits, label
from gckd.config import Config, apply
from gckd.errors import InputError

BASELINE = "baseline"


def reserved_labels() -> dict[str, frozenset[str]]:
    """Label -> the components of `ADDED` that its row lacks."""
    dropped = {BASELINE: frozenset(ADDED)}
    for size in range(1, len(ADDED) + 1):
        for names in map(frozenset, itertools.combinations(ADDED, size)):
            dropped[label(names)] = names
            if added := "".join(f"+{name}" for name in ADDED if name not in names):
                dropped[added] = names
    return dropped


def label_problem(name: str, edits: Mapping[str, Any], config: Config) -> str:
    """Problem of a row that has such a label and other edits than its options give; empty if there is none.

    Args:
        edits: of the full config `config`, which accepts them.
    """
    names = reserved_labels().get(name)
    if names is None:
        return ""
    try:
        expected = apply(config, drop_edits(names, config))
    except InputError:  # the full config lacks a component, so that no option gives this row
        return ""
    if apply(config, edits) == expected:
        return ""
    return f"row {name}: this label is of the full method without {', '.join(sorted(names))}; choose another name"
