"""A table's report.html."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gckd.report.html.examples import examples
from gckd.report.html.page import Page
from gckd.report.html.pictures import curves, figures
from gckd.report.html.sections import changes, failures, origin, results, runs, time

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from gckd.report.html.page import Section
    from gckd.report.load import Block
    from gckd.report.small_tables import Aside
    from gckd.report.summary import RowSummary


def write_table_page(
    out: Path, blocks: Sequence[Block], rows: Sequence[RowSummary], caption: Sequence[str], asides: Sequence[Aside]
) -> None:
    """Writes report.html into `out`: one file, without a script or an address, the pictures inside.

    What else lies in the folders of the blocks is shown too: figures/, examples.parquet, launches.json.

    Args:
        rows: of all blocks. caption, asides: what is said, and shown, below the table.
    """
    questions = list(dict.fromkeys(asked["question"] for b in blocks for asked in b.asked if asked.get("question")))
    said = [line for line in caption if line not in questions]
    sections = [
        *results(rows, said, asides),
        *(section for block in blocks for section in _named(failures(block), block.name)),
        *(section for block in blocks for section in _named(_parts(block), block.name)),
    ]
    title = f"Component table, {'; '.join(dict.fromkeys(block.datasets for block in blocks))}"
    failed, lead = _lead(blocks, rows)
    page = Page(title, lead, sections, question=" ".join(questions), alert=failed)
    (out / "report.html").write_text(page.text(), encoding="utf-8")


def _parts(block: Block) -> Iterator[Section]:
    for kept in (figures, examples):
        for folder in block.folders:
            where = folder.name if len(block.folders) > 1 else ""
            yield from _named(kept(folder), where)
    yield from (*curves(block.curves), *changes(block), runs(block), time(block), *origin(block))


def _named(sections: Iterable[Section], name: str) -> Iterator[Section]:
    """With the name of their block or folder, if it needs one, in each title."""
    for section in sections:
        yield dataclasses.replace(section, title=f"{section.title}: {name}") if name else section


def _lead(blocks: Sequence[Block], rows: Sequence[RowSummary]) -> tuple[bool, str]:
    """Whether runs failed, and of how many."""
    count, failed = sum(len(block.records) for block in blocks), sum(row.failed for row in rows)
    names = list(dict.fromkeys(row.row for row in rows))
    told = f"{len(names)} row{'s' if len(names) > 1 else ''}: {', '.join(names)}."
    ended = f"{failed} of {count} runs failed" if failed else f"All {count} runs finished" if count > 1 else "Finished"
    return failed > 0, f"{told} {ended}."
