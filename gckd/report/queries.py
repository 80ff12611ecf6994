"""What the runs of a table say query by query, and how far other queries would move its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from gckd.errors import InputError, reason_of
from gckd.report.statistics import OF_QUERIES, clustered

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from gckd.report.statistics import Interval

FILE = "queries.parquet"


@dataclass(frozen=True)
class Queries:
    """The queries of one run, in the order of their split."""

    identity: NDArray[np.int64]  # [Q]
    values: Mapping[str, NDArray[np.float64]]  # rank_1, map -> [Q] in percent; their means are the metrics


PerRun = Mapping[tuple[str, int], Queries]  # row, seed


class Number(NamedTuple):
    """A number of the table: a metric of a row, or what the full row has more."""

    row: str
    metric: str
    to_full: bool


def read_queries(folder: Path, records: Sequence[Mapping[str, Any]]) -> dict[tuple[str, int], Queries]:
    """Of every finished run of `folder` that kept them; those of earlier versions did not.

    Raises:
        InputError: a file is there and cannot be read.
    """
    done = [(str(r["row"]), int(r["seed"])) for r in records if r["status"] == "done"]
    files = {(row, seed): folder / row / f"seed-{seed}" / FILE for row, seed in done}
    return {key: _read(file) for key, file in files.items() if file.exists()}


def over_queries(runs: PerRun, seeds: Mapping[str, Sequence[int]], full: str) -> dict[Number, Interval]:
    """The interval of each number over the identities of the queries, the runs as they are.

    Captions of one person are not independent, so a person is drawn with all of them. A value is the mean over the
    seeds of the row, a difference that over the seeds which it shares with the full row, as in the table.

    Args:
        seeds: row -> those of its finished runs. A row is left out where one of them kept no queries, or others than
            those of the first row.
        full: the full row.
    """
    kept = [row for row, own in seeds.items() if own and all((row, seed) in runs for seed in own)]
    if not kept:
        return {}
    identity = runs[kept[0], seeds[kept[0]][0]].identity
    alike = [row for row in kept if all(np.array_equal(runs[row, seed].identity, identity) for seed in seeds[row])]
    columns: dict[Number, NDArray[np.float64]] = {}
    for row in alike:
        shared = [seed for seed in seeds[row] if seed in seeds[full]] if full in alike and row != full else []
        for name in runs[row, seeds[row][0]].values:
            columns[Number(row, name, False)] = _mean(runs, row, seeds[row], name)
            if shared:
                columns[Number(row, name, True)] = _mean(runs, full, shared, name) - _mean(runs, row, shared, name)
    return clustered(columns, identity, OF_QUERIES)


def _mean(runs: PerRun, row: str, seeds: Sequence[int], name: str) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = np.mean([runs[row, seed].values[name] for seed in seeds], axis=0)
    return mean


def _read(file: Path) -> Queries:
    try:
        table = pq.read_table(file, columns=["identity", "rank", "ap"])
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read as queries of a run ({reason_of(error)})") from error
    identity, rank, ap = (table.column(name).to_numpy() for name in table.column_names)
    return Queries(identity, {"rank_1": 100.0 * (rank == 1), "map": 100.0 * ap.astype(np.float64)})
