"""Components of the method that a row can leave out, and the config edits that remove them.

Besides the named components, `--drop` takes the path of any slot that can be `none`, whatever fills it:
`--set align=mmd --drop align`. That includes components of plugins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gckd.config import Config, value_at
from gckd.config.distill import MutualNeighbours, NoMatching, NoTargets, NoTeacher
from gckd.config.graph import NoPropagation
from gckd.config.tree import hints, slots
from gckd.errors import InputError, unknown_choice
from gckd.runs.plan import FULL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True)
class Removal:
    """Removal of a component.

    doc: the component, and what is left without it. edits: config path -> value without the component. part_of: larger
    component that contains it; the two cannot be dropped together.
    """

    doc: str
    edits: Mapping[str, Any]
    part_of: str = ""


# The order of names in a row's label.
COMPONENTS: dict[str, Removal] = {
    "gmp": Removal(
        "the graph: no KNN, no GNN, no propagated embeddings; CMKD uses the raw teacher embeddings",
        {"graph.propagate": NoPropagation()},
    ),
    "cmkd": Removal(
        "the teacher: no EMA, no soft targets, no cross-domain matching; propagated embeddings learn from mutual "
        "nearest neighbours",
        {
            "distill.teacher": NoTeacher(),
            "distill.targets": MutualNeighbours(),
            "distill.matching": NoMatching(),
        },
    ),
    "source-memory": Removal(
        "source embeddings of earlier batches, in the graph, the contrastive loss and the negatives of matching",
        {"graph.memory.source": False},
    ),
    "target-memory": Removal(
        "target embeddings of earlier batches, in the graph and as keys of the pseudo targets",
        {"graph.memory.target": False},
    ),
    "warm-start": Removal(
        "the warm start: the banks are empty at the first step",
        {"graph.memory.warm_start": False},
    ),
    "ema": Removal(
        "the moving average, m = 0: the teacher is the student after its last step",
        {"distill.teacher.m": 0.0},
        part_of="cmkd",
    ),
    "soft-targets": Removal(
        "soft pseudo targets: all probability is on the teacher's most similar key",
        {"distill.targets.hard": True},
        part_of="cmkd",
    ),
    "cd-itm": Removal("cross-domain matching (eq. 9)", {"distill.matching": NoMatching()}, part_of="cmkd"),
    "hard-negatives": Removal(
        "hard negatives of matching: a random source entry replaces the most similar one",
        {"distill.matching.negatives": "random"},
        part_of="cd-itm",
    ),
    "threshold": Removal(
        "the threshold of matching, delta = -1: every most similar pair is a positive",
        {"distill.matching.delta": -1.0},
        part_of="cd-itm",
    ),
    "cross-edges": Removal(
        "edges between the domains: source and target of a modality have separate graphs",
        {"graph.propagate.cross_edges": False},
        part_of="gmp",
    ),
    "image-graph": Removal("the graph of images", {"graph.propagate.images": False}, part_of="gmp"),
    "text-graph": Removal("the graph of captions", {"graph.propagate.texts": False}, part_of="gmp"),
    "gnn-weights": Removal(
        "the weights of the convolution: smoothing replaces it",
        {"graph.propagate.conv": "smooth"},
        part_of="gmp",
    ),
    "mlm": Removal("masked language modelling on the source, by weight 0", {"weights.source_mlm": 0.0}),
}

# Components of the method that the baseline lacks. `--add` can add these, but not their parts.
ADDED = ("gmp", "cmkd")

# Edits that replace the components' own if all components of a set are dropped.
TOGETHER: dict[frozenset[str], Mapping[str, Any]] = {
    # Mutual neighbours need the graph; without it nothing is learned from the target: the source-only baseline.
    frozenset({"gmp", "cmkd"}): {"distill.targets": NoTargets()},
}


def label(names: Iterable[str]) -> str:
    """`-gmp-cmkd` for both; `full` for none."""
    unordered = set(names)
    ordered = [name for name in COMPONENTS if name in unordered] + sorted(unordered - COMPONENTS.keys())
    return "".join(f"-{name}" for name in ordered) or FULL


def drop_edits(names: frozenset[str], config: Config) -> dict[str, Any]:
    """The edits of `config` that remove all of the components `names`.

    Raises:
        InputError: a name is unknown (the message lists the names), is part of another one, or belongs to a component
            that `config` does not have.
    """
    removals = check_names(names, config)
    for name, removal in removals.items():
        _check_part(name, removals)
        _check_fields(name, removal, config)
        if not _effective(removal.edits, config):
            raise InputError(f"--drop: {name!r} changes nothing; the full config does not have it")
    edits = {path: value for removal in removals.values() for path, value in removal.edits.items()}
    for together, replacing in TOGETHER.items():
        if together <= names:
            edits |= replacing
    return _effective(edits, config)


def check_names(names: frozenset[str], config: Config, option: str = "--drop") -> dict[str, Removal]:
    """Name -> its removal, in the order of labels.

    Raises:
        InputError: a name is unknown; the message lists the names.
    """
    removals = {**COMPONENTS, **_slot_removals(config)}
    unknown = sorted(names - removals.keys())
    if unknown:
        raise InputError(f"{option}: {unknown_choice('component', unknown[0], removals)}")
    return {name: removal for name, removal in removals.items() if name in names}


def parse_names(text: str, option: str = "--drop") -> frozenset[str]:
    """`gmp,cmkd` -> the two names.

    Raises:
        InputError: a name is empty or occurs twice.
    """
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise InputError(f"{option}: {text!r} has an empty name; write NAME or NAME,NAME")
    if len(set(names)) < len(names):
        raise InputError(f"{option}: {text!r} has a component twice")
    return frozenset(names)


def _slot_removals(config: Config) -> dict[str, Removal]:
    """Path of a slot -> removal of whatever fills it, for the slots that can be off."""
    return {
        path: Removal(
            f"what fills {path}",
            {path: off()},
            part_of=next((name for name, removal in COMPONENTS.items() if path in removal.edits), ""),
        )
        for path, slot in slots(config)
        for off in slot.choices()
        if off.off
    }


def _check_part(name: str, removals: Mapping[str, Removal]) -> None:
    """Refuses a component of which a larger one is dropped too."""
    part_of = removals[name].part_of
    while part_of:
        if part_of in removals:
            raise InputError(f"--drop: {name!r} is part of {part_of!r}; drop one of the two")
        part_of = COMPONENTS[part_of].part_of


def _check_fields(name: str, removal: Removal, config: Config) -> None:
    """Refuses an edit of a field that the component in `config` does not have."""
    for path in removal.edits:
        slot, _, field = path.rpartition(".")
        component: Any = value_at(config, slot) if slot else config
        if field not in hints(type(component)):
            choices = dict(slots(config))[slot].choices()
            kinds = " or ".join(choice.kind for choice in choices if field in hints(choice))
            raise InputError(
                f"--drop: {name!r} edits {path}, and {slot} = {component.kind} has no field {field!r}; "
                f"set {slot} to {kinds}"
            )


def _effective(edits: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """The edits that change something: parts of a component may be off in `config` (`--set distill.matching=none`)."""
    return {path: value for path, value in edits.items() if value_at(config, path) != value}
