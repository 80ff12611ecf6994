"""Warnings: signs in the curves that a part of the method did not work, each with a remedy."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gckd.report.curves import AUDIT_PREFIX, CurvePoint, reads_labels

Encoded = Mapping[str, object]  # a config as `gckd.config.encode` returns it
CurveEnds = Mapping[str, tuple[float | None, float]]  # curve -> value before adaptation (None: unknown), last value

MIN_CROSS_EDGES = 0.01  # share; a tenth of an edge per node at K = 10: message passing stays within its domain
MIN_ACCEPTED = 0.01  # share; less than one pair in a batch of 64: most steps match nothing
MIN_CHANGE = 1e-3  # 1 - cosine; 0.001 is an angle of 2.6 degrees, less does not reorder neighbours
MAX_FALL = 1.0  # points of Rank-1, one query in a hundred; seeds differ by more than a smaller fall
# Share of the source model's effective rank above 1, the rank of a single direction. The gate of the search is the same
# share of the whole rank.
COLLAPSE = 0.5


@dataclass(frozen=True)
class Remedy:
    """Advice that changes a config field. It is given only where the field has an effect.

    field: path, which the row's config must have. unless: value of the field that makes the advice pointless. curve:
    curve that the row must have; empty: none.
    """

    text: str
    field: str
    unless: object = None
    curve: str = ""


@dataclass(frozen=True)
class WarningRule:
    """Rule for the curves whose name starts with `curve`.

    title: the sign in a few words. applies: of (value before adaptation, last value). text: with {name}, {start} and
    {last}. scale: of the values in the text.
    """

    curve: str
    title: str
    applies: Callable[[float | None, float], bool]
    text: str
    remedies: tuple[Remedy, ...]
    scale: float = 1.0


@dataclass(frozen=True)
class FailureWarning:
    """A sign of failure in the curves of a row. remedies: those that apply to the row's config."""

    rule: WarningRule
    row: str
    text: str
    remedies: tuple[Remedy, ...]

    def __str__(self) -> str:
        """`WARNING, row full, seed 0: ... Remedy: ...`."""
        ending = f" Remedy: {_listed(self.remedies)}." if self.remedies else ""
        return f"WARNING, row {self.row}, {self.text}.{ending}"


_LOWER_LR = Remedy("lower adapt.lr", "adapt.lr")
_LOWER_WEIGHT = Remedy("lower weights.target_contrastive", "weights.target_contrastive", curve="target_contrastive")
_RAISE_K = Remedy("raise graph.propagate.k", "graph.propagate.k")
WARNING_RULES = (
    WarningRule(
        "cross_edges_",
        "the graph does not connect the domains",
        lambda start, last: last < MIN_CROSS_EDGES,
        f"{{last:.2f}} % of the edges of target nodes ({{name}}) cross the domains, less than "
        f"{100 * MIN_CROSS_EDGES:g} %: the graph does not connect the domains",
        (Remedy("set centre=true, which removes the offset between the domains", "centre", unless=True), _RAISE_K),
        100,
    ),
    WarningRule(
        "accepted_share",
        "cross-domain matching learns from almost nothing",
        lambda start, last: last < MIN_ACCEPTED,
        f"{{last:.2f}} % of the target pairs pass delta, less than {100 * MIN_ACCEPTED:g} %: cross-domain matching "
        "learns from almost nothing",
        (Remedy("lower distill.matching.delta", "distill.matching.delta"),),
        100,
    ),
    WarningRule(
        "propagation_change_",
        "message passing leaves its input almost unchanged",
        lambda start, last: last < MIN_CHANGE,
        f"message passing ({{name}}) leaves its input almost unchanged: 1 - cosine is {{last:.1e}}, less than "
        f"{MIN_CHANGE:g}",
        (
            Remedy("lower graph.propagate.residual", "graph.propagate.residual", unless=0.0),
            _RAISE_K,
            Remedy("raise graph.propagate.layers", "graph.propagate.layers"),
        ),
    ),
    WarningRule(
        "target_val_rank_1",
        "target val Rank-1 fell below that of the source model",
        lambda start, last: start is not None and last < start - MAX_FALL,
        "target val Rank-1 fell from {start:.1f}, the source model before adaptation, to {last:.1f}",
        (_LOWER_LR, _LOWER_WEIGHT, Remedy("raise distill.teacher.m", "distill.teacher.m")),
    ),
    WarningRule(
        "target_rank_me",
        "embeddings collapse",
        lambda start, last: start is not None and last - 1 < COLLAPSE * (start - 1),
        f"embeddings collapse: their effective rank fell from {{start:.2f}} to {{last:.2f}}; its excess over 1, the "
        f"rank of a single direction, is below {COLLAPSE:g} of the source model's",
        (_LOWER_LR, _LOWER_WEIGHT, Remedy("raise distill.targets.sharpen", "distill.targets.sharpen")),
    ),
)


