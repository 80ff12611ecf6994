"""What a component is: its name, the edits that take it out, and what taking several out means."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gckd.config import Config, value_at
from gckd.config.distill import MutualNeighbours, NoMatching, NoTargets, NoTeacher
from gckd.config.graph import NoPropagation
from gckd.errors import InputError
from gckd.runs.plan import FULL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True)
class Component:
    """A part of the method that a row can go without.

    part_of: the component that it belongs to, which cannot be taken out beside it. needs: config path -> the kind
    (`gnn`, `gnn or diffusion`) that has to be there for it to be one.
    """

    doc: str
    edits: Mapping[str, Any]
    part_of: str = ""
    needs: Mapping[str, str] = field(default_factory=dict)


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
    "source-memory": Component(
        "source embeddings beyond the step's batch, for the graph, the contrast and the negatives of matching",
        {"graph.memory.source": False},
    ),
    "target-memory": Component(
        "target embeddings beyond the step's batch, for the graph and as keys of the pseudo targets",
        {"graph.memory.target": False},
    ),
    "warm-start": Component(
        "the filling of the banks before the first step: they begin empty",
        {"graph.memory.warm_start": False},
    ),
    "ema": Component(
        "the teacher's memory, m = 0: it is the student after its last step",
        {"distill.teacher.m": 0.0},
        part_of="cmkd",
        needs={"distill.teacher": "ema"},
    ),
    "soft-targets": Component(
        "the softness of pseudo targets: all on the teacher's most similar key",
        {"distill.targets.hard": True},
        part_of="cmkd",
        needs={"distill.targets": "soft"},
    ),
    "cd-itm": Component("cross-domain matching (eq. 9)", {"distill.matching": NoMatching()}, part_of="cmkd"),
    "hard-negatives": Component(
        "the hardness of its negatives: any source entry instead of the most similar one",
        {"distill.matching.negatives": "random"},
        part_of="cd-itm",
        needs={"distill.matching": "cross"},
    ),
    "threshold": Component(
        "its threshold, delta = -1: every most similar pair is a positive",
        {"distill.matching.delta": -1.0},
        part_of="cd-itm",
        needs={"distill.matching": "cross"},
    ),
    "cross-edges": Component(
        "neighbours from the other domain: source and target of a modality are a graph each",
        {"graph.propagate.cross_edges": False},
        part_of="gmp",
        needs={"graph.propagate": "gnn"},
    ),
    "image-graph": Component(
        "the graph of images",
        {"graph.propagate.images": False},
        part_of="gmp",
        needs={"graph.propagate": "gnn or diffusion"},
    ),
    "text-graph": Component(
        "the graph of captions",
        {"graph.propagate.texts": False},
        part_of="gmp",
        needs={"graph.propagate": "gnn or diffusion"},
    ),
    "gnn-weights": Component(
        "the convolution's weights: smoothing takes its place",
        {"graph.propagate.conv": "smooth"},
        part_of="gmp",
        needs={"graph.propagate": "gnn"},
    ),
    "mlm": Component("masked language modelling on the source, by weight 0", {"weights.source_mlm": 0.0}),
}

# What the baseline is without; the parts of these, and what it has itself, cannot be added to it.
ADDED = ("gmp", "cmkd")

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
        InputError: a name is unknown (the message lists the names), is a part of another one, or is of a component
            that `config` does not have.
    """
    check_names(names)
    for name in sorted(names):
        _check_there(name, names, config)
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


def check_names(names: frozenset[str], option: str = "--drop") -> None:
    """Raises InputError where a name is unknown; the message lists the names."""
    unknown = sorted(names - set(COMPONENTS))
    if unknown:
        raise InputError(f"{option}: {unknown[0]!r} is no component; the components are {', '.join(COMPONENTS)}")


def _check_there(name: str, names: frozenset[str], config: Config) -> None:
    """Refuses a component that goes with another one of `names`, or that `config` has no place for."""
    part_of = COMPONENTS[name].part_of
    while part_of:
        if part_of in names:
            raise InputError(f"--drop: {name!r} is a part of {part_of!r}; drop one of the two")
        part_of = COMPONENTS[part_of].part_of
    for path, kind in COMPONENTS[name].needs.items():
        found = value_at(config, path).kind
        if found not in kind.split(" or "):
            raise InputError(f"--drop: {name!r} needs {path} = {kind}, and it is {found}")


def parse_names(text: str, option: str = "--drop") -> frozenset[str]:
    """`gmp,cmkd` -> the two names.

    Raises:
        InputError: no name, or one twice.
    """
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise InputError(f"{option}: {text!r} has an empty name; write it as NAME or NAME,NAME")
    if len(set(names)) < len(names):
        raise InputError(f"{option}: {text!r} names a component twice")
    return frozenset(names)


def _effective(edits: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """The edits that change something: a full config may lack a part of a component (`--set distill.matching=none`)."""
    return {path: value for path, value in edits.items() if value_at(config, path) != value}
