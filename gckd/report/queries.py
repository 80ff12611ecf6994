"""Results of each test query, and bootstrap intervals of the table's numbers over queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gckd.report.bootstrap import QUERY_RESAMPLES, cluster_bootstrap
from gckd.storage.label import run_folder
from gckd.storage.run_tables import read_queries_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from gckd.report.bootstrap import Interval

FILE = "queries.parquet"


@dataclass(frozen=True)
class Queries:
    """Test queries of one run, in the order of their split."""

    identity: NDArray[np.int64]  # [Q]
    values: Mapping[str, NDArray[np.float64]]  # rank_1, map -> [Q] in percent; their means are the metrics


QueriesOfRuns = Mapping[tuple[str, int], Queries]  # row, seed -> queries


class Quantity(NamedTuple):
    """A number of the table: a metric of a row, or (`to_full`) the difference full - row."""

    row: str
    metric: str
    to_full: bool


def read_queries(folder: Path, records: Sequence[Mapping[str, Any]]) -> dict[tuple[str, int], Queries]:
    """Queries of every finished run of `folder` that has a file of them; runs of earlier versions have none.

    Raises:
        InputError: a file cannot be read.
    """
    done = [(str(r["row"]), int(r["seed"])) for r in records if r["status"] == "done"]
    files = {(row, seed): run_folder(folder, row, seed) / FILE for row, seed in done}
    return {key: _read(file) for key, file in files.items() if file.exists()}


def query_bootstrap(runs: QueriesOfRuns, seeds: Mapping[str, Sequence[int]], full: str) -> dict[Quantity, Interval]:
    """Interval of each number over the identities of the queries, with the trained models fixed.

    Captions of one person depend on each other, so a person is drawn with all captions. As in the table, a metric is
    the mean over the seeds of its row, and a difference the mean over the seeds that the row shares with `full`.

    Args:
        runs: queries of the runs.
        seeds: row -> seeds of its finished runs. A row is left out if one of these runs has no queries, or other
            queries than the first row.
        full: name of the full row.
    """
    complete = [row for row, row_seeds in seeds.items() if row_seeds and all((row, s) in runs for s in row_seeds)]
    if not complete:
        return {}
    identity = runs[complete[0], seeds[complete[0]][0]].identity
    same = [row for row in complete if all(np.array_equal(runs[row, seed].identity, identity) for seed in seeds[row])]
    columns: dict[Quantity, NDArray[np.float64]] = {}
    for row in same:
        shared = [seed for seed in seeds[row] if seed in seeds[full]] if full in same and row != full else []
        for name in runs[row, seeds[row][0]].values:
            columns[Quantity(row, name, False)] = _mean(runs, row, seeds[row], name)
            if shared:
                columns[Quantity(row, name, True)] = _mean(runs, full, shared, name) - _mean(runs, row, shared, name)
    return cluster_bootstrap(columns, identity, QUERY_RESAMPLES)


def _mean(runs: QueriesOfRuns, row: str, seeds: Sequence[int], name: str) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = np.mean([runs[row, seed].values[name] for seed in seeds], axis=0)
    return mean


def _read(file: Path) -> Queries:
    table = read_queries_table(file)
    identity, rank, ap = (table.column(name).to_numpy() for name in ("identity", "rank", "ap"))
    return Queries(identity, {"rank_1": 100.0 * (rank == 1), "map": 100.0 * ap.astype(np.float64)})
