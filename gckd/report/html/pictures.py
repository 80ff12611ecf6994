"""Sections of a table's page with pictures: the figures of `figures/`, and the curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gckd.report.curves import panel_svg, panels, reads_labels, row_colours
from gckd.report.html.page import Picture, Section, data_uri
from gckd.storage.json_file import read_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gckd.report.curves import CurvePoint, Panel

WITH_LABELS = "Uses labels of the target, only to understand the runs; nothing was trained or chosen by them."
_NOTE = {
    "type": "object",
    "required": ["title", "key", "sentences", "uses_target_labels"],
    "properties": {
        "title": {"type": "string"},
        "key": {"type": "string"},
        "sentences": {"type": "array", "items": {"type": "string"}},
        "uses_target_labels": {"type": "boolean"},
    },
}
_MAX_SVG = 600_000  # bytes; a drawing of thousands of shapes is smaller as a bitmap
_MAIN_METRICS = ("rank_1", "map")


def figures(folder: Path) -> list[Section]:
    """A section for each `figures/NAME.json` (title, key, sentences, uses_target_labels) with its NAME.svg or NAME.png.

    Args:
        folder: output folder.
    """
    sections = []
    for file in sorted((folder / "figures").glob("*.json")):
        note = read_json(file, _NOTE, "delete it; the report then lacks the figure")
        warning = WITH_LABELS if note["uses_target_labels"] else ""
        picture = Picture(_image_uri(file), f"{note['title']}. {' '.join(note['sentences'])}")
        lines = [*note["sentences"], note["key"]]
        sections.append(Section(note["title"], lines, warning=warning, pictures=[picture]))
    return sections


def _image_uri(file: Path) -> str:
    svg, png = file.with_suffix(".svg"), file.with_suffix(".png")
    if svg.exists() and (svg.stat().st_size < _MAX_SVG or not png.exists()):
        return data_uri(svg.read_bytes(), "svg+xml")
    return data_uri(png.read_bytes(), "png")


def curves(points: Sequence[CurvePoint]) -> list[Section]:
    """Rank-1 and mAP over the steps, then a folded section with every other curve."""
    all_panels = panels(points)
    main = [panel for panel in all_panels if panel[1].endswith(_MAIN_METRICS)]
    rest = [panel for panel in all_panels if panel not in main]
    groups = [("Rank-1 and mAP during training", main, False), ("All other curves", rest, True)]
    return [_section(title, points, group, folded) for title, group, folded in groups if group]


def _section(title: str, points: Sequence[CurvePoint], group: Sequence[Panel], folded: bool) -> Section:
    from matplotlib.colors import to_hex

    colours = row_colours(points)
    with_labels = dict.fromkeys(name for _, name in group if reads_labels(name))
    lines = ["Line: mean over seeds. Band: 95 % interval."]
    lines += [f"Measured with labels of the target, for these plots only: {', '.join(with_labels)}."] * bool(
        with_labels
    )
    pictures = [
        Picture(data_uri(panel_svg(points, panel, colours), "svg+xml"), f"Curve of {panel[1]} in {panel[0]}")
        for panel in group
    ]
    legend = {row: to_hex(colour) for row, colour in colours.items()}
    return Section(title, lines, legend=legend, pictures=pictures, folded=folded)
