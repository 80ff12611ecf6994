"""Ablation: one table, or several subtables with a summary, as the options of `gckd ablate` describe it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from gckd.ablations.subtables import ONLY_TABLE, subtable_configs
from gckd.ablations.table import AblationTable
from gckd.ablations.tuned_rows import check_tunable
from gckd.config import Config, ConfigError, apply, digest
from gckd.errors import LostInputError
from gckd.report.comparability import MIXED_HINT, budget
from gckd.report.console import wide_console
from gckd.report.gains import write_gains
from gckd.runs.preflight import usable_cache
from gckd.storage.mirror import Mirror
from gckd.storage.path import StoragePath

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gckd.ablations.options import AblationOptions
    from gckd.ablations.rows import Rows
    from gckd.report.summary import RowSummary


def run_ablation(config: Config, user_edits: Mapping[str, Any], options: AblationOptions) -> bool:
    """Does every run and reports, or prints the plan with `--dry-run`; False if any run failed.

    Args:
        config: the user's, which a spec may edit.
        user_edits: edits that are already made in it.

    Raises:
        InputError: something in the options is refused; nothing has started then.
        LostInputError: a dataset or file disappeared; the same command with `--resume` continues once it is back.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the same command with `--resume` continues.
    """
    config = options.spec.full_config(config, user_edits)
    rows = options.rows(config)  # before a dataset is drawn or read, which takes longer than to find a misspelt name
    if not options.mixed:
        _check_budgets(config, rows)
    if options.tuned_rows:
        check_tunable(config, rows, options.seeds)
    options = dataclasses.replace(options, cache=usable_cache(options.cache))
    configs = subtable_configs(options.spec, options.datasets, config, options.cache.local_path)
    several = configs.keys() != {ONLY_TABLE}
    out = options.out or (f"runs/{options.name}-{digest(*configs.values())[:8]}" if several else None)
    mirror = Mirror.for_output(StoragePath.at(out)) if out else None
    tables = {name: AblationTable.checked(full, mirror, name, options) for name, full in configs.items()}
    if options.dry_run:
        # Not earlier: importing the models takes seconds, and of a table only its workers need them.
        from gckd.ablations.dry_run import dry_run_lines

        for line in dry_run_lines(list(tables.values())):
            click.echo(line)
        return True
    try:
        summaries = {name: table.make(first=not number) for number, (name, table) in enumerate(tables.items())}
    except (KeyboardInterrupt, LostInputError):
        output = mirror.out if mirror else tables[ONLY_TABLE].out
        click.echo(f"interrupted; to continue, repeat the command with --out {output} --resume", err=True)
        raise
    if mirror and several:
        pairs = {name: (table.datasets.source_name, table.datasets.target_name) for name, table in tables.items()}
        write_gains(mirror.folder, summaries, pairs, options.spec.question, wide_console())
        mirror.upload()
        click.echo(f"written to {mirror.out}", err=True)
    return not any(_has_failure(row) for summary in summaries.values() for row in summary)


def _has_failure(row: RowSummary) -> bool:
    return row.failed > 0 or bool(row.tuned and row.tuned.failed)


def _check_budgets(config: Config, rows: Rows) -> None:
    """Refuses rows that train on more or fewer pairs than the full method; rows without training are accepted."""
    full_budget, problems = budget(config), []
    for row, edits in rows.items():
        for stage, pairs in budget(apply(config, edits)).items():
            full_pairs = full_budget.get(stage, "none")
            if pairs != full_pairs:
                problems.append(f"row {row}: its {stage} is {pairs}, that of full is {full_pairs}; {MIXED_HINT}")
    if problems:
        raise ConfigError(problems)
