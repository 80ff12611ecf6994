"""What is to be run: rows (named edits of one full config) times seeds."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gckd.config import Config, ConfigError, apply, check, digest, encode, value_at
from gckd.config.paths import with_files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from gckd.storage.path import StoragePath

FULL = "full"
_ADAPTATION = ("graph", "distill", "adapt", "evaluate")  # what source pre-training does not depend on


@dataclass(frozen=True)
class Run:
    """One run of one row with one seed."""

    row: str
    config: Config
    edits: Mapping[str, Any]  # relative to the full config; empty for the full row
    folder: Path  # of the driver: config.yaml, queries.parquet and error.txt

    @property
    def seed(self) -> int:
        return self.config.seed

    @property
    def name(self) -> str:
        return f"{self.row} seed {self.seed}"

    def checkpoint_folder(self, out: StoragePath) -> StoragePath:
        """Where its checkpoint is, in the output `out`; `folder` in that of the driver."""
        return out / self.row / f"seed-{self.seed}"

    @property
    def digest(self) -> str:
        return digest(self.config)

    @property
    def edits_text(self) -> str:
        """The edits as JSON, components in full."""
        return json.dumps({path: encode(value_at(self.config, path)) for path in self.edits}, sort_keys=True)

    @property
    def preparation(self) -> str:
        """Runs with equal values share data, vocabulary and source pre-training.

        It may tell apart what `gckd.training` would share, never the reverse: that only costs a look into the cache.
        """
        return digest({name: node for name, node in encode(self.config).items() if name not in _ADAPTATION})


def plan(full: Config, rows: Mapping[str, Mapping[str, Any]], seeds: int, out: Path) -> list[Run]:
    """Every run, row by row, the full row first.

    Args:
        full: config of the full row; its seed is the first of the seeds.
        rows: row name -> edits of `full`, without the full row.
        seeds: how many consecutive seeds.
        out: folder of the whole table.

    Raises:
        ConfigError: an edit is refused, names weights that are not there, or two rows come to the same config.
    """
    problems: list[str] = []
    configs: dict[str, Config] = {FULL: check(full)}
    for row, edits in rows.items():
        try:
            configs[row] = with_files(apply(full, edits))
        except ConfigError as error:
            problems += [f"row {row}: {problem}" for problem in error.problems]
    problems += _same(configs)
    if problems:
        raise ConfigError(problems)
    return [
        Run(row, check(dataclasses.replace(config, seed=seed)), rows.get(row, {}), out / row / f"seed-{seed}")
        for row, config in configs.items()
        for seed in range(full.seed, full.seed + seeds)
    ]


def preparations(runs: Sequence[Run]) -> dict[str, Run]:
    """For each distinct preparation, the run whose config prepares it; in the order they are first needed."""
    first: dict[str, Run] = {}
    for run in runs:
        first.setdefault(run.preparation, run)
    return first


def _same(configs: Mapping[str, Config]) -> list[str]:
    seen: dict[str, str] = {}
    problems = []
    for row, config in configs.items():
        twin = seen.setdefault(digest(config), row)
        if twin != row:
            problems.append(f"row {row}: it is the same config as row {twin}")
    return problems
