"""Hyperparameter search without target labels: Optuna proposes, Ray Tune runs, label-free scores choose.

python tune/search.py --trials 32
"""

from __future__ import annotations

import statistics
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import optuna
from optuna.exceptions import StorageInternalError

from gckd.cli.options import cache_option, config_options
from gckd.cli.tune_options import Options, search_options
from gckd.cluster.connect import cluster, reachable_resources
from gckd.cluster.trial import ORACLE, Search
from gckd.config import Config, apply, digest, encode
from gckd.data.dataset_pair import DatasetPair
from gckd.data.street.default_pair import with_default_datasets
from gckd.device import cores
from gckd.errors import InputError
from gckd.report.console import wide_console
from gckd.runs.dataset_progress import dataset_progress
from gckd.runs.output import CONFIG_FILE, output_folder
from gckd.runs.preflight import check_sizes, prepare_datasets, usable_cache, usable_folder
from gckd.runs.progress_display import display
from gckd.runs.provenance import git_revision
from gckd.storage.cache import CachePath
from gckd.storage.mirror import Mirror
from gckd.storage.path import StoragePath
from gckd.training.timing import step_seconds
from gckd.tune.dry_run import estimate, planned
from gckd.tune.engine import Engine
from gckd.tune.final_evaluation import audit, read_test
from gckd.tune.plan import OBJECTIVES, Plan
from gckd.tune.preflight import check_cluster
from gckd.tune.report.write import write_search_report
from gckd.tune.space.space import Space, load_space
from gckd.tune.storage import FILE as JOURNAL
from gckd.tune.storage import open_storage
from gckd.tune.study import counts, make_sampler, open_study

if TYPE_CHECKING:
    from optuna import Study

_DIRECTIONS = {"max": "maximize", "min": "minimize"}
_KINDS = ("images", "captions")
_OWNER = "owner"


@click.command()
@config_options
@search_options
@cache_option
def search(config: Config, cache: CachePath, **given: Any) -> int:
    """Search hyperparameters of the adaptation, K, delta, C and m by default, and report the study.

    Trials are compared by scores of unlabelled target data and labelled source data. Target labels are read after the
    search: val by the audit of those scores, test once for the chosen trial. Without --source and --target, the
    generated benchmark street is used. The same command again goes on; --trials 64 extends the study.

    \b
    python tune/search.py --trials 32
    python tune/search.py --preset base --source icfg-pedes:ICFG --target rstpreid:RSTP --out /shared/search
    python tune/search.py --dry-run --space my.yaml
    """
    options = Options(**given)
    options.check()
    if config.adapt.source != "samples":
        raise InputError(f"adapt.source: {config.adapt.source!r} leaves no source val, by which trials are scored")
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
    space, notes = space.check(config, _most_examples(datasets))
    for note in notes:
        click.echo(f"note: {note}", err=True)
    if options.select == ORACLE:
        click.echo("warning: --select oracle chooses by target labels; every table will say so", err=True)
    return _Command(options, config, cache, space, datasets).run()


