"""Run records: `runs.parquet` (one row per run) and `curves.parquet` (one row per point of a curve).

Both are replaced as a whole after every finished run. Each run's folder has `queries.parquet`, with one row per query
of the target test split.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from gckd.errors import InputError, reason_of
from gckd.storage.path import StoragePath

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from gckd.evaluation.retrieval import Ranking
    from gckd.runs.plan import Run
    from gckd.runs.provenance import Provenance
    from gckd.training.run import RunResult

METRICS = ("rank_1", "rank_5", "rank_10", "map", "minp")  # percent, target test
DONE, FAILED = "done", "failed"
RUNS_FILE, CURVES_FILE, QUERIES_FILE = "runs.parquet", "curves.parquet", "queries.parquet"

_RUNS = pa.schema(
    [
        ("row", pa.string()),
        ("seed", pa.int64()),
        *((name, pa.float64()) for name in METRICS),
        ("config_digest", pa.string()),
        ("edits", pa.string()),  # JSON, relative to the config of the full row
        ("git_revision", pa.string()),
        ("seconds", pa.float64()),
        ("pretrain_seconds", pa.float64()),
        ("source_digest", pa.string()),
        ("target_digest", pa.string()),
        ("source", pa.string()),
        ("target", pa.string()),
        ("published", pa.string()),  # `icfg-pedes -> rstpreid` if both match the published datasets, else empty
        ("queries", pa.int64()),
        ("gallery", pa.int64()),
        ("plugins", pa.string()),  # JSON: file name -> digest of its text; null in records of older versions
        ("notes", pa.string()),  # JSON list
        ("status", pa.string()),
        ("error", pa.string()),
    ]
)
_CURVES = pa.schema(
    [
        ("row", pa.string()),
        ("seed", pa.int64()),
        ("stage", pa.string()),
        ("step", pa.int64()),
        ("name", pa.string()),
        ("value", pa.float64()),
    ]
)
_QUERIES = pa.schema(
    [
        ("query", pa.int32()),  # row of the caption in its split
        ("identity", pa.int64()),
        ("rank", pa.int32()),  # of the first hit, from 1
        ("ap", pa.float32()),  # in [0, 1]
        ("top", pa.list_(pa.int32())),  # rows of the top-ranked gallery images, best first
    ]
)

Record = dict[str, Any]


def done_record(run: Run, result: RunResult, provenance: Provenance) -> Record:
    """The row of a finished run."""
    return {
        **_identity(run, provenance),
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
    return {**_identity(run, provenance), "seconds": seconds, "notes": "[]", "status": FAILED, "error": error}


def _identity(run: Run, provenance: Provenance) -> Record:
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
        self.runs: list[Record] = _read(folder / RUNS_FILE, _RUNS)
        self.curves: list[Record] = _read(folder / CURVES_FILE, _CURVES)

    def finished(self, run: Run) -> bool:
        """Whether `run` has a record as finished, with the same config."""
        return any(
            (r["row"], r["seed"], r["config_digest"], r["status"]) == (run.row, run.seed, run.digest, DONE)
            for r in self.runs
        )

    def finish(self, run: Run, result: RunResult, provenance: Provenance) -> None:
        """Adds a finished run. Its `queries.parquet` is written first, into the run's folder."""
        _write(run.folder / QUERIES_FILE, _queries(result.ranking))
        self.add(done_record(run, result, provenance), result.curves)

    def add(self, record: Record, curves: Iterable[Mapping[str, Any]] = ()) -> None:
        """Adds a run in place of an older record of the same row and seed, and writes both files.

        The curves are written first: a run counts as recorded once `runs.parquet` has it.
        """
        key = {"row": record["row"], "seed": record["seed"]}
        self.curves = [c for c in self.curves if not _matches(c, key)] + [{**key, **c} for c in curves]
        self.runs = [r for r in self.runs if not _matches(r, key)] + [record]
        _write(self.folder / CURVES_FILE, pa.Table.from_pylist(self.curves, schema=_CURVES))
        _write(self.folder / RUNS_FILE, pa.Table.from_pylist(self.runs, schema=_RUNS))


def _matches(record: Mapping[str, Any], key: Mapping[str, Any]) -> bool:
    return all(record[name] == value for name, value in key.items())


def _read(path: Path, schema: pa.Schema) -> list[Record]:
    if not path.exists():
        return []
    try:
        rows: list[Record] = pq.read_table(path, schema=schema).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: cannot be read as run records ({reason_of(error)})") from error
    return rows


def _queries(ranking: Ranking) -> pa.Table:
    columns = {name: getattr(ranking, name).tolist() for name in ("identity", "rank", "ap", "top")}
    return pa.table({"query": range(len(ranking.rank)), **columns}, schema=_QUERIES)


def _write(path: Path, table: pa.Table) -> None:
    with StoragePath.at(path).writing() as file:
        pq.write_table(table, file)
