"""The parts of a table's page that are texts and numbers: results, changes, runs, time, origin."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gckd.config import encode, to_yaml, value_at
from gckd.config.serialization import differing
from gckd.report.html.page import NONE, Section, Table, duration
from gckd.report.summary import METRICS
from gckd.report.table import cells, header, heading_above, marks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gckd.config import Config
    from gckd.report.load import Block
    from gckd.report.small_tables import Aside
    from gckd.report.summary import RowSummary

LAUNCHES = "launches.json"
_SHOWN = 12  # digits of a revision


def results(rows: Sequence[RowSummary], caption: Sequence[str], asides: Sequence[Aside]) -> list[Section]:
    """The component table, and the small tables below it."""
    groups = {place: heading for place in range(len(rows)) if (heading := heading_above(rows, place))}
    table = Table(header(rows), cells(rows), marks=marks(rows), groups=groups)
    notes = ["Of each metric the best mean is bold and the second underlined.", *caption]
    return [Section("Results", table=table, notes=notes), *map(_aside, asides)]


def _aside(aside: Aside) -> Section:
    left = 2 if aside.header[0] == "block" else 1
    return Section(aside.title, table=Table(aside.header, aside.lines, left), notes=[aside.caption])


def changes(block: Block) -> list[Section]:
    """What each row changes in the full row's config, and that config."""
    edits = {str(r["row"]): json.loads(r["edits"]) for r in block.records}
    body = [
        [row, path, _value(old), _value(new)]
        for row, edited in edits.items()
        for path, new in edited.items()
        for path, old, new in _changed(block.config, path, new)
    ]
    table = Table(["row", "field", "in full", "in this row"], body, text_columns=4) if body else None
    lines = [] if body else ["No row changes anything: the full method stands alone."]
    config = Section("Config of the full row", commands=to_yaml(block.config).splitlines(), folded=True)
    return [Section("What the rows change", lines, table=table), config]


def _changed(config: Config, path: str, new: Any) -> list[tuple[str, Any, Any]]:
    """A component of another kind is one change; within one kind, each field that differs."""
    old = encode(value_at(config, path))
    if isinstance(old, Mapping) and isinstance(new, Mapping) and old.get("kind") == new.get("kind"):
        return differing(old, new, path)
    return [(path, old, new)]


def _value(value: Any) -> str:
    """As `--set` takes it; a component by its kind, with its fields."""
    if not isinstance(value, Mapping):
        return json.dumps(value) if isinstance(value, bool) or value is None else str(value)
    fields = ", ".join(f"{name} {_value(inner)}" for name, inner in value.items() if name != "kind")
    return f"{value.get('kind', '')} ({fields})".strip() if fields else str(value["kind"])


def failures(block: Block) -> list[Section]:
    """The runs that failed; no section where none did."""
    failed = [r for r in block.records if r["status"] != "done"]
    body = [[r["row"], str(r["seed"]), _text(r["error"]), duration(r["seconds"])] for r in failed]
    where = "The whole trace of each is in its folder, <row>/seed-<seed>/error.txt."
    table = Table(["row", "seed", "error", "after"], body, text_columns=3)
    return [Section("Failed runs", [where], table=table)] if body else []


def runs(block: Block) -> Section:
    """Every run, those that failed first."""
    ordered = sorted(block.records, key=lambda r: r["status"] == "done")
    body = [
        [r["row"], str(r["seed"]), r["status"], *(_number(r[name]) for name in METRICS), duration(r["seconds"])]
        for r in ordered
    ]
    return Section("Runs", table=Table(["row", "seed", "status", *METRICS.values(), "time"], body, text_columns=3))


def time(block: Block) -> Section:
    """Seconds of all runs, of each row's, and of the pre-training that rows share."""
    each: dict[str, list[float]] = {}
    for r in block.records:
        each.setdefault(r["row"], []).append(r["seconds"])
    body = [[row, str(len(s)), duration(math.fsum(s) / len(s)), duration(math.fsum(s))] for row, s in each.items()]
    every = [seconds for row in each.values() for seconds in row]
    body.append(["all", str(len(every)), duration(math.fsum(every) / len(every)), duration(math.fsum(every))])
    # Rows of one seed start from the same source model and record the same seconds for it.
    source = {(r["seed"], r["pretrain_seconds"]) for r in block.records if r["status"] == "done"}
    trained = duration(math.fsum(seconds for _, seconds in source if seconds is not None))
    lines = [
        "Of adaptation and evaluation, with the runs that failed. Pre-training of the source models, each counted "
        f"once whether or not it was done for this table: {trained}."
    ]
    return Section("Time", lines, table=Table(["row", "runs", "mean of a run", "together"], body))


def origin(block: Block) -> list[Section]:
    """Which commands, code, versions and machines made the records."""
    files = [file for folder in block.folders if (file := folder / LAUNCHES).exists()]
    told: list[dict[str, Any]] = [launch for file in files for launch in json.loads(file.read_text(encoding="utf-8"))]
    codes = sorted({_revision(r) for r in block.records})
    if not told:
        return [Section("Code and versions", [f"Code: {', '.join(codes)}. Versions of libraries: not recorded."])]
    facts = [[name, *(_text(launch.get(name)) for launch in told)] for name in told[-1] if name != "command"]
    head = ["", *(f"launch {place}" for place in range(1, len(told) + 1))] if len(told) > 1 else []
    commands = dict.fromkeys(launch["command"] for launch in told)
    return [
        Section("Command", commands=list(commands)),
        Section("Code, versions and machine", table=Table(head, facts, text_columns=1 + len(told))),
    ]


def _revision(record: Mapping[str, Any]) -> str:
    revision, dash, dirty = str(record["git_revision"]).partition("-")
    return revision[:_SHOWN] + dash + dirty


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f}"


def _text(value: Any) -> str:
    return NONE if value is None else str(value)
