"""What a part is worth in each of several tables: on other datasets, at other shifts, in other backbones."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from tabulate import tabulate

from gckd.report.summary import DIFFERENCES, FULL, METRICS, RowSummary

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from rich.console import Console

    from gckd.report.statistics import Estimate

Blocks = Mapping[str, Sequence[RowSummary]]
_HEADER = ["block", "full, Rank-1", "gain over row", *(f"{METRICS[name]} gain" for name in DIFFERENCES)]
CAPTION = "Gain: full - row, paired seed by seed, ± 95 % (Student's t). Blocks are never averaged over."
_NUMBER = re.compile(r"-(\d+(?:\.\d+)?)$")


def write_blocks(folder: Path, blocks: Blocks, question: str, console: Console) -> None:
    """Prints the gains of all blocks; writes blocks.md and figures/gains.{png,svg,json} into `folder`."""
    lines = [line for name, rows in blocks.items() for line in _lines(name, rows)]
    said = words(blocks)
    table = Table(*_HEADER, caption="\n".join((CAPTION, *said)), caption_justify="left")
    for line in lines:
        table.add_row(*line)
    console.print(table)
    text = "\n\n".join((question, tabulate(lines, _HEADER, tablefmt="pipe", disable_numparse=True), CAPTION, *said))
    (folder / "blocks.md").write_text(text.strip() + "\n", encoding="utf-8")
    draw_gains(blocks, folder / "figures", said)


def _lines(block: str, rows: Sequence[RowSummary]) -> list[list[str]]:
    full = _written(_of(rows, FULL).metrics.get("rank_1"), "{:.1f}")
    return [
        [block, full, row.row, *(_written(row.to_full.get(name), "{:+.1f}") for name in DIFFERENCES)]
        for row in rows
        if row.row != FULL
    ]


def words(blocks: Blocks) -> list[str]:
    """For each row, in plain words: where the full method is better, where worse, where nothing can be told."""
    found = []
    for row in _rows(blocks):
        gains = {name: _of(rows, row).to_full.get("rank_1") for name, rows in blocks.items()}
        known = {name: gain for name, gain in gains.items() if gain and gain.half_width is not None}
        better = [name for name, g in known.items() if g.mean - (g.half_width or 0) > 0]
        worse = [name for name, g in known.items() if g.mean + (g.half_width or 0) < 0]
        open_ = [name for name in gains if name not in {*better, *worse}]
        parts = [
            f"{says} {', '.join(names)}"
            for says, names in (("better in", better), ("worse in", worse), ("not told apart in", open_))
            if names
        ]
        found.append(f"Rank-1 of full against {row}: {'; '.join(parts)}.")
    return found


def draw_gains(blocks: Blocks, folder: Path, said: Sequence[str]) -> None:
    """Gain over each row in each block with its interval; along a scale where all names end in a number."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(exist_ok=True)
    ends = [_NUMBER.search(name) for name in blocks]
    places = [float(end[1]) for end in ends if end] if all(ends) else list(map(float, range(len(blocks))))
    figure, axes = pyplot.subplots(1, len(DIFFERENCES), figsize=(9.0, 3.4), layout="constrained")
    for axis, metric in zip(axes, DIFFERENCES, strict=True):
        _draw(axis, blocks, metric, places)
        axis.set_ylabel(f"gain in {METRICS[metric]} (percentage points)")
        if all(ends):
            axis.set_xlabel(_NUMBER.sub("", next(iter(blocks))))
        else:
            axis.set_xticks(places, list(blocks), rotation=30, ha="right")
    axes[0].legend(fontsize=8)
    for kind in ("png", "svg"):
        figure.savefig(folder / f"gains.{kind}", dpi=120)
    pyplot.close(figure)
    note = {"title": "What the full method gains over each row", "words": list(said), "uses_target_labels": False}
    (folder / "gains.json").write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")


def _draw(axis: Axes, blocks: Blocks, metric: str, places: Sequence[float]) -> None:
    axis.axhline(0, color="grey", linewidth=0.8)
    step = (max(places) - min(places)) / (len(places) - 1 or 1)
    for number, row in enumerate(_rows(blocks)):
        gains = [_of(rows, row).to_full.get(metric) for rows in blocks.values()]
        there = [(x + 0.04 * step * number, g) for x, g in zip(places, gains, strict=True) if g]
        axis.errorbar(
            [x for x, _ in there],
            [g.mean for _, g in there],
            yerr=[g.half_width or 0.0 for _, g in there],
            label=f"full against {row}",
            marker="o",
            markersize=4,
            capsize=3,
            linewidth=1.2,
        )


def _rows(blocks: Blocks) -> list[str]:
    """Rows that every block has, the full one apart."""
    first = [row.row for row in next(iter(blocks.values())) if row.row != FULL]
    return [name for name in first if all(any(r.row == name for r in rows) for rows in blocks.values())]


def _of(rows: Sequence[RowSummary], name: str) -> RowSummary:
    return next(row for row in rows if row.row == name)


def _written(value: Estimate | None, form: str) -> str:
    if value is None:
        return ""
    return form.format(value.mean) + ("" if value.half_width is None else f" ± {value.half_width:.1f}")
