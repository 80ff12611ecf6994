"""Sections of a table's page with texts and numbers: results, changes, runs, time, provenance."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gckd.config import encode, to_yaml, value_at
from gckd.config.serialization import differing
from gckd.report.captions import is_essential
from gckd.report.comparability import plugins_of, short_revision
from gckd.report.component_table import cells, header, heading_above, marks
from gckd.report.finding import BOLD_NOTE
from gckd.report.html.page import NONE, Section, Table, duration
from gckd.report.setup_paragraph import setup_paragraph
from gckd.report.summary import METRICS
from gckd.storage.launches import LAUNCHES_FILE, read_launches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gckd.config import Config
    from gckd.report.small_table import SmallTable
    from gckd.report.subtable import Subtable
    from gckd.report.summary import RowSummary


def results(
    rows: Sequence[RowSummary], caption: Sequence[str], warnings: Sequence[str], small_tables: Sequence[SmallTable]
) -> list[Section]:
    """The component table, the warnings, the small tables, and the rest of the caption."""
    groups = {place: heading for place in range(len(rows)) if (heading := heading_above(rows, place))}
    table = Table(header(rows), cells(rows), marks=marks(rows), groups=groups)
    notes = [f"Underlined: the best mean of a metric, where no test supports it. {BOLD_NOTE}"]
    conditions = [line for line in caption if not is_essential(line)]
    return [
        Section("Results", table=table, notes=[*notes, *(line for line in caption if is_essential(line))]),
        *([Section("Warnings", notes=warnings)] if warnings else []),
        *map(_small_table, small_tables),
        *([Section("Conditions of the runs", notes=conditions)] if conditions else []),
    ]


def _small_table(table: SmallTable) -> Section:
    text_columns = 2 if table.header[0] == "subtable" else 1
    return Section(table.title, table=Table(table.header, table.lines, text_columns), notes=[table.caption])


def changes(subtable: Subtable) -> list[Section]:
    """The changes of each row to the full config, and the full config itself."""
    edits = {str(r["row"]): json.loads(r["edits"]) for r in subtable.records}
    body = [
        [row, path, _value(old), _value(new)]
        for row, row_edits in edits.items()
        for edited_path, value in row_edits.items()
        for path, old, new in _changed(subtable.config, edited_path, value)
    ]
    table = Table(["row", "field", "in the full config", "in this row"], body, text_columns=4) if body else None
    lines = [] if body else ["No row changes the full config."]
    config = Section("Config of the full row", commands=to_yaml(subtable.config).splitlines(), folded=True)
    return [Section("Changes of each row", lines, table=table), config]


def _changed(config: Config, path: str, new: Any) -> list[tuple[str, Any, Any]]:
    """One change for a component of another kind; within one kind, one change for each field that differs."""
    old = encode(value_at(config, path))
    if isinstance(old, Mapping) and isinstance(new, Mapping) and old.get("kind") == new.get("kind"):
        return differing(old, new, path)
    return [(path, old, new)]


def _value(value: Any) -> str:
    """A value as `--set` takes it; a component as its kind with its fields."""
    if not isinstance(value, Mapping):
        return json.dumps(value) if isinstance(value, bool) or value is None else str(value)
    fields = ", ".join(f"{name} {_value(inner)}" for name, inner in value.items() if name != "kind")
    return f"{value.get('kind', '')} ({fields})".strip() if fields else str(value["kind"])


def failures(subtable: Subtable) -> list[Section]:
    """The failed runs; no section without any."""
    failed = [r for r in subtable.records if r["status"] != "done"]
    body = [[r["row"], str(r["seed"]), _text(r["error"]), duration(r["seconds"])] for r in failed]
    line = "The full traceback of each is in error.txt in the folder of its row and seed."
    table = Table(["row", "seed", "error", "after"], body, text_columns=3)
    return [Section("Failed runs", [line], table=table)] if body else []


def setup(subtable: Subtable) -> Section:
    """Paragraph for a paper, which setup.tex has in LaTeX."""
    return Section("Experimental setup", [setup_paragraph(subtable)])


def runs(subtable: Subtable) -> Section:
    """Every run, the failed ones first."""
    ordered = sorted(subtable.records, key=lambda r: r["status"] == "done")
    body = [
        [r["row"], str(r["seed"]), r["status"], *(_number(r[name]) for name in METRICS), duration(r["seconds"])]
        for r in ordered
    ]
    return Section("Runs", table=Table(["row", "seed", "status", *METRICS.values(), "time"], body, text_columns=3))


def time(subtable: Subtable) -> Section:
    """Time of each row, of all runs, and of the pre-training that rows share."""
    seconds_of: dict[str, list[float]] = {}
    for r in subtable.records:
        seconds_of.setdefault(r["row"], []).append(r["seconds"])
    seconds_of["all"] = [seconds for row in seconds_of.values() for seconds in row]
    body = [
        [row, str(len(seconds)), duration(math.fsum(seconds) / len(seconds)), duration(math.fsum(seconds))]
        for row, seconds in seconds_of.items()
    ]
    # Rows of one seed start from the same source model and record the same seconds for it.
    source = {(r["seed"], r["pretrain_seconds"]) for r in subtable.records if r["status"] == "done"}
    pretraining = duration(math.fsum(seconds for _, seconds in source if seconds is not None))
    lines = [
        "Time of adaptation and evaluation, failed runs included. Pre-training of the source models took "
        f"{pretraining}; each model is counted once, even if it came from the cache."
    ]
    return Section("Time", lines, table=Table(["row", "runs", "mean per run", "total"], body))


def provenance(subtable: Subtable) -> list[Section]:
    """Commands, code, plugins, versions and machines that made the records."""
    files = [file for folder in subtable.folders if (file := folder / LAUNCHES_FILE).exists()]
    launches: list[dict[str, Any]] = [launch for file in files for launch in read_launches(file)]
    plugins = _plugins(subtable)
    revisions = sorted({short_revision(str(r["git_revision"])) for r in subtable.records})
    if not launches:
        line = f"Code: {', '.join(revisions)}. Versions of libraries: not recorded."
        return [Section("Code and versions", [line]), *plugins]
    names = dict.fromkeys(name for launch in launches for name in launch if name != "command")
    facts = [[name, *(_text(launch.get(name)) for launch in launches)] for name in names]
    head = ["", *(f"launch {place}" for place in range(1, len(launches) + 1))] if len(launches) > 1 else []
    commands = dict.fromkeys(launch["command"] for launch in launches)
    return [
        Section("Command", commands=list(commands)),
        Section("Code, versions and machine", table=Table(head, facts, text_columns=1 + len(launches))),
        *plugins,
    ]


def _plugins(subtable: Subtable) -> list[Section]:
    """Plugin files with the rows whose runs loaded them; no section without any."""
    rows_of: dict[tuple[str, str], dict[str, None]] = {}
    for record in subtable.records:
        for plugin in plugins_of(record).items():
            rows_of.setdefault(plugin, {})[str(record["row"])] = None
    body = [[name, digest, ", ".join(rows)] for (name, digest), rows in sorted(rows_of.items())]
    line = "Code from outside the package that the runs loaded. The digest is that of the file's text."
    return [Section("Plugins", [line], table=Table(["file", "digest", "rows"], body, text_columns=3))] if body else []


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f}"


def _text(value: Any) -> str:
    return NONE if value is None else str(value)