class _Command:
    """One command, its input checked."""

    def __init__(self, options: Options, config: Config, cache: CachePath, space: Space, datasets: DatasetPair) -> None:
        self.options, self.config, self.cache, self.space, self.datasets = options, config, cache, space, datasets
        what = [options.select, list(options.objectives), options.seeds, space.encode()]
        self.out = StoragePath.at(options.out or Path("runs") / f"search-{digest(config, *what)[:8]}")
        self.mirror = Mirror.for_output(self.out)
        self.folder = self.mirror.folder  # of the driver
        self.name = options.study or self.out.name
        self.seeds = range(config.seed, config.seed + options.seeds)

    def run(self) -> int:
        if self.options.dry_run:
            return self.dry_run()
        usable_folder(self.folder, "--out")
        self.mirror.download_appended(self.folder / JOURNAL)
        self.mirror.download(self.folder / name for name in (_OWNER, CONFIG_FILE))
        again = self.options.resume or (self.folder / _OWNER).exists()
        with output_folder(self.folder, self.config, resume=again):
            study = self.study()
            self.owner()  # from here on the same command goes on
            try:
                self.search(study)
            except StorageInternalError as error:
                raise InputError(
                    f"--storage: it was lost during the search; the same command goes on ({error})"
                ) from error
            except KeyboardInterrupt:
                click.echo("interrupted; the same command goes on with it. So far:", err=True)
                self.report(study)
                raise
            chosen = self.report(study)
        click.echo(f"written to {self.out}", err=True)
        return 0 if chosen else 1

    def dry_run(self) -> int:
        """Prints the plan; what it opens is not written to."""
        done = 0
        if self.options.storage or (self.folder / _OWNER).exists():
            done = sum(map(counts, self.study().get_trials(deepcopy=False)))
        plan = self.plan({"CPU": cores()})
        for line in planned(plan, self.config, self.space, self.options.sampler, self.options.select, done):
            click.echo(line)
        click.echo(
            estimate(plan, self.config, step_seconds(self.config, self.datasets, self.cache, plan.threads), done)
        )
        return 0

    def study(self) -> Study:
        options = self.options
        storage = open_storage(options.storage, usable_folder(self.folder, "--out"))
        start = self.space.start(self.config)
        study = open_study(
            storage,
            self.name,
            make_sampler(options.sampler, self.config.seed, len(options.objectives)),
            [_DIRECTIONS[OBJECTIVES[name]] for name in options.objectives],
            {
                "select": options.select,
                "objectives": list(options.objectives),
                "base": encode(self.config),
                "space": self.space.encode(),
                "source": self.datasets.source_name,
                "target": self.datasets.target_name,
                "revision": git_revision(),
            },
            [start] if start else [],
        )
        study.set_user_attr("sampler", options.sampler)
        return study

    def plan(self, there: Mapping[str, float]) -> Plan:
        """How to run it with the resources `there`: as many trials at a time as fit, if the user did not say."""
        options = self.options
        gpus = options.gpus
        if gpus is None:
            gpus = 1.0 if there.get("GPU", 0) and self.config.device != "cpu" else 0.0
        room = [there.get("CPU", 0) / (options.threads * options.workers)]
        room += [there.get("GPU", 0) / (gpus * options.workers)] if gpus else []
        return Plan(
            trials=options.trials,
            concurrent=options.concurrent or max(1, int(min(room))),
            workers=options.workers,
            threads=options.threads,
            gpus=gpus,
            scheduler=options.scheduler,
            objectives=options.objectives,
            seeds=self.seeds,
            mlflow=options.mlflow,
        )

    def search(self, study: Study) -> None:
        """Source models, trials, audit and the one reading of the test split."""
        options, nested = self.options, self.options.workers > 1
        wanted = self.plan({"CPU": cores()})
        cpus = wanted.concurrent * wanted.workers
        shared = Search(self.config, self.cache, options.select, options.threads, start={})
        with cluster(cpus, options.threads, nested=nested) as (ray, interruption), display() as shown:
            plan = self.plan(reachable_resources(ray))
            check_cluster(ray, self.config, self.out, self.cache, plan.workers, plan.threads, plan.gpus)
            engine = Engine(ray, interruption, plan, shared, self.out, self.folder, shown, self.mirror.upload_if_due)
            models = engine.source_models()
            study.set_user_attr("start", _means([model.scores for model in models]))
            ended = engine.trials(study, self.space, self.owner())
            click.echo(f"the search ended: {ended}", err=True)
            ran = sum(counts(trial) for trial in study.get_trials(deepcopy=False))
            shared_seconds = sum(model.pretrain_seconds + model.warm_seconds for model in models)
            study.set_user_attr("saved_seconds", shared_seconds * max(0, ran - 1))
            if options.audit:
                audit(study, engine)
                read_test(study, engine)

    def owner(self) -> str:
        """Id of the output folder: what was left running under it is gone on with here and nowhere else."""
        file = self.folder / _OWNER
        if not file.exists():
            file.write_text(uuid.uuid4().hex, encoding="utf-8")
        return file.read_text(encoding="utf-8")

    def report(self, study: Study) -> bool:
        """Writes and prints the report; whether a trial could be chosen."""
        chosen = write_search_report(study, self.folder, wide_console(), storage=self.options.storage)
        self.mirror.upload()
        return chosen is not None


def _means(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: statistics.fmean(s[name] for s in scores) for name in scores[0]}


def _most_examples(datasets: DatasetPair) -> int:
    """Entries that the largest of the four banks can be filled with."""
    return max(store.counts["train"][kind] for store in (datasets.source, datasets.target) for kind in _KINDS)
