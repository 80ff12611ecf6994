"""How much does the result depend on a hyperparameter, alone and with another one?"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gckd.config.edit import encoded_at
from gckd.report.checks.finding import PALETTE, Finding, Results, mean, panels
from gckd.report.statistics import estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Values = tuple[Any, ...]  # of some config paths
Scores = dict[Values, list[float]]  # of Rank-1, one a seed

SYMBOLS = {
    "graph.propagate.k": "K",
    "graph.memory.capacity": "C",
    "distill.matching.delta": "delta",
    "distill.teacher.m": "m",
}
_NEAR = PALETTE[2]


def sensitivity(results: Results) -> Iterator[Finding]:
    """A panel for each path that rows change alone, with 95 % intervals over seeds; a heat map for each pair."""
    edits = {str(r["row"]): json.loads(r["edits"] or "{}") for r in results.done}
    single = list(dict.fromkeys(path for found in edits.values() if len(found) == 1 for path in found))
    pairs = list(dict.fromkeys(tuple(sorted(found, key=_rank)) for found in edits.values() if len(found) == 2))
    shown: list[tuple[str, ...]] = [(path,) for path in single if _is_swept(path, edits)] + pairs
    if not shown:
        return
    across = min(len(shown), 3)
    figure, axes = panels(-(-len(shown) // across), across, width=4.2, height=3.3)
    tables = {paths: scores(results, paths) for paths in shown}
    for axis, (paths, table) in zip(axes, tables.items(), strict=False):
        (_panel if len(paths) == 1 else _heat_map)(axis, results, paths, table)
    single_axes = axes[: sum(len(paths) == 1 for paths in shown)]
    limits = [limit for axis in single_axes for limit in axis.get_ylim()]
    for axis in single_axes:
        axis.set_ylim(min(limits), max(limits))  # alike: which parameter matters most is seen at a glance
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    words = _spread(tables), _plateaus(tables), _grid(results, tables)
    title = "Rank-1 on target test, %   (bars: 95 %; green: within a standard deviation of the best; ring: full)"
    yield Finding("sensitivity", title, words, False, figure)


def _is_swept(path: str, edits: Mapping[str, Mapping[str, Any]]) -> bool:
    return sum(list(found) == [path] for found in edits.values()) >= 2


def scores(results: Results, paths: tuple[str, ...]) -> Scores:
    """Rank-1 of every run that differs from the full method in these paths at most, by their values, in their order.

    Of two paths only the values that stand together with a changed value of the other.
    """
    own = _own(results, paths)
    found: Scores = {}
    together = [{value} for value in own]
    for record in results.done:
        edits = {path: _plain(value) for path, value in json.loads(record["edits"] or "{}").items()}
        if set(edits) <= set(paths):
            values = tuple(edits.get(path, value) for path, value in zip(paths, own, strict=True))
            found.setdefault(values, []).append(float(record["rank_1"]))
            if len(edits) == len(paths):
                for seen, value in zip(together, values, strict=True):
                    seen.add(value)
    kept = {v: s for v, s in found.items() if all(x in seen for x, seen in zip(v, together, strict=True))}
    return dict(sorted(kept.items(), key=lambda item: [_order(value) for value in item[0]]))


def _own(results: Results, paths: Sequence[str]) -> Values:
    return tuple(_plain(encoded_at(results.config, path)) for path in paths)


def _plain(value: Any) -> Any:
    """A component by its kind, any other value as it is."""
    return value["kind"] if isinstance(value, dict) else value


def near_best(table: Scores) -> tuple[Values, float | None, set[Values]]:
    """The values of the highest mean, its standard deviation over seeds (None with one), and all within it."""
    means = {values: mean(found) for values, found in table.items()}
    best = max(means, key=lambda values: means[values])
    if len(table[best]) < 2:
        return best, None, {best}
    deviation = statistics.stdev(table[best])
    return best, deviation, {values for values, value in means.items() if value >= means[best] - deviation}


def _panel(axis: Axes, results: Results, paths: Sequence[str], table: Scores) -> None:
    near = near_best(table)[2]
    (own,) = _own(results, paths)
    for place, (values, found) in enumerate(table.items()):
        guess = estimate(found)
        colour = _NEAR if values in near else "#555555"
        axis.errorbar(place, guess.mean, yerr=guess.half_width, fmt="o", color=colour, capsize=3, linewidth=1.2)
        if values[0] == own:
            axis.plot(place, guess.mean, "o", markersize=12, fillstyle="none", color=PALETTE[6])
    axis.plot([mean(found) for found in table.values()], color="#999999", linewidth=0.8, zorder=0)
    axis.set_xticks(range(len(table)), [_text(values[0]) for values in table])
    axis.set_xlim(-0.5, len(table) - 0.5)
    axis.set_title(_symbol(paths[0]), fontsize=10)


def _heat_map(axis: Axes, results: Results, paths: Sequence[str], table: Scores) -> None:
    rows, columns = (sorted({values[side] for values in table}, key=_order) for side in (0, 1))
    (best, deviation, near), own = near_best(table), _own(results, paths)
    cells = [[mean(table.get((row, column), ())) for column in columns] for row in rows]
    drawn = axis.imshow(cells, cmap="cividis", aspect="auto", origin="lower")
    low, high = drawn.get_clim()
    if deviation is not None:  # or noise alone would be painted from one end of the scale to the other
        low = min(low, mean(table[best]) - 2 * deviation)
        drawn.set_clim(low, high)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            if (row, column) in table:
                dark = cells[i][j] < (low + high) / 2
                weight = "bold" if (row, column) in near else "normal"
                text = f"{cells[i][j]:.1f}" + ("\nfull" if (row, column) == own else "")
                axis.text(
                    j, i, text, ha="center", va="center", fontsize=8, color="white" if dark else "black", weight=weight
                )
            if (row, column) in near:
                _outline(axis, j, i)
    axis.set_xticks(range(len(columns)), [_text(value) for value in columns])
    axis.set_yticks(range(len(rows)), [_text(value) for value in rows])
    axis.set(xlabel=_symbol(paths[1]), ylabel=_symbol(paths[0]))
    axis.set_title(f"{_symbol(paths[0])} x {_symbol(paths[1])}", fontsize=10)


def _outline(axis: Axes, x: int, y: int) -> None:
    from matplotlib.patches import Rectangle

    axis.add_patch(Rectangle((x - 0.47, y - 0.47), 0.94, 0.94, fill=False, edgecolor=_NEAR, linewidth=2.5))


def _spread(tables: Mapping[tuple[str, ...], Scores]) -> str:
    spread = {}
    for paths, table in tables.items():
        if len(paths) == 1:
            means = {values[0]: mean(found) for values, found in table.items()}
            low, high = min(means, key=lambda v: means[v]), max(means, key=lambda v: means[v])
            spread[paths[0]] = (means[high] - means[low], low, high, means[low], means[high])
    if not spread:
        return "No parameter was changed by itself."
    most, least = (pick(spread, key=lambda path: spread[path][0]) for pick in (max, min))
    points, low, high, worst, best = spread[most]
    said = (
        f"Rank-1 depends most on {_symbol(most)}: {worst:.1f} at {_text(low)}, {best:.1f} at {_text(high)}, "
        f"{points:.1f} points"
    )
    return said + (f"; and least on {_symbol(least)}: {spread[least][0]:.1f} points." if len(spread) > 1 else ".")


def _plateaus(tables: Mapping[tuple[str, ...], Scores]) -> str:
    told = []
    for paths, table in tables.items():
        if len(paths) == 1:
            _, deviation, near = near_best(table)
            listed = ", ".join(_text(values[0]) for values in table if values in near)
            told.append(f"{_symbol(paths[0])} = {listed}" + ("" if deviation is None else f" ({deviation:.1f} points)"))
    if not told:
        return "Without a parameter that was changed by itself there is no plateau to tell."
    return "Within one standard deviation over seeds of the best: " + "; ".join(told) + "."


def _grid(results: Results, tables: Mapping[tuple[str, ...], Scores]) -> str:
    for paths, table in tables.items():
        if len(paths) == 2:
            best, deviation, near = near_best(table)
            own = _own(results, paths)
            names = [_symbol(path) for path in paths]
            told = " and ".join(f"{name} = {_text(value)}" for name, value in zip(names, best, strict=True))
            inside = f"the full method's own is {'' if own in near else 'not '}among them"
            if deviation is None:
                return (
                    f"Of {len(table)} combinations of {' and '.join(names)} {told} is best; one seed has no deviation."
                )
            return (
                f"Of {len(table)} combinations of {' and '.join(names)} {told} is best ({mean(table[best]):.1f}), "
                f"{len(near)} lie within its standard deviation of {deviation:.1f} points, and {inside}."
            )
    return "No two parameters were changed together."


def _rank(path: str) -> tuple[int, str]:
    """Paths with a symbol first, in their order."""
    return (list(SYMBOLS).index(path) if path in SYMBOLS else len(SYMBOLS)), path


def _symbol(path: str) -> str:
    return SYMBOLS.get(path, path.rpartition(".")[2])


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _order(value: Any) -> tuple[bool, float, str]:
    """Numbers by size, then the rest by name."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return not number, float(value) if number else 0.0, _text(value)
