"""Subtable: the runs that are compared with each other, from one output folder or several."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gckd.config import Config, digest, encode, read_config
from gckd.config.serialization import differences
from gckd.errors import InputError
from gckd.report.comparability import CODE, Mismatch, mismatches
from gckd.report.queries import QueriesOfRuns, read_queries
from gckd.report.question import Question
from gckd.report.summary import METRICS, Record, RowSummary, summarise
from gckd.report.tuned_rates import TunedRate, load_rates
from gckd.storage.run_tables import CURVES_FILE, RUNS_FILE, read_curves, read_runs

if TYPE_CHECKING:
    from pathlib import Path

    from gckd.report.curves import CurvePoint

_MAY_DIFFER = (("seed",), ("data", "source"), ("data", "target"))  # fields that joined folders may differ in


@dataclass(frozen=True)
class Subtable:
    """Runs around one full config on one pair of datasets. Numbers are never averaged over several subtables.

    config: full config. questions: of each folder. name: empty if there is just one subtable. rates: of the tuned rows.
    """

    folders: tuple[Path, ...]
    config: Config
    records: Sequence[Record]
    curves: Sequence[CurvePoint]
    queries: QueriesOfRuns
    questions: Sequence[Question]
    name: str = ""
    rates: Mapping[str, TunedRate] = field(default_factory=dict)

    @property
    def datasets(self) -> str:
        """`street/ICFG-PEDES → street/RSTPReid`."""
        return "; ".join(sorted({f"{r['source']} → {r['target']}" for r in self.records}))

    @property
    def mismatches(self) -> list[Mismatch]:
        """Quantities in which its finished runs differ."""
        return mismatches(self.records, self.config)

    def summaries(self) -> list[RowSummary]:
        """Its rows, those with a mismatch marked."""
        marked = frozenset[str]().union(*(mismatch.differing_rows for mismatch in self.mismatches))
        labels = self.config.adapt.labels == "target"  # of a single run
        return [
            dataclasses.replace(
                row,
                marked=row.row in marked,
                subtable=self.name,
                target_labels=row.target_labels or labels,
                tuned=self.rates.get(row.row),
            )
            for row in summarise(self.records, self.queries)
        ]


def read_subtable(folder: Path) -> Subtable:
    """The runs of an output folder.

    Raises:
        InputError: it has no run records or no config.yaml, or one of its files cannot be read.
    """
    records = read_runs(_existing(folder / RUNS_FILE))
    if not records:
        raise InputError(f"{folder}: runs.parquet has no rows; at least 1 run is needed")
    config, curves = read_config(folder / "config.yaml"), read_output_curves(folder)
    queries, question = read_queries(folder, records), Question.load(folder)
    return Subtable((folder,), config, records, curves, queries, [question], rates=load_rates(folder))


def join_subtables(subtables: Sequence[Subtable], *, mixed: bool) -> list[Subtable]:
    """One subtable for each full config and pair of datasets, with names if there are several.

    Args:
        subtables: one for each folder.
        mixed: whether a run with other results in a later folder is left out instead of refused.

    Raises:
        InputError: two folders disagree on the edits of a row, or on the results of a run.
    """
    groups: dict[tuple[str, ...], list[Subtable]] = {}
    for subtable in subtables:
        key = (digest(_comparable(subtable.config)), *_dataset_key(subtable))
        groups.setdefault(key, []).append(subtable)
    joined = [_join(group, mixed=mixed) for group in groups.values()]
    return joined if len(joined) == 1 else _with_names(joined)


def mismatch_lines(subtables: Sequence[Subtable]) -> list[str]:
    """Quantities in which runs of the table differ though they must be equal, one line each."""
    lines = [f"{s.name}: {mismatch}" if s.name else str(mismatch) for s in subtables for mismatch in s.mismatches]
    if len(subtables) > 1:
        by_subtable = [{**r, "row": s.name, "edits": "{}"} for s in subtables for r in s.records]
        lines += [str(m) for m in mismatches(by_subtable, subtables[0].config) if m.quantity == CODE]
    first = _comparable(subtables[0].config)
    for subtable in subtables[1:]:
        changed = differences(first, _comparable(subtable.config))
        lines += [f"full config: {subtable.name} has {', '.join(changed)}"] if changed else []
    return lines


def _comparable(config: Config) -> dict[str, Any]:
    """The encoded config without the fields that joined folders may differ in."""
    plain: dict[str, Any] = encode(config)
    for *outer, name in _MAY_DIFFER:
        node = plain
        for key in outer:
            node = node[key]
        del node[name]
    return plain


def _dataset_key(subtable: Subtable) -> tuple[str, ...]:
    """Digests of the datasets; their names if no run has finished."""
    done = next((r for r in subtable.records if r["status"] == "done"), None)
    return (str(done.get("source_digest")), str(done.get("target_digest"))) if done else (subtable.datasets,)


def _join(group: Sequence[Subtable], *, mixed: bool) -> Subtable:
    """Each run once, from the first folder in which it finished."""
    first, *later = group
    records = {(r["row"], r["seed"]): r for r in first.records}
    curves, queries = list(first.curves), dict(first.queries)
    for subtable in later:
        new = {}
        for record in subtable.records:
            key = record["row"], record["seed"]
            _check_consistent(record, records, subtable.folders[0], mixed=mixed)
            if key not in records or (records[key]["status"], record["status"]) == ("failed", "done"):
                new[key] = record
        records |= new
        curves += [point for point in subtable.curves if (point["row"], point["seed"]) in new]
        queries |= {key: value for key, value in subtable.queries.items() if key in new}
    return Subtable(
        tuple(folder for subtable in group for folder in subtable.folders),
        first.config,
        list(records.values()),
        curves,
        queries,
        [question for subtable in group for question in subtable.questions],
        rates={row: rate for subtable in reversed(group) for row, rate in subtable.rates.items()},
    )


def _check_consistent(record: Record, earlier: Mapping[tuple[str, int], Record], folder: Path, *, mixed: bool) -> None:
    """Refuses a row with other edits in an earlier folder, and a run with other results there."""
    row, seed = record["row"], record["seed"]
    edits = next((r["edits"] for r in earlier.values() if r["row"] == row), record["edits"])
    if edits != record["edits"]:
        raise InputError(f"{folder}: row {row} has the edits {record['edits']}, in an earlier folder {edits}")
    twin = earlier.get((row, seed), record)
    metrics = [[r[name] for name in METRICS] for r in (twin, record) if r["status"] == "done"]
    if len(metrics) == 2 and metrics[0] != metrics[1] and not mixed:
        raise InputError(
            f"{folder}: row {row}, seed {seed} has Rank-1 {record['rank_1']:.2f}, in an earlier folder "
            f"{twin['rank_1']:.2f}; --mixed uses that of the earlier folder"
        )


def _with_names(subtables: Sequence[Subtable]) -> list[Subtable]:
    """Names are the datasets, with the folders if several subtables have the same datasets."""
    names = [subtable.datasets for subtable in subtables]
    return [
        dataclasses.replace(subtable, name=name if names.count(name) == 1 else f"{name} ({_folders(subtable)})")
        for subtable, name in zip(subtables, names, strict=True)
    ]


def _folders(subtable: Subtable) -> str:
    return ", ".join(map(str, subtable.folders))


def read_output_curves(folder: Path) -> list[dict[str, Any]]:
    """Rows of the curves.parquet of an output folder.

    Raises:
        InputError: there is no such file, or it is damaged.
    """
    return read_curves(_existing(folder / CURVES_FILE))


def _existing(file: Path) -> Path:
    if not file.is_file():
        raise InputError(f"{file}: file not found; {file.parent} is not the output of a run or table")
    return file
