"""What each component contributes, from a table with every combination of them: Shapley values and interactions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gckd.report.small_tables import Aside
from gckd.report.statistics import estimate
from gckd.report.summary import DIFFERENCES, FULL, METRICS

_HEADER = ["component", *(f"Shapley value, {METRICS[name]}" for name in DIFFERENCES)]
_CAPTION = "Shapley value: mean gain over all orders of adding; A x B: what the two gain beyond each alone; ± 95 %."

Values = Mapping[frozenset[str], float]  # components that are in -> a metric


def shapley(values: Values) -> dict[str, float]:
    """Mean gain of each component over all orders in which they can be added (Shapley 1953). They sum to the whole.

    Args:
        values: of every subset of the components.
    """
    names = sorted(frozenset().union(*values))
    return {name: _mean_over_subsets(values, names, (name,)) for name in names}


def interactions(values: Values) -> dict[tuple[str, str], float]:
    """For each pair, what the two gain together beyond what each gains alone, averaged over the company they are in.

    The Shapley interaction index (Grabisch and Roubens, International Journal of Game Theory 28, 1999); 0 where
    effects only add up, below 0 where one does what the other does.
    """
    names = sorted(frozenset().union(*values))
    return {pair: _mean_over_subsets(values, names, pair) for pair in itertools.combinations(names, 2)}


def _mean_over_subsets(values: Values, names: Sequence[str], group: tuple[str, ...]) -> float:
    """The effect of a group on each subset of the others, weighted by the orders in which that is the company."""
    others = [name for name in names if name not in group]
    n, total = len(others), 0.0
    for size in range(n + 1):
        weight = math.factorial(size) * math.factorial(n - size) / math.factorial(n + 1)
        for company in map(frozenset, itertools.combinations(others, size)):
            total += weight * _effect(values, company, group)
    return total


def _effect(values: Values, company: frozenset[str], group: tuple[str, ...]) -> float:
    """v(company with the group) - ... : inclusion and exclusion over the parts of the group."""
    parts = (frozenset(part) for size in range(len(group) + 1) for part in itertools.combinations(group, size))
    return math.fsum((-1) ** (len(group) - len(part)) * values[company | part] for part in parts)


def contributions(records: Sequence[Mapping[str, Any]], dropped: Mapping[str, Sequence[str]]) -> Aside | None:
    """Each component, then each pair; means over the seeds in which every combination finished, None if there is none.

    Args:
        records: of the table. dropped: row -> components it is without, for every combination but none.
    """
    per_seed = [list(_by_seed(records, dropped, metric)) for metric in DIFFERENCES]
    if not per_seed[0]:
        return None
    alone = [[shapley(values) for values in games] for games in per_seed]
    pairs = [[interactions(values) for values in games] for games in per_seed]
    ones = [[name, *(_written([seed[name] for seed in games]) for games in alone)] for name in alone[0][0]]
    twos = [[" x ".join(pair), *(_written([seed[pair] for seed in games]) for games in pairs)] for pair in pairs[0][0]]
    return Aside("Shapley values", _HEADER, ones + twos, _CAPTION)


def _by_seed(
    records: Sequence[Mapping[str, Any]], dropped: Mapping[str, Sequence[str]], metric: str
) -> Iterator[Values]:
    names = frozenset().union(*dropped.values())
    present = {FULL: names} | {row: names - frozenset(out) for row, out in dropped.items()}
    for seed in sorted({r["seed"] for r in records}):
        done = {r["row"]: r[metric] for r in records if r["seed"] == seed and r["status"] == "done"}
        if present.keys() <= done.keys():
            yield {inside: done[row] for row, inside in present.items()}


def _written(values: Sequence[float]) -> str:
    found = estimate(values)
    return f"{found.mean:+.1f}" + ("" if found.half_width is None else f" ± {found.half_width:.1f}")
