"""Run records: `runs.parquet` (one row a run) and `curves.parquet` (long), replaced whole after every finished run.

Beside each run's checkpoint, `queries.parquet` has a row for each query of the target test split.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
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
        ("edits", pa.string()),  # JSON, relative to the full config
        ("git_revision", pa.string()),
        ("seconds", pa.float64()),
        ("pretrain_seconds", pa.float64()),
        ("source_digest", pa.string()),
        ("target_digest", pa.string()),
        ("source", pa.string()),
        ("target", pa.string()),
        ("published", pa.string()),  # `icfg-pedes -> rstpreid` when these are the published datasets, else empty
        ("queries", pa.int64()),
        ("gallery", pa.int64()),
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
        ("top", pa.list_(pa.int32())),  # rows of the first gallery images, the best first
    ]
)

Record = dict[str, Any]


@dataclass(frozen=True)
class Origin:
    """What every run of a table has in common: its code and its datasets, by name."""

    revision: str
    source: str
    target: str
    published: str  # `icfg-pedes -> rstpreid` when both are, by their counts, the datasets papers report on; else ""

    def head(self, run: Run) -> Record:
        head = {"row": run.row, "seed": run.seed, "config_digest": run.digest, "edits": run.edits_text}
        datasets = {"source": self.source, "target": self.target, "published": self.published}
        return {**head, "git_revision": self.revision, **datasets}


def done_record(run: Run, result: RunResult, origin: Origin) -> Record:
    """The row of a finished run."""
    return {
        **origin.head(run),
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


def failed_record(run: Run, error: str, seconds: float, origin: Origin) -> Record:
    """The row of a run that stopped with `error` (one line)."""
    return {**origin.head(run), "seconds": seconds, "notes": "[]", "status": FAILED, "error": error}


class Records:
    """The records of one output folder, in memory and on disk."""

    def __init__(self, folder: Path) -> None:
        """Reads what `folder` already has; the folder need not exist.

        Raises:
            InputError: a record file is there but cannot be read.
        """
        self.folder = folder
        self.runs: list[Record] = _read(folder / RUNS_FILE, _RUNS)
        self.curves: list[Record] = _read(folder / CURVES_FILE, _CURVES)

    def finished(self, run: Run) -> bool:
        """Whether `run` is here, with the same config."""
        return any(
            (r["row"], r["seed"], r["config_digest"], r["status"]) == (run.row, run.seed, run.digest, DONE)
            for r in self.runs
        )

    def finish(self, run: Run, result: RunResult, origin: Origin) -> None:
        """Adds a finished run, after its `queries.parquet`, which goes into its own folder."""
        _write(run.folder / QUERIES_FILE, _queries(result.ranking))
        self.add(done_record(run, result, origin), result.curves)

    def add(self, record: Record, curves: Iterable[Mapping[str, Any]] = ()) -> None:
        """Adds a run, replacing an older record of the same row and seed, and writes both files.

        The curves go first: a run is recorded only once `runs.parquet` says so.
        """
        key = {"row": record["row"], "seed": record["seed"]}
        self.curves = [c for c in self.curves if not _is(c, key)] + [{**key, **c} for c in curves]
        self.runs = [r for r in self.runs if not _is(r, key)] + [record]
        _write(self.folder / CURVES_FILE, pa.Table.from_pylist(self.curves, schema=_CURVES))
        _write(self.folder / RUNS_FILE, pa.Table.from_pylist(self.runs, schema=_RUNS))


def _is(record: Mapping[str, Any], key: Mapping[str, Any]) -> bool:
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
