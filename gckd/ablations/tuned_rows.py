"""Tuned rows: each row gets its own best learning rate before the runs of the table, chosen without target labels."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gckd.config import Config, ConfigError, apply, digest
from gckd.config.edit import effective_edits
from gckd.config.paths import with_absolute_paths
from gckd.errors import InputError
from gckd.report.tuned_rates import TunedRate
from gckd.runs.plan import FULL, Run
from gckd.storage.label import run_folder
from gckd.validators import choose
from gckd.validators.choose import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gckd.ablations.rows import Rows
    from gckd.runs.records import Records
    from gckd.runs.tuning_records import TuningRecords

OPTION = "--tuned-rows"
FACTORS = (1.0, 0.3, 3.0)  # of the configured rate; the first of equal candidates is chosen
SEED_DISTANCE = 1000  # from the first seed of the table to that of the tuning runs
TUNING_FOLDER = "tuning"
_RATE = "adapt.lr"


def tuned_rows(config: Config, rows: Rows) -> Rows:
    """The rows whose learning rate is chosen: those that adapt without target labels, the full one included.

    Args:
        config: full config.
        rows: every other row.
    """
    configs = {row: apply(config, edits) for row, edits in _with_full(rows).items()}
    names = [row for row, c in configs.items() if c.adapt.steps and c.adapt.labels == "source"]
    return {row: edits for row, edits in _with_full(rows).items() if row in names}


def check_tunable(config: Config, rows: Rows, seeds: int) -> None:
    """Refuse a table whose rows cannot be tuned.

    Args:
        config: full config.
        rows: every other row.
        seeds: number of seeds of the table.

    Raises:
        ConfigError: no row adapts, a row has no source val split, two rows differ only in their rate, or a seed of the
            table is that of the tuning runs.
    """
    problems = []
    if seeds > SEED_DISTANCE:
        problems.append(f"--seeds: {seeds} is outside its limit: <= {SEED_DISTANCE} with {OPTION}")
    tuned = {row: apply(config, edits) for row, edits in tuned_rows(config, rows).items()}
    if not tuned:
        problems.append(f"{OPTION}: adapt.steps is 0, so no row has a learning rate; set it to >= 1")
    problems += [
        f"{OPTION}: row {row} has adapt.source = {c.adapt.source}, so no source val split, which the score needs; "
        f"remove the row or {OPTION}"
        for row, c in tuned.items()
        if c.adapt.source != "samples"
    ]
    row_of: dict[str, str] = {}
    for row, c in tuned.items():
        earlier = row_of.setdefault(digest(_with_rate(c, config.adapt.lr)), row)
        if earlier != row:
            problems.append(
                f"{OPTION}: row {row} differs from row {earlier} only in {_RATE}, which the option chooses; remove one "
                "of the two rows"
            )
    if problems:
        raise ConfigError(problems)


def candidate_runs(config: Config, rows: Rows, out: Path) -> dict[str, list[Run]]:
    """Row -> its tuning runs, one for each candidate; the configured rate comes first.

    Args:
        config: full config.
        rows: every other row.
        out: folder of the table.

    Raises:
        ConfigError: a candidate is outside the limits of `adapt.lr`, or the seed outside those of `seed`.
        InputError: a row name is too long for the folder of its tuning runs.
    """
    return {row: _candidates(config, row, edits, out) for row, edits in tuned_rows(config, rows).items()}


def _candidates(config: Config, row: str, edits: Mapping[str, Any], out: Path) -> list[Run]:
    configured = apply(config, edits)
    tuning = {"seed": config.seed + SEED_DISTANCE, "adapt.evaluations": 1}  # the score after the last step decides
    runs = []
    for factor in FACTORS:
        rate = float(f"{factor * configured.adapt.lr:.12g}")  # 0.3 * 0.004 = 0.0012, not 0.0011999...
        name = f"{row},{_RATE}={rate:g}"
        candidate_edits = effective_edits(config, {**edits, **tuning, _RATE: rate})
        try:
            candidate = with_absolute_paths(apply(config, candidate_edits))
        except ConfigError as error:
            raise ConfigError([f"{OPTION}: row {name}: {problem}" for problem in error.problems]) from error
        runs.append(Run(name, candidate, candidate_edits, run_folder(out / TUNING_FOLDER, name, candidate.seed)))
    return runs


def choose_rates(candidates: Mapping[str, Sequence[Run]], records: TuningRecords) -> dict[str, TunedRate]:
    """Row -> the best of its candidates by the default score of `gckd tune`, which reads no target labels.

    A row without a finished tuning run keeps the configured rate.

    Args:
        candidates: of `candidate_runs`.
        records: of these runs.
    """
    return {row: _chosen(runs, records) for row, runs in candidates.items()}


def _chosen(runs: Sequence[Run], records: TuningRecords) -> TunedRate:
    rates = [run.config.adapt.lr for run in runs]
    scores = {run.config.adapt.lr: scores for run in runs if (scores := records.scores(run))}
    chosen = rates[0]
    if scores:
        start, _ = next(iter(scores.values()))
        chosen = list(scores)[choose([last for _, last in scores.values()], start, DEFAULT)]
    failed = tuple(sorted(rate for rate in rates if rate not in scores))
    return TunedRate(chosen, rates[0], tuple(sorted(rates)), failed, DEFAULT, runs[0].seed)


def with_rates(config: Config, rows: Rows, rates: Mapping[str, TunedRate]) -> Rows:
    """The rows, the full one included, with their chosen rates.

    Args:
        config: full config.
        rows: every other row.
        rates: of the tuned rows.
    """
    return {
        row: effective_edits(config, {**edits, _RATE: rates[row].chosen}) if row in rates else edits
        for row, edits in _with_full(rows).items()
    }


def discard_outdated(config: Config, rates: Mapping[str, TunedRate], records: Records) -> dict[str, int]:
    """Remove the records of runs that another rate than the chosen one trained.

    A choice changes if a tuning run failed and `--resume` repeats it with success.

    Args:
        config: full config.
        rates: of the tuned rows.
        records: of the table.

    Returns:
        Row -> number of removed records; without the other rows.
    """
    outdated = [
        record
        for record in records.runs
        if record["row"] in rates
        and json.loads(record["edits"]).get(_RATE, config.adapt.lr) != rates[record["row"]].chosen
    ]
    records.discard(outdated)
    return Counter(record["row"] for record in outdated)


def check_resumable(records: TuningRecords, runs: Sequence[Mapping[str, Any]], *, tuned: bool) -> None:
    """Refuse to mix tuned runs and others in one table.

    Args:
        records: tuning runs in the output folder.
        runs: records of the table's runs there.
        tuned: whether the rows of the command are tuned.

    Raises:
        InputError: the folder has tuning runs and the command none, or the other way round.
    """
    if records.runs and not tuned:
        raise InputError(f"--resume: {records.folder} has tuned rows; add {OPTION}, or choose another --out")
    if runs and tuned and not records.runs:
        raise InputError(f"{OPTION}: {records.folder} has runs without tuned rows; choose another --out")


def _with_full(rows: Rows) -> Rows:
    return {FULL: {}, **rows}


def _with_rate(config: Config, rate: float) -> Config:
    return dataclasses.replace(config, adapt=dataclasses.replace(config.adapt, lr=rate))
