"""What a check finds: a figure, its title, three plain sentences, and whether labels of the target were read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gckd.report.warnings import reads_labels

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from gckd.config import Config

# Colours that all kinds of colour vision tell apart (Okabe and Ito, 2008); later rows take them with other lines.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
SOURCE_COLOUR, TARGET_COLOUR = PALETTE[5], PALETTE[0]
_STYLES = (("-", "o"), ("--", "s"), (":", "^"), ("-.", "D"))
_LABELS_LINE = "uses target labels, for understanding only"
_DPI = 150


@dataclass(frozen=True)
class Results:
    """A table's runs: records, curves, the full row's config, and the folder they are in."""

    records: Sequence[Mapping[str, Any]]
    curves: Sequence[Mapping[str, Any]]
    config: Config
    folder: Path

    @property
    def done(self) -> list[Mapping[str, Any]]:
        return [r for r in self.records if r["status"] == "done"]

    @property
    def rows(self) -> list[str]:
        """Rows with a finished run, in the order of the records."""
        return list(dict.fromkeys(str(r["row"]) for r in self.done))

    def rank_1(self) -> dict[tuple[str, int], float]:
        """(row, seed) -> Rank-1 on target test, percent."""
        return {(str(r["row"]), int(r["seed"])): float(r["rank_1"]) for r in self.done}

    def curve(self, name: str, row: str) -> dict[int, dict[int, float]]:
        """Step -> seed -> value of a curve of the adaptation, in the order of the steps."""
        found: dict[int, dict[int, float]] = {}
        for p in sorted(self.curves, key=lambda p: int(p["step"])):
            if (p["stage"], p["name"], p["row"]) == ("adapt", name, row):
                found.setdefault(int(p["step"]), {})[int(p["seed"])] = float(p["value"])
        return found

    def last(self, name: str, row: str) -> dict[int, float]:
        """Seed -> value at the last step of the curve; empty where there is none."""
        curve = self.curve(name, row)
        return curve[max(curve)] if curve else {}


@dataclass(frozen=True)
class Finding:
    """`name` is the file's; `words` are three sentences."""

    name: str
    title: str
    words: tuple[str, str, str]
    uses_target_labels: bool
    figure: Figure

    def write(self, folder: Path) -> None:
        """Writes `figures/<name>.png`, `.svg` and `.json` into the folder of the table."""
        import matplotlib

        figures = folder / "figures"
        figures.mkdir(parents=True, exist_ok=True)
        if self.uses_target_labels:
            self.figure.supxlabel(_LABELS_LINE, fontsize=8, color="#a00000", x=0.01, ha="left")
        self.figure.suptitle(self.title, fontsize=11, x=0.01, ha="left")
        with matplotlib.rc_context({"svg.hashsalt": self.name}):  # the same file every time
            self.figure.savefig(figures / f"{self.name}.png", dpi=_DPI)
            self.figure.savefig(figures / f"{self.name}.svg", metadata={"Date": None})
        said = {"title": self.title, "words": list(self.words), "uses_target_labels": self.uses_target_labels}
        text = json.dumps(said, indent=1, ensure_ascii=False) + "\n"
        (figures / f"{self.name}.json").write_text(text, encoding="utf-8")


def panels(down: int, across: int, width: float = 3.4, height: float = 2.6) -> tuple[Figure, list[Axes]]:
    """An empty figure of so many panels, row by row; sizes in inches, of a panel."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(across * width, down * height + 0.6), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False)
    for axis in axes.flat:
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, list(axes.flat)


def styles(rows: Iterable[str]) -> dict[str, dict[str, Any]]:
    """How each row is drawn, the same in every panel."""
    found = {}
    for i, row in enumerate(rows):
        line, marker = _STYLES[i // len(PALETTE) % len(_STYLES)]
        found[row] = {"color": PALETTE[i % len(PALETTE)], "linestyle": line, "marker": marker}
    return found


def draw_curve(axis: Axes, results: Results, name: str, title: str, scale: float = 1.0) -> None:
    """A line for each row that has the curve: the mean over seeds, in the range of the seeds."""
    looks = styles(results.rows)
    for row in results.rows:
        curve = results.curve(name, row)
        if curve:
            values = [[scale * v for v in by_seed.values()] for by_seed in curve.values()]
            means = [mean(found) for found in values]
            axis.plot(list(curve), means, markersize=3.5, linewidth=1.4, label=row, **looks[row])
            edges = [min(found) for found in values], [max(found) for found in values]
            axis.fill_between(list(curve), *edges, alpha=0.15, linewidth=0, color=looks[row]["color"])
    if not axis.lines:
        say_empty(axis)
    axis.set_title(title + (" *" if reads_labels(name) else ""), fontsize=9)
    axis.set_xlabel("adaptation step", fontsize=8)


def say_empty(axis: Axes) -> None:
    """In place of what there is nothing of."""
    axis.set(xticks=[], yticks=[])
    axis.text(0.5, 0.5, "not measured", transform=axis.transAxes, ha="center", fontsize=8, color="#666666")


def row_legend(figure: Figure, results: Results, axes: Sequence[Axes]) -> None:
    """One legend for all panels, below them."""
    drawn: dict[str, Any] = {}
    for axis in axes:
        for handle, row in zip(*axis.get_legend_handles_labels(), strict=True):
            drawn.setdefault(row, handle)
    rows = [row for row in results.rows if row in drawn]
    if rows:
        across = min(len(rows), 4)
        figure.legend([drawn[row] for row in rows], rows, loc="outside lower center", ncols=across, fontsize=8)


def mean(values: Iterable[float]) -> float:
    """Their mean; NaN of none."""
    found = list(values)
    return sum(found) / len(found) if found else float("nan")
