"""Records -> tables and figure: the end of every launch, and `gckd report` of one folder or several."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from gckd.errors import InputError
from gckd.report.captions import captions
from gckd.report.checks import CHECKS, Results
from gckd.report.comparability import MIXED
from gckd.report.curves import draw_curves, ends_of_curves
from gckd.report.html.table_page import write_table_page
from gckd.report.load import ASKED_FILE, Block, join, read_block, read_parquet, unlike
from gckd.report.shapley import contributions
from gckd.report.small_tables import asides
from gckd.report.table import comma_separated, latex, markdown, screen
from gckd.report.warnings import audited, failure_warnings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from gckd.report.small_tables import Aside
    from gckd.report.summary import RowSummary


def write_report(folder: Path, console: Console, *, mixed: bool = False) -> list[RowSummary]:
    """Prints the table of one output folder and writes it there: see `make_report`."""
    return make_report([folder], console, out=folder, mixed=mixed)


def make_report(
    folders: Sequence[Path], console: Console, *, out: Path | None, mixed: bool = False
) -> list[RowSummary]:
    """Prints one table of the runs of `folders`, and writes table.md, .csv, .tex, report.html and curves.png to `out`.

    Folders of one full config and the same datasets are joined; those of other datasets are blocks of the table.

    Args:
        out: None: nothing is written. The picture is of a table of one block.
        mixed: whether runs of other code, data, budget or full config may stand in one table, marked.

    Raises:
        InputError: a folder has no run records or no config.yaml, or they cannot be read; or the runs do not fit
            together, and need to.
    """
    blocks = join([read_block(folder) for folder in folders], mixed=mixed)
    differing = unlike(blocks)
    if differing and not mixed:
        where = ", ".join(map(str, folders))
        raise InputError(f"{where}: the runs are not alike in {'; in '.join(differing)}: {MIXED}")
    rows = [row for block in blocks for row in block.summaries()]
    warnings = _warnings(blocks)
    lines, below = [*captions(blocks, rows), *warnings], list(_below(blocks, rows))
    console.print(screen(rows))
    for line in lines:
        console.print(line, style="yellow" if line in warnings else "dim", highlight=False, markup=False)
    for aside in below:
        console.print(aside.screen())
    if out:
        text = "\n".join([markdown(rows, lines), *(aside.markdown() for aside in below)])
        (out / "table.md").write_text(text, encoding="utf-8")
        (out / "table.csv").write_text(comma_separated(rows), encoding="utf-8")
        (out / "table.tex").write_text(latex(rows, lines), encoding="utf-8")
        if len(blocks) == 1:
            draw_curves(blocks[0].curves, out / "curves.png")
            _draw_checks(blocks[0], out, console)
        write_table_page(out, blocks, rows, lines, below)
    return rows


def _warnings(blocks: Sequence[Block]) -> list[str]:
    """What went wrong in a run and can be told from its curves; which curves needed labels."""
    return [
        f"{block.name}: {line}" if block.name else line
        for block in blocks
        for line in (*audited(block.curves), *failure_warnings(block.curves))
    ]


def _draw_checks(block: Block, out: Path, console: Console) -> None:
    """Writes the figures of the checks that were asked for, and prints what they say."""
    names = dict.fromkeys(name for asked in block.asked for name in asked.get("checks", ()))
    results = Results(block.records, block.curves, block.config, out)
    for finding in (finding for name in names for finding in CHECKS[name](results)):
        finding.write(out)
        label = " (uses target labels)" if finding.uses_target_labels else ""
        console.print(f"figures/{finding.name}.png{label}", style="bold", highlight=False)
        for sentence in finding.words:
            console.print(sentence, highlight=False, markup=False)


def _below(blocks: Sequence[Block], rows: Sequence[RowSummary]) -> Iterator[Aside]:
    yield from asides(rows)
    for block in blocks:
        for asked in block.asked:
            shares = contributions(block.records, asked["dropped"]) if asked.get("dropped") else None
            if shares:
                yield dataclasses.replace(shares, caption=f"{block.name}: {shares.caption}") if block.name else shares


def keep_asked(folder: Path, question: str, dropped: Mapping[str, Sequence[str]], checks: Sequence[str] = ()) -> None:
    """Notes in `folder` what its table answers, for the report.

    Args:
        question: its caption begins with it.
        dropped: row -> components it is without, where every combination is a row; their shares are reported.
        checks: names in `gckd.report.checks.CHECKS`, whose figures belong to the report.
    """
    if question or dropped or checks:
        asked = {"question": question, "dropped": dropped, "checks": list(checks)}
        (folder / ASKED_FILE).write_text(json.dumps(asked, indent=1) + "\n", encoding="utf-8")


def show_curves(folder: Path, console: Console) -> None:
    """Prints where every curve of `folder` begins and ends.

    Raises:
        InputError: `folder` has no curves.
    """
    console.print(ends_of_curves(read_parquet(folder / "curves.parquet")))
