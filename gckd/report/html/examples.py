"""Section with example queries and the images that rows of the table rank first for them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from gckd.report.html.page import Example, Ranking, Section, data_uri
from gckd.storage.examples_table import EXAMPLES_FILE, read_examples

if TYPE_CHECKING:
    from pathlib import Path


def examples(folder: Path) -> list[Section]:
    """The contents of examples.parquet; no section without that file.

    Raises:
        InputError: the file cannot be read, or is damaged.
    """
    file = folder / EXAMPLES_FILE
    if not file.exists():
        return []
    rows, about = read_examples(file)
    groups = itertools.groupby(rows, key=lambda row: row["query"])
    return [Section("Examples", _rule(about), examples=[_example(list(group)) for _, group in groups])]


def _rule(about: dict[str, Any]) -> list[str]:
    """The rule by which the queries were drawn."""
    intro = (
        f"Test queries of seed {about['seed']}, with the images that the full method and other rows rank first. A "
        "green frame marks a hit: an image of the identity in the query."
    )
    sample = f"{about['random']} are drawn from all {about['queries']} queries, whatever their results."
    against = about["against"]
    if not against:
        return [intro, sample]
    disagreement = (
        f"Then come up to {about['each']} of the {about['better']} queries whose first image is a hit in full but not "
        f"in {against}, and up to {about['each']} of the {about['worse']} queries for which it is a hit in {against} "
        "but not in full."
    )
    return [intro, f"The queries are drawn with a fixed random seed, not selected by hand. {sample} {disagreement}"]


def _example(lines: list[dict[str, Any]]) -> Example:
    rankings = [
        Ranking(
            line["row"],
            f"first hit at rank {line['rank']}, AP {100 * line['ap']:.0f} %",
            [(data_uri(image, "jpeg"), hit) for image, hit in zip(line["images"], line["hits"], strict=True)],
        )
        for line in lines
    ]
    return Example(lines[0]["caption"], lines[0]["kind"], rankings)
