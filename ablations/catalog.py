"""What `--drop NAME` means: each component, the edits that take it out, and what differs in combination."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gckd.config import Config, value_at
from gckd.config.distill import MutualNeighbours, NoMatching, NoTargets, NoTeacher
from gckd.config.graph import NoPropagation
from gckd.dist.plan import FULL
from gckd.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True)
class Component:
    """A part of the method that a row can go without."""

    doc: str
    edits: Mapping[str, Any]


# The order here is the order of names in a row's label.
COMPONENTS: dict[str, Component] = {
    "gmp": Component(
        "the graph: no KNN, no GNN, no propagated embeddings; CMKD works on the raw teacher embeddings",
        {"graph.propagate": NoPropagation()},
    ),
    "cmkd": Component(
        "the teacher: no EMA, no soft targets, no cross-domain matching; propagated embeddings learn from mutual "
        "nearest neighbours",
        {
            "distill.teacher": NoTeacher(),
            "distill.targets": MutualNeighbours(),
            "distill.matching": NoMatching(),
        },
    ),
}

# Edits that replace the components' own when all of a set are out.
TOGETHER: dict[frozenset[str], Mapping[str, Any]] = {
    # Mutual neighbours need the graph; without it nothing is learned from the target: the source-only baseline.
    frozenset({"gmp", "cmkd"}): {"distill.targets": NoTargets()},
}


def label(names: Iterable[str]) -> str:
    """`-gmp-cmkd` for both; `full` for none."""
    chosen = set(names)
    return "".join(f"-{name}" for name in COMPONENTS if name in chosen) or FULL


def drop_edits(names: frozenset[str], config: Config) -> dict[str, Any]:
    """The edits of `config` that take the components `names` out, all of them.

    Raises:
        InputError: a name is unknown (the message lists the names), or `config` does not have that component.
    """
    unknown = sorted(names - set(COMPONENTS))
    if unknown:
        raise InputError(f"--drop: {unknown[0]!r} is no component; the components are {', '.join(COMPONENTS)}")
    edits: dict[str, Any] = {}
    for name, component in COMPONENTS.items():
        if name in names:
            own = _effective(component.edits, config)
            if not own:
                raise InputError(f"--drop: {name!r} changes nothing, the full config is without it already")
            edits |= component.edits
    for together, replacing in TOGETHER.items():
        if together <= names:
            edits |= replacing
    return _effective(edits, config)


def parse_drop(text: str) -> frozenset[str]:
    """`gmp,cmkd` -> the two names.

    Raises:
        InputError: no name, or one twice.
    """
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise InputError(f"--drop: {text!r} has an empty name; write it as NAME or NAME,NAME")
    if len(set(names)) < len(names):
        raise InputError(f"--drop: {text!r} names a component twice")
    return frozenset(names)


def drop_rows(drops: Iterable[str], config: Config) -> dict[str, dict[str, Any]]:
    """Row label -> edits, for each `--drop` text, in their order.

    Raises:
        InputError: two of them are the same row, or `parse_drop` or `drop_edits` refuses one.
    """
    rows: dict[str, dict[str, Any]] = {}
    for text in drops:
        names = parse_drop(text)
        edits = drop_edits(names, config)
        if label(names) in rows:
            raise InputError(f"--drop: {text!r} is asked for twice")
        rows[label(names)] = edits
    return rows


def _effective(edits: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """The edits that change something: a full config may lack a part of a component (`--set distill.matching=none`)."""
    return {path: value for path, value in edits.items() if value_at(config, path) != value}
