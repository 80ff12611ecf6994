"""Run records: `runs.parquet` (one row per run) and `curves.parquet` (one row per point of a curve).

Both are replaced as a whole after every finished run. Each run's folder has `queries.parquet`, with one row per query
of the target test split.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from gckd.storage import atomic
from gckd.storage.parquet_file import write_parquet
from gckd.storage.run_tables import (
    CURVES,
    CURVES_FILE,
    DONE,
    FAILED,
    METRICS,
    QUERIES,
    QUERIES_FILE,
    RUNS,
    RUNS_FILE,
    read_curves,
    read_runs,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from gckd.evaluation.retrieval import Ranking
    from gckd.runs.plan import Run
    from gckd.runs.provenance import Provenance
    from gckd.training.run import RunResult

Record = dict[str, Any]


def done_record(run: Run, result: RunResult, provenance: Provenance) -> Record:
    """The row of a finished run."""
    return {
        **identity(run, provenance),
        **{name: result.metrics[name] for name in METRICS},
        "seconds": result.seconds,
        "pretrain_seconds": result.pretrain_seconds,
        "source_digest": result.source_digest,
        "target_digest": result.target_digest,
        "queries": result.queries,
        "gallery": result.gallery,
        "notes": json.dumps(list(result.notes)),
        "status": DONE,
    }


def failed_record(run: Run, error: str, seconds: float, provenance: Provenance) -> Record:
    """The row of a run that failed with `error` (one line)."""
    return {**identity(run, provenance), "seconds": seconds, "notes": "[]", "status": FAILED, "error": error}


def identity(run: Run, provenance: Provenance) -> Record:
    """The columns that say which run a row is of."""
    return {
        "row": run.row,
        "seed": run.seed,
        "config_digest": run.digest,
        "edits": run.edits_text,
        "git_revision": provenance.revision,
        "source": provenance.source,
        "target": provenance.target,
        "published": provenance.published,
        "plugins": json.dumps(dict(provenance.plugins)),
    }


class Records:
    """The records of one output folder, in memory and on disk."""

    def __init__(self, folder: Path) -> None:
        """Reads the existing records of `folder`, which need not exist.

        Raises:
            InputError: a record file cannot be read.
        """
        self.folder = folder
        self.runs: list[Record] = read_runs(folder / RUNS_FILE) if (folder / RUNS_FILE).exists() else []
        self.curves: list[Record] = read_curves(folder / CURVES_FILE) if (folder / CURVES_FILE).exists() else []

    def finished(self, run: Run) -> bool:
        """Whether `run` has a record as finished, with the same config."""
        return finished_record(self.runs, run) is not None

    def finish(self, run: Run, result: RunResult, provenance: Provenance) -> None:
        """Adds a finished run. Its `queries.parquet` is written first, into the run's folder."""
        write_table(run.folder / QUERIES_FILE, _queries(result.ranking))
        self.add(done_record(run, result, provenance), result.curves)

    def add(self, record: Record, curves: Iterable[Mapping[str, Any]] = ()) -> None:
        """Adds a run in place of an older record of the same row and seed, and writes both files."""
        key = {"row": record["row"], "seed": record["seed"]}
        self.curves = without(self.curves, key) + [{**key, **c} for c in curves]
        self.runs = [*without(self.runs, key), record]
        self._write()

    def arrange(self, runs: Sequence[Run]) -> None:
        """Put the runs into the order of a plan, in both files; runs of other rows and seeds follow."""
        places = {(run.row, run.seed): place for place, run in enumerate(runs)}
        for records in (self.runs, self.curves):
            records.sort(key=lambda record: places.get((record["row"], record["seed"]), len(places)))
        if self.runs:
            self._write()

    def _write(self) -> None:
        """The curves are written first: a run counts as recorded once `runs.parquet` has it."""
        write_table(self.folder / CURVES_FILE, pa.Table.from_pylist(self.curves, schema=CURVES))
        write_table(self.folder / RUNS_FILE, pa.Table.from_pylist(self.runs, schema=RUNS))

    def discard(self, records: Sequence[Record]) -> None:
        """Remove runs and their curves from both files."""
        for record in records:
            key = {"row": record["row"], "seed": record["seed"]}
            self.runs, self.curves = without(self.runs, key), without(self.curves, key)
        if records:
            write_table(self.folder / RUNS_FILE, pa.Table.from_pylist(self.runs, schema=RUNS))
            write_table(self.folder / CURVES_FILE, pa.Table.from_pylist(self.curves, schema=CURVES))


def finished_record(records: Iterable[Record], run: Run) -> Record | None:
    """The record of `run` as finished, with the same config; None if there is none."""
    identity_of_run = (run.row, run.seed, run.digest, DONE)
    return next((r for r in records if (r["row"], r["seed"], r["config_digest"], r["status"]) == identity_of_run), None)


def without(records: Iterable[Record], key: Mapping[str, Any]) -> list[Record]:
    """The records that differ from `key` in one of its fields."""
    return [record for record in records if any(record[name] != value for name, value in key.items())]


def _queries(ranking: Ranking) -> pa.Table:
    columns = {name: getattr(ranking, name).tolist() for name in ("identity", "rank", "ap", "top")}
    return pa.table({"query": range(len(ranking.rank)), **columns}, schema=QUERIES)


def write_table(path: Path, table: pa.Table) -> None:
    """Replace a record file as a whole."""
    with atomic.writing(path) as file:
        write_parquet(table, file)
