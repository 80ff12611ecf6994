"""Warnings: signs in the curves that a part of the method did not work, each with a remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gckd.report.curves import AUDIT_PREFIX, CurvePoint, reads_labels

CurveEnds = Mapping[str, tuple[float | None, float]]  # curve -> value before adaptation (None: unknown), last value

MIN_CROSS_EDGES = 0.01  # share; a tenth of an edge per node at K = 10: message passing stays within its domain
MIN_ACCEPTED = 0.01  # share; less than one pair in a batch of 64: most steps match nothing
MIN_CHANGE = 1e-3  # 1 - cosine; 0.001 is an angle of 2.6 degrees, less does not reorder neighbours
MAX_FALL = 1.0  # points of Rank-1, one query in a hundred; seeds differ by more than a smaller fall
# Share of the source model's effective rank above 1, the rank of a single direction. The gate of the search is the same
# share of the whole rank.
COLLAPSE = 0.5


@dataclass(frozen=True)
class WarningRule:
    """Rule for the curves whose name starts with `curve`.

    applies: of (value before adaptation, last value). text: with {name}, {start} and {last}. scale: of the values in
    the text.
    """

    curve: str
    applies: Callable[[float | None, float], bool]
    text: str
    remedy: str
    scale: float = 1.0


WARNING_RULES = (
    WarningRule(
        "cross_edges_",
        lambda start, last: last < MIN_CROSS_EDGES,
        f"{{last:.2f}} % of the edges of target nodes ({{name}}) cross the domains, less than "
        f"{100 * MIN_CROSS_EDGES:g} %: the graph does not connect the domains",
        "set centre=true, which removes the offset between the domains, or raise graph.propagate.k",
        100,
    ),
    WarningRule(
        "accepted_share",
        lambda start, last: last < MIN_ACCEPTED,
        f"{{last:.2f}} % of the target pairs pass delta, less than {100 * MIN_ACCEPTED:g} %: cross-domain matching "
        "learns from almost nothing",
        "lower distill.matching.delta",
        100,
    ),
    WarningRule(
        "propagation_change_",
        lambda start, last: last < MIN_CHANGE,
        f"message passing ({{name}}) leaves its input almost unchanged: 1 - cosine is {{last:.1e}}, less than "
        f"{MIN_CHANGE:g}",
        "lower graph.propagate.residual, or raise graph.propagate.k or .layers",
    ),
    WarningRule(
        "target_val_rank_1",
        lambda start, last: start is not None and last < start - MAX_FALL,
        "target val Rank-1 fell from {start:.1f}, the source model before adaptation, to {last:.1f}",
        "lower adapt.lr or weights.target_contrastive, or raise distill.teacher.m",
    ),
    WarningRule(
        "target_rank_me",
        lambda start, last: start is not None and last - 1 < COLLAPSE * (start - 1),
        f"embeddings collapse: their effective rank fell from {{start:.2f}} to {{last:.2f}}; its excess over 1, the "
        f"rank of a single direction, is below {COLLAPSE:g} of the source model's",
        "lower adapt.lr or weights.target_contrastive, or raise distill.targets.sharpen",
    ),
)


def failure_warnings(points: Sequence[CurvePoint]) -> list[str]:
    """One line for each rule, curve and row: the seeds to which it applies, values of the first, and the remedy."""
    runs = _curve_ends(points)
    rows = dict.fromkeys(row for row, _ in runs)
    return [line for rule in WARNING_RULES for row in rows for line in _lines(rule, row, runs)]


def label_use_notes(points: Sequence[CurvePoint]) -> list[str]:
    """Statement that curves read labels of the target's train split; empty if none did."""
    if not any(str(p["name"]).startswith(AUDIT_PREFIX) for p in points):
        return []
    return [
        f"Uses target labels: curves {AUDIT_PREFIX}* read the labels of the target's TRAIN split (evaluate.audit), "
        "only to understand the runs; nothing was trained or chosen by them."
    ]


def _curve_ends(points: Sequence[CurvePoint]) -> dict[tuple[str, int], CurveEnds]:
    """(row, seed) -> ends of its curves of the adaptation."""
    ends_of_runs: dict[tuple[str, int], dict[str, tuple[float | None, float]]] = {}
    for p in sorted((p for p in points if p["stage"] == "adapt"), key=lambda p: int(p["step"])):
        ends = ends_of_runs.setdefault((str(p["row"]), int(p["seed"])), {})
        start = float(p["value"]) if p["step"] == 0 else ends.get(p["name"], (None, 0.0))[0]
        ends[str(p["name"])] = start, float(p["value"])
    return dict(ends_of_runs)


def _lines(rule: WarningRule, row: str, runs: Mapping[tuple[str, int], CurveEnds]) -> Iterator[str]:
    seeds_of_row = {seed: ends for (name, seed), ends in runs.items() if name == row}
    for curve in dict.fromkeys(name for ends in seeds_of_row.values() for name in ends if name.startswith(rule.curve)):
        seeds = [seed for seed, ends in sorted(seeds_of_row.items()) if curve in ends and rule.applies(*ends[curve])]
        if seeds:
            yield _line(rule, row, curve, seeds, seeds_of_row[seeds[0]][curve])


def _line(rule: WarningRule, row: str, curve: str, seeds: Sequence[int], ends: tuple[float | None, float]) -> str:
    start, last = ends
    values = {"start": rule.scale * (start or 0.0), "last": rule.scale * last}
    sign = rule.text.format(name=curve.removeprefix(rule.curve), **values)
    labels = " (uses labels of target val)" if reads_labels(curve) else ""
    seed_text = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))} (values of the first)"
    return f"WARNING, row {row}, {seed_text}: {sign}{labels}. Remedy: {rule.remedy}."
