"""Picture of a table for README.md: Rank-1 and mAP of its rows, and one example query with the images they rank first.

The query is the first that the table drew at random from all test queries; nobody chose it.

python benchmarks/picture.py FOLDER docs/images/table.png
"""

from __future__ import annotations

import csv
import io
import itertools
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import matplotlib.pyplot as plt
import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from gckd.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METRICS = {"rank_1": "Rank-1", "map": "mAP"}
COLOURS = {"rank_1": "#1f5fa8", "map": "#8fb4dc"}
HIT, MISS = "#1a8f3c", "#c9c9c9"  # frames around images


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.argument("output", type=click.Path(path_type=Path, dir_okay=False))
def main(folder: Path, output: Path) -> None:
    """Draw table.csv and the first random query of examples.parquet in FOLDER as the PNG file OUTPUT."""
    rows, answers = read_rows(folder), first_example(folder)
    figure = plt.figure(figsize=(9.6, 5), dpi=110)
    bars, pictures = figure.subfigures(1, 2, width_ratios=(1.15, 1), squeeze=False)[0]
    draw_bars(bars.subplots(), rows)
    bars.subplots_adjust(left=0.25, right=0.97, top=0.87, bottom=0.14)
    columns = len(answers[0]["images"])
    caption = textwrap.fill(f"“{answers[0]['caption']}”", 62)
    pictures.suptitle(f"First images for a query drawn at random:\n{caption}", fontsize=9, x=0.02, y=0.985, ha="left")
    grid = pictures.subplots(len(answers), columns, squeeze=False)
    for axes_of_row, answer in zip(grid, answers, strict=True):
        draw_images(axes_of_row, answer)
    pictures.subplots_adjust(left=0.27, right=0.99, top=0.83, bottom=0.02, wspace=0.08, hspace=0.08)
    figure.savefig(output)
    with Image.open(output) as picture:  # a palette is a third of the size
        picture.convert("RGB").quantize(128).save(output, optimize=True)


def read_rows(folder: Path) -> list[dict[str, str]]:
    """Rows of the table, with the columns of table.csv."""
    with (folder / "table.csv").open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    if not rows:
        raise InputError(f"{folder / 'table.csv'}: has no row")
    return rows


def first_example(folder: Path) -> list[dict[str, Any]]:
    """Lines of examples.parquet for its first query, one for each row of the table."""
    lines = pq.read_table(folder / "examples.parquet").to_pylist()
    _, group = next(itertools.groupby(lines, key=lambda line: line["query"]))
    return list(group)


def draw_bars(axes: Axes, rows: list[dict[str, str]]) -> None:
    """Mean of each metric with its 95 % interval over seeds, in percent, the first row on top."""
    height = 0.38
    places = np.arange(len(rows))[::-1]
    for shift, (metric, name) in zip((height / 2, -height / 2), METRICS.items(), strict=True):
        means = [float(row[metric]) for row in rows]
        widths = [float(row[f"{metric}_half_width"] or "nan") for row in rows]
        axes.barh(places + shift, means, height, xerr=widths, color=COLOURS[metric], label=name, ecolor="#444444")
        for place, mean in zip(places, means, strict=True):
            axes.text(2, place + shift, f"{mean:.1f}", va="center", color="white", fontweight="bold")
    axes.set_yticks(places, [row["row"] for row in rows])
    axes.set_xlabel(f"% of the target's test split, {rows[0]['runs']} seeds; line: 95 % interval", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=2, frameon=False)


def draw_images(axes_of_row: Any, answer: dict[str, Any]) -> None:
    """The images that one row of the table ranks first; a green frame marks an image of the described person."""
    for axes, image, hit in zip(axes_of_row, answer["images"], answer["hits"], strict=True):
        with Image.open(io.BytesIO(image)) as picture:
            axes.imshow(picture.convert("RGB"))
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(color=HIT if hit else MISS, linewidth=3 if hit else 1)
    axes_of_row[0].set_ylabel(answer["row"], rotation=0, ha="right", va="center", fontsize=10)


if __name__ == "__main__":
    main()