def failure_warnings(
    points: Sequence[CurvePoint], configs: Mapping[str, Encoded] | None = None
) -> list[FailureWarning]:
    """One warning for each rule, curve and row: the seeds to which it applies, and the values of the first.

    Args:
        configs: row -> its encoded config, see `gckd.report.row_configs`. A remedy for a field that the row does not
            have is left out. None: every remedy is given.
    """
    runs = _curve_ends(points)
    rows = dict.fromkeys(row for row, _ in runs)
    return [
        warning
        for rule in WARNING_RULES
        for row in rows
        for warning in _warnings(rule, row, runs, None if configs is None else configs.get(row))
    ]


def grouped(warnings: Sequence[FailureWarning]) -> list[str]:
    """One line for each rule: the sign in a few words, its rows, and the remedies that all of these rows have."""
    lines = []
    for rule in dict.fromkeys(warning.rule for warning in warnings):
        of_rule = [warning for warning in warnings if warning.rule is rule]
        shared = [remedy for remedy in rule.remedies if all(remedy in warning.remedies for warning in of_rule)]
        ending = f"; remedy: {_listed(shared)}" if shared else ""
        lines.append(f"{rule.title} in {', '.join(dict.fromkeys(w.row for w in of_rule))}{ending}")
    return lines


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


def _warnings(
    rule: WarningRule, row: str, runs: Mapping[tuple[str, int], CurveEnds], config: Encoded | None
) -> Iterator[FailureWarning]:
    seeds_of_row = {seed: ends for (name, seed), ends in runs.items() if name == row}
    curves = dict.fromkeys(name for ends in seeds_of_row.values() for name in ends)
    remedies = tuple(remedy for remedy in rule.remedies if config is None or _applies(remedy, config, curves))
    for curve in (name for name in curves if name.startswith(rule.curve)):
        seeds = [seed for seed, ends in sorted(seeds_of_row.items()) if curve in ends and rule.applies(*ends[curve])]
        if seeds:
            yield FailureWarning(rule, row, _text(rule, curve, seeds, seeds_of_row[seeds[0]][curve]), remedies)


def _applies(remedy: Remedy, config: Encoded, curves: Container[str]) -> bool:
    """Whether the row has the field of a remedy, with a value that the advice can change."""
    node: object = config
    for name in remedy.field.split("."):
        if not isinstance(node, Mapping) or name not in node:
            return False
        node = node[name]
    return (remedy.unless is None or node != remedy.unless) and (not remedy.curve or remedy.curve in curves)


def _text(rule: WarningRule, curve: str, seeds: Sequence[int], ends: tuple[float | None, float]) -> str:
    start, last = ends
    values = {"start": rule.scale * (start or 0.0), "last": rule.scale * last}
    sign = rule.text.format(name=curve.removeprefix(rule.curve), **values)
    labels = " (uses labels of target val)" if reads_labels(curve) else ""
    seed_text = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))} (values of the first)"
    return f"{seed_text}: {sign}{labels}"


def _listed(remedies: Sequence[Remedy]) -> str:
    """`lower a, or raise b`."""
    return ", or ".join(remedy.text for remedy in remedies)
