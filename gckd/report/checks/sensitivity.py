"""Sensitivity check: how much does Rank-1 depend on a hyperparameter, alone and together with another one?"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gckd.config.edit import encoded_at
from gckd.report.checks.check_input import CheckInput, mean
from gckd.report.checks.check_result import CheckResult
from gckd.report.checks.panels import PALETTE, panels
from gckd.report.statistics import estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Values = tuple[Any, ...]  # of one or two config paths
Scores = dict[Values, list[float]]  # values -> Rank-1 of each seed

SYMBOLS = {
    "graph.propagate.k": "K",
    "graph.memory.capacity": "C",
    "distill.matching.delta": "delta",
    "distill.teacher.m": "m",
}
_NEAR_BEST_COLOUR = PALETTE[2]


def check_sensitivity(given: CheckInput) -> Iterator[CheckResult]:
    """A panel for each path that rows change alone, with 95 % intervals over seeds; a heat map for each pair of paths.

    No result for a table without a swept path.
    """
    edits = {str(r["row"]): json.loads(r["edits"] or "{}") for r in given.done}
    single = list(dict.fromkeys(path for row_edits in edits.values() if len(row_edits) == 1 for path in row_edits))
    pairs = list(dict.fromkeys(tuple(sorted(e, key=_path_order)) for e in edits.values() if len(e) == 2))
    shown: list[tuple[str, ...]] = [(path,) for path in single if _is_swept(path, edits)] + pairs
    if not shown:
        return
    across = min(len(shown), 3)
    figure, axes = panels(-(-len(shown) // across), across, width=4.2, height=3.3)
    tables = {paths: scores(given, paths) for paths in shown}
    for axis, (paths, table) in zip(axes, tables.items(), strict=False):
        (_draw_sweep if len(paths) == 1 else _draw_heat_map)(axis, given, paths, table)
    single_axes = axes[: sum(len(paths) == 1 for paths in shown)]
    limits = [limit for axis in single_axes for limit in axis.get_ylim()]
    for axis in single_axes:
        axis.set_ylim(min(limits), max(limits))  # a common scale shows which parameter matters most
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    sentences = _largest_effect(tables), _plateaus(tables), _best_combination(given, tables)
    title = "How much does Rank-1 on target test depend on the hyperparameters?"
    key = "Rank-1 in %. Bars: 95 % interval over seeds; green: within one standard deviation of the best; ring: full."
    yield CheckResult("sensitivity", title, key, sentences, False, figure)


def _is_swept(path: str, edits: Mapping[str, Mapping[str, Any]]) -> bool:
    return sum(list(row_edits) == [path] for row_edits in edits.values()) >= 2


def scores(given: CheckInput, paths: tuple[str, ...]) -> Scores:
    """Rank-1 of the runs that differ from the full method only in `paths`, by the values there, in ascending order.

    For two paths, values that never occur together with a changed value of the other path are left out.
    """
    full_values = _full_values(given, paths)
    all_scores: Scores = {}
    combined = [{value} for value in full_values]
    for record in given.done:
        edits = {path: _plain(value) for path, value in json.loads(record["edits"] or "{}").items()}
        if set(edits) <= set(paths):
            values = tuple(edits.get(path, value) for path, value in zip(paths, full_values, strict=True))
            all_scores.setdefault(values, []).append(float(record["rank_1"]))
            if len(edits) == len(paths):
                for path_values, value in zip(combined, values, strict=True):
                    path_values.add(value)
    grid = {v: s for v, s in all_scores.items() if all(x in allowed for x, allowed in zip(v, combined, strict=True))}
    return dict(sorted(grid.items(), key=lambda item: [_value_order(value) for value in item[0]]))


def _full_values(given: CheckInput, paths: Sequence[str]) -> Values:
    return tuple(_plain(encoded_at(given.config, path)) for path in paths)


def _plain(value: Any) -> Any:
    """The kind of an encoded component; any other value unchanged."""
    return value["kind"] if isinstance(value, dict) else value


def near_best(table: Scores) -> tuple[Values, float | None, set[Values]]:
    """Values with the highest mean, its standard deviation over seeds (None: one seed), and all values within it."""
    means = {values: mean(scores) for values, scores in table.items()}
    best = max(means, key=lambda values: means[values])
    if len(table[best]) < 2:
        return best, None, {best}
    deviation = statistics.stdev(table[best])
    return best, deviation, {values for values, value in means.items() if value >= means[best] - deviation}


def _draw_sweep(axis: Axes, given: CheckInput, paths: Sequence[str], table: Scores) -> None:
    near = near_best(table)[2]
    (full_value,) = _full_values(given, paths)
    for place, (values, scores) in enumerate(table.items()):
        rank_1 = estimate(scores)
        colour = _NEAR_BEST_COLOUR if values in near else "#555555"
        axis.errorbar(place, rank_1.mean, yerr=rank_1.half_width, fmt="o", color=colour, capsize=3, linewidth=1.2)
        if values[0] == full_value:
            axis.plot(place, rank_1.mean, "o", markersize=12, fillstyle="none", color=PALETTE[6])
    axis.plot([mean(scores) for scores in table.values()], color="#999999", linewidth=0.8, zorder=0)
    axis.set_xticks(range(len(table)), [_text(values[0]) for values in table])
    axis.set_xlim(-0.5, len(table) - 0.5)
    axis.set_title(_symbol(paths[0]), fontsize=10)


def _draw_heat_map(axis: Axes, given: CheckInput, paths: Sequence[str], table: Scores) -> None:
    rows, columns = (sorted({values[side] for values in table}, key=_value_order) for side in (0, 1))
    (best, deviation, near), full_values = near_best(table), _full_values(given, paths)
    cells = [[mean(table.get((row, column), ())) for column in columns] for row in rows]
    image = axis.imshow(cells, cmap="cividis", aspect="auto", origin="lower")
    low, high = image.get_clim()
    if deviation is not None:  # or the noise of the seeds would span the whole colour scale
        low = min(low, mean(table[best]) - 2 * deviation)
        image.set_clim(low, high)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            if (row, column) in table:
                colour = "white" if cells[i][j] < (low + high) / 2 else "black"
                weight = "bold" if (row, column) in near else "normal"
                text = f"{cells[i][j]:.1f}" + ("\nfull" if (row, column) == full_values else "")
                axis.text(j, i, text, ha="center", va="center", fontsize=8, color=colour, weight=weight)
            if (row, column) in near:
                _draw_outline(axis, j, i)
    axis.set_xticks(range(len(columns)), [_text(value) for value in columns])
    axis.set_yticks(range(len(rows)), [_text(value) for value in rows])
    axis.set(xlabel=_symbol(paths[1]), ylabel=_symbol(paths[0]))
    axis.set_title(f"{_symbol(paths[0])} x {_symbol(paths[1])}", fontsize=10)


def _draw_outline(axis: Axes, x: int, y: int) -> None:
    from matplotlib.patches import Rectangle

    outline = Rectangle((x - 0.47, y - 0.47), 0.94, 0.94, fill=False, edgecolor=_NEAR_BEST_COLOUR, linewidth=2.5)
    axis.add_patch(outline)


def _largest_effect(tables: Mapping[tuple[str, ...], Scores]) -> str:
    """Sentence about the parameters with the largest and the smallest range of means."""
    effects = {}
    for paths, table in tables.items():
        if len(paths) == 1:
            means = {values[0]: mean(scores) for values, scores in table.items()}
            worst, best = min(means, key=lambda v: means[v]), max(means, key=lambda v: means[v])
            effects[paths[0]] = (means[best] - means[worst], worst, best, means[worst], means[best])
    if not effects:
        return "No parameter was changed alone."
    most, least = (pick(effects, key=lambda path: effects[path][0]) for pick in (max, min))
    points, worst, best, lowest, highest = effects[most]
    sentence = (
        f"Rank-1 depends most on {_symbol(most)}: {lowest:.1f} at {_text(worst)} and {highest:.1f} at {_text(best)}, a "
        f"difference of {points:.1f} points"
    )
    if len(effects) == 1:
        return f"{sentence}."
    return f"{sentence}. It depends least on {_symbol(least)}: {effects[least][0]:.1f} points."


def _plateaus(tables: Mapping[tuple[str, ...], Scores]) -> str:
    """Sentence about the values near the best, for each parameter."""
    plateaus = []
    for paths, table in tables.items():
        if len(paths) == 1:
            _, deviation, near = near_best(table)
            listed = ", ".join(_text(values[0]) for values in table if values in near)
            points = "" if deviation is None else f" (SD {deviation:.1f} points)"
            plateaus.append(f"{_symbol(paths[0])} = {listed}{points}")
    if not plateaus:
        return "There is no plateau to report, because no parameter was changed alone."
    return f"Values within one standard deviation over seeds of the best: {'; '.join(plateaus)}."


def _best_combination(given: CheckInput, tables: Mapping[tuple[str, ...], Scores]) -> str:
    """Sentence about the first pair of parameters."""
    for paths, table in tables.items():
        if len(paths) == 2:
            best, deviation, near = near_best(table)
            names = [_symbol(path) for path in paths]
            best_text = " and ".join(f"{name} = {_text(value)}" for name, value in zip(names, best, strict=True))
            sentence = f"Of {len(table)} combinations of {' and '.join(names)}, {best_text} is best"
            if deviation is None:
                return f"{sentence}; one seed has no standard deviation."
            full = "one of them" if _full_values(given, paths) in near else "not one of them"
            return (
                f"{sentence} ({mean(table[best]):.1f}). Combinations within its standard deviation of {deviation:.1f} "
                f"points, itself included: {len(near)}; the full method is {full}."
            )
    return "No two parameters were changed together."


def _path_order(path: str) -> tuple[int, str]:
    """Paths with a symbol first, in the order of `SYMBOLS`."""
    return (list(SYMBOLS).index(path) if path in SYMBOLS else len(SYMBOLS)), path


def _symbol(path: str) -> str:
    return SYMBOLS.get(path, path.rpartition(".")[2])


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _value_order(value: Any) -> tuple[bool, float, str]:
    """Numbers by size, then other values by name."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return not number, float(value) if number else 0.0, _text(value)
