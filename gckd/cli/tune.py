"""`gckd tune`: hyperparameter search without target labels."""

from __future__ import annotations

import sys
from typing import Any

import click
import optuna

from gckd.cli.options import cache_option, config_options
from gckd.cli.tune_options import search_options
from gckd.cli.worker_options import check_gpu
from gckd.cluster.trial import ORACLE
from gckd.config import Config, apply
from gckd.config.stages import NO_SEARCH_BY_LABELS
from gckd.data.dataset_pair import DatasetPair
from gckd.data.street.default_pair import with_default_datasets
from gckd.errors import InputError
from gckd.runs.dataset_progress import dataset_progress
from gckd.runs.preflight import check_sizes, check_weights, check_workers, prepare_datasets, usable_cache
from gckd.storage.cache import CachePath
from gckd.tune.options import SearchOptions
from gckd.tune.search import HyperparameterSearch
from gckd.tune.space.space import load_space

_ARGUMENTS = "gckd.cli.tune.arguments"  # key of click's context


class _Command(click.Command):
    """Command that keeps its arguments as the user gave them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_ARGUMENTS] = tuple(args)
        return super().parse_args(ctx, args)


@click.command(cls=_Command)
@config_options
@search_options
@cache_option
def search(config: Config, cache: CachePath, **values: Any) -> int:
    """Search hyperparameters without target labels, and report the study.

    The default space has K, delta, C and m. Trials are compared by scores of unlabelled target data and labelled source
    data. Target labels are read only after the search: val for the audit of the scores, test for the metrics of the
    chosen trial and for the confirmation, which compares it with the base config over further seeds. Without --source
    and --target, the generated benchmark street is used. Repeat the command to resume an interrupted search; increase
    --trials to extend a study.

    `gckd tune` and, in a checkout, `python tune/search.py` are the same command.

    Limitations: ASHA may stop a trial after its first epoch. The start of a trial with several workers takes tens of
    seconds. The audit needs a target with labels. Only one search at a time may write to an output folder; several
    searches may share a study by --storage and --study.

    \b
    Examples:
      gckd tune --trials 32
      gckd tune --preset base --set backbone.weights=ALBEF.pth --source icfg-pedes:ICFG-PEDES \\
        --target rstpreid:RSTPReid --out /shared/search
      gckd tune --dry-run --space my_space.yaml
    """
    options = SearchOptions(**values, command=_command())
    options.check()
    check_gpu(options.gpu, options.dry_run)
    if config.adapt.source != "samples":
        raise InputError(f"adapt.source: {config.adapt.source!r} has no source val split, which scores the trials")
    if config.adapt.labels == "target":
        raise InputError(NO_SEARCH_BY_LABELS)
    if config.adapt.steps < options.epochs:
        raise InputError(f"--epochs: {options.epochs} is above its limit: adapt.steps = {config.adapt.steps}")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    cache = usable_cache(cache)
    space = load_space(options.space)
    config = with_default_datasets(config, cache.local_path, dataset_progress())
    config, datasets = prepare_datasets(config, cache, dataset_progress())
    if config.adapt.evaluations != options.epochs:
        config = apply(config, {"adapt.evaluations": options.epochs})
    check_sizes([config], datasets)
    check_workers("--workers-per-trial", options.workers, [config])
    check_weights([config], datasets)
    space, notes = space.check(config, _largest_bank(datasets))
    for note in notes:
        click.echo(f"note: {note}", err=True)
    if options.select == ORACLE:
        click.echo("warning: --select oracle chooses by target labels; every table says so", err=True)
    job = HyperparameterSearch(options, config, cache, space, datasets)
    if options.dry_run:
        job.dry_run()
        return 0
    return 0 if job.run() else 1


def _command() -> tuple[str, ...]:
    """Program and arguments of the running command, for a shell."""
    context = click.get_current_context()
    program = context.command_path.split() if context.parent else ["python", sys.argv[0]]
    return (*program, *context.meta[_ARGUMENTS])


def _largest_bank(datasets: DatasetPair) -> int:
    """Entries that the train splits can fill the largest memory bank with."""
    stores = (datasets.source, datasets.target)
    return max(store.counts["train"][kind] for store in stores for kind in ("images", "captions"))
