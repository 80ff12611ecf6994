"""Plan of the runs of a table: rows (named edits of one full config) times seeds."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gckd.config import Config, ConfigError, apply, check, digest, encode, value_at
from gckd.config.paths import with_absolute_paths
from gckd.storage.label import Label, run_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from gckd.storage.path import StoragePath

FULL = "full"
MAX_RUNS = 10_000  # of a table
_ADAPTATION = ("graph", "distill", "adapt", "evaluate")  # sections that do not affect source pre-training


@dataclass(frozen=True)
class Run:
    """Run of a row with one seed."""

    row: str
    config: Config
    edits: Mapping[str, Any]  # relative to the full config
    folder: Path  # on the driver, for config.yaml, queries.parquet and error.txt

    @property
    def seed(self) -> int:
        return self.config.seed

    @property
    def name(self) -> str:
        return f"{self.row} seed {self.seed}"

    def checkpoint_folder(self, out: StoragePath) -> StoragePath:
        """Folder of the checkpoint, in the output `out`."""
        return out / Label(self.row).folder / f"seed-{self.seed}"

    @property
    def digest(self) -> str:
        return digest(self.config)

    @property
    def edits_text(self) -> str:
        """The edits as JSON. A component is written with all its fields."""
        return json.dumps({path: encode(value_at(self.config, path)) for path in self.edits}, sort_keys=True)

    @property
    def preparation(self) -> str:
        """Digest of everything that data, vocabulary and source pre-training depend on: equal values share them.

        Runs that could share may have different values. Then the second one finds everything in the cache.
        """
        return digest({name: node for name, node in encode(self.config).items() if name not in _ADAPTATION})


def plan(
    full: Config,
    rows: Mapping[str, Mapping[str, Any]],
    seeds: int,
    out: Path,
    *,
    full_edits: Mapping[str, Any] = MappingProxyType({}),
) -> list[Run]:
    """All runs, row by row. The full row comes first.

    Args:
        full: config of the full row; its seed is the first of the seeds.
        rows: row name -> edits of `full`, without the full row.
        seeds: number of consecutive seeds.
        out: folder of the table.
        full_edits: edits of `full` that its own row has, such as a tuned learning rate; other rows are without them.

    Raises:
        ConfigError: an edit is refused or names missing weights, a row is called `full`, two rows have the same config,
            or there are more than `MAX_RUNS` runs.
    """
    if (number := (1 + len(rows)) * seeds) > MAX_RUNS:
        raise ConfigError([f"seeds: {seeds:,} x {1 + len(rows):,} rows are {number:,} runs; the limit is {MAX_RUNS:,}"])
    problems: list[str] = []
    configs: dict[str, Config] = {FULL: apply(check(full), full_edits)}
    if FULL in rows:
        raise ConfigError([f"row {FULL}: is the label of the full method; choose another name"])
    for row, edits in rows.items():
        try:
            configs[row] = with_absolute_paths(apply(full, edits))
        except ConfigError as error:
            problems += [f"row {row}: {problem}" for problem in error.problems]
    problems += _duplicates(configs)
    if problems:
        raise ConfigError(problems)
    edits_of_rows = {FULL: full_edits, **rows}
    return [
        Run(row, check(dataclasses.replace(config, seed=seed)), edits_of_rows[row], run_folder(out, row, seed))
        for row, config in configs.items()
        for seed in range(full.seed, full.seed + seeds)
    ]


def preparations(runs: Sequence[Run]) -> dict[str, Run]:
    """First run of each distinct preparation, by its digest, in the order of the runs."""
    first: dict[str, Run] = {}
    for run in runs:
        first.setdefault(run.preparation, run)
    return first


def _duplicates(configs: Mapping[str, Config]) -> list[str]:
    row_of: dict[str, str] = {}
    problems = []
    for row, config in configs.items():
        twin = row_of.setdefault(digest(config), row)
        if twin != row:
            problems.append(f"row {row}: has the same config as row {twin}; remove one")
    return problems
