"""Shapley values and interactions of components, from a table with every combination of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gckd.report.small_table import SmallTable
from gckd.report.statistics import estimate
from gckd.report.summary import DIFFERENCES, FULL, METRICS

_HEADER = ["component", *(f"Shapley value, {METRICS[name]}" for name in DIFFERENCES)]
_CAPTION = (
    "Shapley value: mean gain of a component over all orders in which the components can be added. A x B: gain of both "
    "together beyond the sum of their separate gains, averaged over the other components. ±: 95 % interval over seeds."
)

ValueOfSubset = Mapping[frozenset[str], float]  # present components -> a metric


def shapley(values: ValueOfSubset) -> dict[str, float]:
    """Mean gain of each component over all orders in which the components can be added (Shapley, 1953).

    They sum to the difference between all components and none.

    Args:
        values: for every subset of the components.
    """
    names = sorted(frozenset().union(*values))
    return {name: _mean_over_subsets(values, names, (name,)) for name in names}


def interactions(values: ValueOfSubset) -> dict[tuple[str, str], float]:
    """Shapley interaction index of each pair: gain of both beyond the sum of their gains, averaged over the others.

    0: the gains add up; below 0: the two replace each other (Grabisch and Roubens, International Journal of Game
    Theory 28, 1999).
    """
    names = sorted(frozenset().union(*values))
    return {pair: _mean_over_subsets(values, names, pair) for pair in itertools.combinations(names, 2)}


def _mean_over_subsets(values: ValueOfSubset, names: Sequence[str], group: tuple[str, ...]) -> float:
    """Effect of a group on each subset of the other components, weighted by the orders that give the subset."""
    others = [name for name in names if name not in group]
    n, total = len(others), 0.0
    for size in range(n + 1):
        weight = math.factorial(size) * math.factorial(n - size) / math.factorial(n + 1)
        for subset in map(frozenset, itertools.combinations(others, size)):
            total += weight * _effect(values, subset, group)
    return total


def _effect(values: ValueOfSubset, subset: frozenset[str], group: tuple[str, ...]) -> float:
    """v(subset + group) - ...: inclusion and exclusion over the parts of the group."""
    parts = (frozenset(part) for size in range(len(group) + 1) for part in itertools.combinations(group, size))
    return math.fsum((-1) ** (len(group) - len(part)) * values[subset | part] for part in parts)


def shapley_table(records: Sequence[Mapping[str, Any]], dropped: Mapping[str, Sequence[str]]) -> SmallTable | None:
    """Shapley value of each component, then the interaction of each pair.

    They are means over the seeds in which every combination finished; None without such a seed.

    Args:
        records: of the table.
        dropped: row -> components it lacks, for every combination except that of none.
    """
    per_seed = [list(_by_seed(records, dropped, metric)) for metric in DIFFERENCES]
    if not per_seed[0]:
        return None
    effects = [[shapley(values) for values in seeds] for seeds in per_seed]
    pair_effects = [[interactions(values) for values in seeds] for seeds in per_seed]
    lines = [[name, *(_cell([seed[name] for seed in seeds]) for seeds in effects)] for name in effects[0][0]]
    lines += [
        [" x ".join(pair), *(_cell([seed[pair] for seed in seeds]) for seeds in pair_effects)]
        for pair in pair_effects[0][0]
    ]
    return SmallTable("Shapley values", _HEADER, lines, _CAPTION)


def _by_seed(
    records: Sequence[Mapping[str, Any]], dropped: Mapping[str, Sequence[str]], metric: str
) -> Iterator[ValueOfSubset]:
    names = frozenset().union(*dropped.values())
    present = {FULL: names} | {row: names - frozenset(lacking) for row, lacking in dropped.items()}
    for seed in sorted({r["seed"] for r in records}):
        done = {r["row"]: r[metric] for r in records if r["seed"] == seed and r["status"] == "done"}
        if present.keys() <= done.keys():
            yield {components: done[row] for row, components in present.items()}


def _cell(values: Sequence[float]) -> str:
    effect = estimate(values)
    return f"{effect.mean:+z.1f}" + ("" if effect.half_width is None else f" ± {effect.half_width:.1f}")
