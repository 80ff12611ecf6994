"""The parts of a table's page that are pictures: what lies in `figures/`, and the curves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gckd.report.curves import panel_svg, panels, row_colours
from gckd.report.html.page import Picture, Section, data_uri
from gckd.report.warnings import reads_labels

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gckd.report.curves import Panel, Point

WITH_LABELS = "Uses labels of the target: it is for understanding, and nothing was trained or chosen by it."
_HEAVY = 600_000  # bytes; a drawing of many thousand shapes is smaller as a bitmap
_CHIEF = ("rank_1", "map")


def figures(folder: Path) -> list[Section]:
    """A section for each `figures/NAME.json` (title, words, uses_target_labels) with NAME.svg or NAME.png beside it."""
    found = []
    for file in sorted((folder / "figures").glob("*.json")):
        said = json.loads(file.read_text(encoding="utf-8"))
        mark = WITH_LABELS if said["uses_target_labels"] else ""
        picture = Picture(_source(file), f"{said['title']}. {' '.join(said['words'])}")
        found.append(Section(said["title"], said["words"], warning=mark, pictures=[picture]))
    return found


def _source(file: Path) -> str:
    svg, png = file.with_suffix(".svg"), file.with_suffix(".png")
    if svg.exists() and (svg.stat().st_size < _HEAVY or not png.exists()):
        return data_uri(svg.read_bytes(), "svg+xml")
    return data_uri(png.read_bytes(), "png")


def curves(points: Sequence[Point]) -> list[Section]:
    """Rank-1 and mAP over the steps, then every other curve, folded."""
    every = panels(points)
    chief = [panel for panel in every if panel[1].endswith(_CHIEF)]
    rest = [panel for panel in every if panel not in chief]
    found = [("Rank-1 and mAP on the way", chief, False), ("All other curves", rest, True)]
    return [_curves(title, points, some, folded) for title, some, folded in found if some]


def _curves(title: str, points: Sequence[Point], some: Sequence[Panel], folded: bool) -> Section:
    from matplotlib.colors import to_hex

    colours = row_colours(points)
    labelled = [name for _, name in some if reads_labels(name)]
    lines = ["A line is the mean over seeds, the band its 95 % interval."]
    lines += [f"With labels of the target, for this picture alone: {', '.join(labelled)}."] if labelled else []
    drawn = [
        Picture(data_uri(panel_svg(points, panel, colours), "svg+xml"), f"Curve of {panel[1]} in {panel[0]}")
        for panel in some
    ]
    legend = {row: to_hex(colour) for row, colour in colours.items()}
    return Section(title, lines, legend=legend, pictures=drawn, folded=folded)
