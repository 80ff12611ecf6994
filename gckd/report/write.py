"""A folder's records -> its tables and figure. `gckd report DIR` and the end of every launch."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table
from tabulate import tabulate

from gckd.config import Config, from_yaml
from gckd.errors import InputError
from gckd.report.caption import caption
from gckd.report.checks import CHECKS, Results
from gckd.report.curves import draw_curves, ends_of_curves
from gckd.report.mixed import mixtures
from gckd.report.shapley import CAPTION, HEADER, contributions
from gckd.report.signatures import audited, signatures
from gckd.report.summary import RowSummary, summarise
from gckd.report.table import comma_separated, latex, markdown, screen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_FILE_WIDTH = 160
_ASKED = "asked.json"
MIXED = "--mixed puts them in one table all the same, and its caption says so"


def wide_console() -> Console:
    """Standard output; in a file or pipe as wide as a table needs."""
    return Console() if sys.stdout.isatty() else Console(width=_FILE_WIDTH)


def write_report(folder: Path, console: Console, *, mixed: bool = False) -> list[RowSummary]:
    """Prints the table and writes table.md, table.csv, table.tex and curves.png into `folder`.

    Args:
        mixed: whether runs of other code or data may stand in one table; its caption says so.

    Raises:
        InputError: `folder` has no run records or no config.yaml, or they cannot be read; or the runs are of other
            code or data, and may not be.
    """
    records = _parquet(folder / "runs.parquet")
    if not records:
        raise InputError(f"{folder}: runs.parquet has no rows; at least 1 run is needed")
    differing = mixtures(records)
    if differing and not mixed:
        raise InputError(f"{folder}: its runs are not alike in {'; in '.join(differing)}: {MIXED}")
    config = read_config(folder / "config.yaml")
    rows = summarise(records)
    asked = json.loads((folder / _ASKED).read_text(encoding="utf-8")) if (folder / _ASKED).exists() else {}
    question = [asked["question"]] if asked.get("question") else []
    curves = _parquet(folder / "curves.parquet")
    lines = question + caption(records, rows, config) + [f"NOT ALIKE in {line}." for line in differing]
    warnings = signatures(curves)
    lines += audited(curves) + warnings
    (folder / "table.md").write_text(markdown(rows, lines), encoding="utf-8")
    (folder / "table.csv").write_text(comma_separated(rows), encoding="utf-8")
    (folder / "table.tex").write_text(latex(rows, lines), encoding="utf-8")
    draw_curves(curves, folder / "curves.png")
    console.print(screen(rows))
    for line in lines:
        console.print(line, style="yellow" if line in warnings else "dim", highlight=False, markup=False)
    if asked.get("dropped"):
        _add_shares(contributions(records, asked["dropped"]), folder / "table.md", console)
    _draw_checks(asked.get("checks", ()), Results(records, curves, config, folder), console)
    return rows


def _draw_checks(names: Sequence[str], results: Results, console: Console) -> None:
    """Writes the figures of the checks that were asked for, and prints what they say."""
    for finding in (finding for name in names for finding in CHECKS[name](results)):
        finding.write(results.folder)
        label = " (uses target labels)" if finding.uses_target_labels else ""
        console.print(f"figures/{finding.name}.png{label}", style="bold", highlight=False)
        for sentence in finding.words:
            console.print(sentence, highlight=False, markup=False)


def _add_shares(lines: Sequence[Sequence[str]], file: Path, console: Console) -> None:
    if not lines:
        return
    table = Table(*HEADER, caption=CAPTION, caption_justify="left")
    for line in lines:
        table.add_row(*line)
    console.print(table)
    with file.open("a", encoding="utf-8") as stream:
        stream.write(f"\n{tabulate(lines, HEADER, tablefmt='pipe', disable_numparse=True)}\n\n{CAPTION}\n")


def keep_asked(folder: Path, question: str, dropped: Mapping[str, Sequence[str]], checks: Sequence[str] = ()) -> None:
    """Notes in `folder` what its table answers, for the report.

    Args:
        question: its caption begins with it.
        dropped: row -> components it is without, where every combination is a row; their shares are reported.
        checks: names in `gckd.report.checks.CHECKS`, whose figures belong to the report.
    """
    if question or dropped or checks:
        asked = {"question": question, "dropped": dropped, "checks": list(checks)}
        (folder / _ASKED).write_text(json.dumps(asked, indent=1) + "\n", encoding="utf-8")


def show_curves(folder: Path, console: Console) -> None:
    """Prints where every curve of `folder` begins and ends.

    Raises:
        InputError: `folder` has no curves.
    """
    console.print(ends_of_curves(_parquet(folder / "curves.parquet")))


def read_config(path: Path) -> Config:
    """The config in a YAML or JSON file.

    Raises:
        InputError: the file is missing, or no config.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror if isinstance(error, OSError) else error})"
        ) from error
    config: Config = from_yaml(Config, text)
    return config


def _parquet(path: Path) -> list[dict[str, object]]:
    try:
        rows: list[dict[str, object]] = pq.read_table(path).to_pylist()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as run records ({str(error).splitlines()[0]})") from error
    return rows
