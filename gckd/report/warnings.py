"""Signs that a part of the method did not do its work, told from the curves alone, each with what to change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Point = Mapping[str, Any]  # row, seed, stage, step, name, value
Ends = Mapping[str, tuple[float | None, float]]  # curve -> its value before adaptation, if known, and its last one

AUDIT = "audit_"  # names of curves that read labels of the target's train split begin so
_VAL = ("target_val", "teacher_target_val")  # and those that read labels of its val split

CROSS_EDGES = 0.01  # share; a tenth of an edge a node at K = 10: message passing stays within its domain
ACCEPTED = 0.01  # share; less than one pair in a batch of 64, so that most steps match nothing
CHANGE = 1e-3  # 1 - cosine of 0.001 is an angle of 2.6 degrees; less orders no neighbours anew
FALL = 1.0  # points of Rank-1; less than that one query in a hundred, and seeds differ by more
COLLAPSE = 0.5  # share of the source model's effective rank, as in the search's gate, but above 1: one direction has 1

_VERDICT = Callable[[float | None, float], bool]


@dataclass(frozen=True)
class WarningRule:
    """A sign, for the curves whose name begins with `curve`: `fails(value before adaptation, last value)`."""

    curve: str
    fails: _VERDICT
    text: str  # with {name}, {start} and {last}
    change: str
    scale: float = 1.0  # of the values in the text


WARNING_RULES = (
    WarningRule(
        "cross_edges_",
        lambda start, last: last < CROSS_EDGES,
        f"{{last:.2f}} % of the edges of target nodes ({{name}}) cross the domains, less than {100 * CROSS_EDGES:g} %: "
        "the graph does not connect them",
        "set centre=true, which takes off what tells the domains apart, or raise graph.propagate.k",
        100,
    ),
    WarningRule(
        "accepted_share",
        lambda start, last: last < ACCEPTED,
        f"{{last:.2f}} % of the target pairs pass delta, less than {100 * ACCEPTED:g} %: cross-domain matching has "
        "next to nothing to learn from",
        "lower distill.matching.delta",
        100,
    ),
    WarningRule(
        "propagation_change_",
        lambda start, last: last < CHANGE,
        f"message passing ({{name}}) leaves what it is given as it is: it changes {{last:.1e}}, less than {CHANGE:g}",
        "lower graph.propagate.residual, or raise graph.propagate.k or .layers",
    ),
    WarningRule(
        "target_val_rank_1",
        lambda start, last: start is not None and last < start - FALL,
        "target val Rank-1 fell from {start:.1f}, the source model before adaptation, to {last:.1f}",
        "lower adapt.lr or weights.target_contrastive, or raise distill.teacher.m",
    ),
    WarningRule(
        "target_rank_me",
        lambda start, last: start is not None and last - 1 < COLLAPSE * (start - 1),
        f"embeddings collapse: their effective rank fell from {{start:.2f}} to {{last:.2f}}; what it has "
        f"above 1, that of a single direction, is below {COLLAPSE:g} of the source model's",
        "lower adapt.lr or weights.target_contrastive, or raise distill.targets.sharpen",
    ),
)


def failure_warnings(points: Sequence[Point]) -> list[str]:
    """One line for each sign and row that has it: which seeds, the first seed's numbers, and what to change."""
    runs = _runs(points)
    return [
        line
        for sign in WARNING_RULES
        for row in dict.fromkeys(row for row, _ in runs)
        for line in _told(sign, row, runs)
    ]


def reads_labels(name: str) -> bool:
    """Whether the curve of this name needs labels of the target."""
    return name.startswith((AUDIT, *_VAL))


def audited(points: Sequence[Point]) -> list[str]:
    """What a table must say whose runs read labels of the target's train split; nothing where none did."""
    if not any(str(p["name"]).startswith(AUDIT) for p in points):
        return []
    return [
        f"Uses target labels: curves {AUDIT}* read the labels of the target's TRAIN split (evaluate.audit), to "
        "understand the runs by; nothing was trained or chosen by them."
    ]


def _runs(points: Sequence[Point]) -> dict[tuple[str, int], Ends]:
    """(row, seed) -> the ends of its curves of the adaptation."""
    found: dict[tuple[str, int], dict[str, tuple[float | None, float]]] = {}
    for p in sorted((p for p in points if p["stage"] == "adapt"), key=lambda p: int(p["step"])):
        ends = found.setdefault((str(p["row"]), int(p["seed"])), {})
        start = float(p["value"]) if p["step"] == 0 else ends.get(p["name"], (None, 0.0))[0]
        ends[str(p["name"])] = start, float(p["value"])
    return dict(found)


def _told(sign: WarningRule, row: str, runs: Mapping[tuple[str, int], Ends]) -> Iterator[str]:
    mine = {seed: ends for (name, seed), ends in runs.items() if name == row}
    for curve in dict.fromkeys(name for ends in mine.values() for name in ends if name.startswith(sign.curve)):
        seeds = [seed for seed, ends in sorted(mine.items()) if curve in ends and sign.fails(*ends[curve])]
        if seeds:
            yield _line(sign, row, curve, seeds, mine[seeds[0]][curve])


def _line(sign: WarningRule, row: str, curve: str, seeds: Sequence[int], ends: tuple[float | None, float]) -> str:
    start, last = ends
    values = {"start": sign.scale * (start or 0.0), "last": sign.scale * last}
    said = sign.text.format(name=curve.removeprefix(sign.curve), **values)
    labels = " (uses labels of target val)" if reads_labels(curve) else ""
    which = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))} (values of the first)"
    return f"WARNING, row {row}, {which}: {said}{labels}. To change it: {sign.change}."
