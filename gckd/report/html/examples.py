"""Queries with the first images that rows of the table rank for them."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from gckd.report.html.page import Example, Ranking, Section, data_uri

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = "examples.parquet"


def examples(folder: Path) -> list[Section]:
    """What examples.parquet holds; no section where there is none."""
    file = folder / EXAMPLES
    if not file.exists():
        return []
    table = pq.read_table(file)
    lines = table.to_pylist()
    found = [_example(list(group)) for _, group in itertools.groupby(lines, key=lambda line: line["query"])]
    about = json.loads(table.schema.metadata[b"about"])
    return [Section("Examples", _rule(about), examples=found)]


def _rule(about: dict[str, Any]) -> list[str]:
    first = (
        f"Test queries of seed {about['seed']}, with the images that rank first in full and in other rows. Framed: a "
        "hit, an image of the identity asked for."
    )
    drawn = f"{about['random']} are drawn from all {about['queries']} queries, whatever became of them."
    if not about["against"]:
        return [first, drawn]
    against = about["against"]
    rest = (
        f"Then up to {about['each']} each of the {about['better']} whose first image is a hit in full and not in "
        f"{against}, and of the {about['worse']} of which the reverse is true."
    )
    return [first, f"Nobody chose them: {drawn[0].lower()}{drawn[1:]} {rest} The draw has a fixed seed."]


def _example(lines: list[dict[str, Any]]) -> Example:
    rankings = [
        Ranking(
            line["row"],
            f"first hit at place {line['rank']}, AP {100 * line['ap']:.0f} %",
            [(data_uri(image, "jpeg"), hit) for image, hit in zip(line["images"], line["hits"], strict=True)],
        )
        for line in lines
    ]
    return Example(lines[0]["caption"], lines[0]["kind"], rankings)
