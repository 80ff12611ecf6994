"""Sections of a table's page with pictures: the figures of `figures/`, and the curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gckd.report.curve_names import curve_name
from gckd.report.curves import mean_curve, panel_svg, panels, reads_labels, row_colours, single_panels
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
    """Rank-1 and mAP over the steps, folded sections with every other curve, and with values measured at one step."""
    all_panels = panels(points)
    main = [panel for panel in all_panels if panel[1].endswith(_MAIN_METRICS)]
    rest = [panel for panel in all_panels if panel not in main]
    groups = [("Rank-1 and mAP during training", main, False), ("All other curves", rest, True)]
    return [*(_section(title, points, group, folded) for title, group, folded in groups if group), *_singles(points)]


def _section(title: str, points: Sequence[CurvePoint], group: Sequence[Panel], folded: bool) -> Section:
    from matplotlib.colors import to_hex

    colours = row_colours(points)
    titles = (curve_name(stage, name).title for stage, name in group if reads_labels(name))
    with_labels = dict.fromkeys(title.partition(": ")[2] for title in titles)
    lines = ["Line: mean over seeds. Band: 95 % interval. Rows with the same values share a line."]
    if with_labels:
        lines.append(f"Measured with labels of the target, for these plots only: {', '.join(with_labels)}.")
    pictures = [
        Picture(data_uri(panel_svg(points, panel, colours), "svg+xml"), curve_name(*panel).title) for panel in group
    ]
    legend = {row: to_hex(colour) for row, colour in colours.items()}
    return Section(title, lines, legend=legend, pictures=pictures, folded=folded)


def _singles(points: Sequence[CurvePoint]) -> list[Section]:
    """List of the quantities that were measured at one step of each row; no section without any."""
    notes = []
    for stage, name in single_panels(points):
        of_panel = [p for p in points if (p["stage"], p["name"]) == (stage, name)]
        values = {row: _single([p for p in of_panel if p["row"] == row]) for row in row_colours(of_panel)}
        title, unit = curve_name(stage, name)
        labels = ", uses target labels" if reads_labels(name) else ""
        notes.append(f"{title} ({unit}{labels}): {'; '.join(f'{row} {value}' for row, value in values.items())}")
    line = "Mean over seeds ± half width of the 95 % interval, at the only step with a value, so there is no curve."
    return [Section("Values measured once", [line], notes=notes, folded=True)] if notes else []


def _single(points: Sequence[CurvePoint]) -> str:
    _, (mean,), (width,) = mean_curve(points)
    return f"{mean:.4g} ± {width:.2g}" if width else f"{mean:.4g}"
