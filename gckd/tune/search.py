"""Hyperparameter search without target labels: Optuna samples, Ray Tune runs the trials, label-free scores choose."""

from __future__ import annotations

import dataclasses
import functools
import re
import statistics
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from optuna.exceptions import StorageInternalError

from gckd.cluster.connect import cluster, reachable_resources
from gckd.cluster.execution import Execution
from gckd.cluster.executor import execute_on
from gckd.cluster.trial import Search
from gckd.config import Config, digest, encode
from gckd.config.config_file import CONFIG_FILE
from gckd.data.dataset_pair import DatasetPair
from gckd.device import cores
from gckd.errors import InputError, LostInputError
from gckd.printable import echo
from gckd.report.console import wide_console
from gckd.runs.output import output_folder
from gckd.runs.plan import FULL
from gckd.runs.preflight import usable_folder
from gckd.runs.provenance import Provenance, git_revision
from gckd.runs.records import Records
from gckd.runs.tracker import MLFLOW_FILE, Trackers, open_trackers
from gckd.storage import atomic
from gckd.storage.cache import CachePath
from gckd.storage.label import Label
from gckd.storage.mirror import Mirror
from gckd.storage.path import StoragePath
from gckd.tune.best import CONFIRMED, best, best_config
from gckd.tune.cluster_check import check_cluster
from gckd.tune.confirmation import CHOSEN, Confirmation, confirmation_seeds
from gckd.tune.engine import Engine
from gckd.tune.final_evaluation import audit, evaluate_on_test
from gckd.tune.options import SearchOptions
from gckd.tune.plan import OBJECTIVES, Plan
from gckd.tune.report.cost import CONFIRMATION_SECONDS
from gckd.tune.report.search_report import write_search_report
from gckd.tune.samplers import make_sampler
from gckd.tune.search_display import SearchDisplay
from gckd.tune.space.space import Space
from gckd.tune.storage import FILE as JOURNAL
from gckd.tune.storage import open_storage
from gckd.tune.study import RESOURCES, counts, open_study
from gckd.tune.trial_attributes import check_trials
from gckd.tune.verdict import Verdict, make_verdict
from gckd.validators.choose import DEFAULT, DEFAULT_SCORE

if TYPE_CHECKING:
    from optuna import Study

    from gckd.interruption import Interruption

_DIRECTIONS = {"max": "maximize", "min": "minimize"}
_OWNER = "owner"  # file in the output folder


class HyperparameterSearch:
    """A search with checked options, config, space and datasets."""

    def __init__(
        self, options: SearchOptions, config: Config, cache: CachePath, space: Space, datasets: DatasetPair
    ) -> None:
        self.options, self.config, self.cache, self.space, self.datasets = options, config, cache, space, datasets
        identity = [options.select, list(options.objectives), options.seeds, space.encode()]
        self.out = StoragePath.at(options.out or Path("runs") / f"search-{digest(config, *identity)[:8]}")
        self.mirror = Mirror.for_output(self.out)
        self.folder = self.mirror.folder  # local
        self.name = Label(options.study) if options.study else self.out.name

    def run(self) -> bool:
        """Runs or resumes the search and writes its report.

        Returns:
            whether a trial could be chosen.

        Raises:
            InputError: a folder, a storage or the cluster cannot be used, or the study belongs to another search.
            KeyboardInterrupt: Ctrl-C, after the report of the trials so far.
            LostInputError: a dataset or file disappeared, after the same report.
        """
        usable_folder(self.folder, "--out")
        self.mirror.download_appended(self.folder / JOURNAL)
        self.mirror.download(self.folder / name for name in (_OWNER, CONFIG_FILE, MLFLOW_FILE))
        started_before = (self.folder / _OWNER).exists() or not self._has_trials()
        resume = self.options.resume or started_before
        # The owner is the first file: from there on, the same command resumes.
        with output_folder(self.folder, self.config, resume=resume, claim=lambda folder: self._owner()):
            study = self._open_study()
            try:
                self._search(study)
            except StorageInternalError as error:
                raise InputError(
                    f"--storage: lost during the search; repeat the command to resume ({error})"
                ) from error
            except (KeyboardInterrupt, LostInputError):
                click.echo("interrupted; repeat the command to resume. Results so far:", err=True)
                self._report(study, interrupted=True)
                raise
            chosen = self._report(study)
        click.echo(f"written to {self.out}", err=True)
        return chosen

    def _has_trials(self) -> bool:
        """Whether the folder has more files than a search writes before its first trial."""
        first = {CONFIG_FILE, JOURNAL, f"{JOURNAL}.lock"}
        return any(item.name not in first and not item.name.startswith(".") for item in self.folder.iterdir())

    def dry_run(self) -> None:
        """Prints the plan and a time estimate."""
        # Not earlier: importing the models takes seconds, and of a search only its workers need them.
        from gckd.estimate.run_estimate import dry_run_estimate
        from gckd.training.pretrain import is_pretrained
        from gckd.training.timing import step_seconds
        from gckd.tune.dry_run import estimate, plan_lines

        finished = 0
        if self.options.storage or (self.folder / _OWNER).exists():
            finished = sum(map(counts, self._open_study().get_trials(deepcopy=False)))
        plan = self._plan({"CPU": cores()})
        for line in plan_lines(plan, self.config, self.space, self.options.sampler, self.options.select, finished):
            click.echo(line)
        if self.options.gpu:
            pretrained = is_pretrained(self.config, self.datasets, self.cache)
            seconds, memory = dry_run_estimate(self.config, self.options.gpu, pretrained, "trial")
            plan = dataclasses.replace(plan, concurrent=self.options.concurrent or 1)
            click.echo(estimate(plan, self.config, seconds, finished))
            click.echo(memory)
        else:
            seconds = step_seconds(self.config, self.datasets, self.cache, plan.resources.threads)
            click.echo(estimate(plan, self.config, seconds, finished))

    def _open_study(self) -> Study:
        options = self.options
        start = self.space.start(self.config)
        study = open_study(
            open_storage(options.storage, usable_folder(self.folder, "--out")),
            self.name,
            make_sampler(options.sampler, self.config.seed, len(options.objectives)),
            [_DIRECTIONS[OBJECTIVES[name]] for name in options.objectives],
            {
                "select": options.select,
                "default_score": DEFAULT_SCORE if options.select == DEFAULT else None,
                "objectives": list(options.objectives),
                "base": encode(self.config),
                "space": self.space.encode(),
                "source": self.datasets.source_name,
                "target": self.datasets.target_name,
                "revision": git_revision(),
            },
            [start] if start else [],
        )
        check_trials(study)
        study.set_user_attr("sampler", options.sampler)
        return study

    def _plan(self, resources: Mapping[str, float]) -> Plan:
        return self.options.plan(resources, self.config.device, self.config.seed)

    def _search(self, study: Study) -> None:
        """Source models, trials, audit, the test metrics of the chosen trial, and the confirmation."""
        options, nested = self.options, self.options.workers > 1
        local_plan = self._plan({"CPU": cores()})
        cpus = local_plan.concurrent * local_plan.resources.workers
        with cluster(cpus, options.threads, nested=nested) as (ray, interruption):
            with SearchDisplay() as progress:
                self._run_trials(study, ray, interruption, progress)
            self._confirm(study, ray, interruption)

    def _run_trials(self, study: Study, ray: Any, interruption: Interruption, progress: SearchDisplay) -> None:
        """Source models, trials, audit and the test metrics of the chosen trial."""
        options = self.options
        shared = Search(self.config, self.cache, options.select, options.threads, start={})
        plan = self._plan(reachable_resources(ray))
        check_cluster(ray, self.config, self.out, self.cache, plan.resources)
        study.set_user_attr(RESOURCES, dataclasses.asdict(plan.resources))
        upload = self.mirror.upload_if_due
        engine = Engine(ray, interruption, plan, shared, self.out, self.folder, progress, upload, self._trackers)
        models = engine.source_models()
        study.set_user_attr("start", _means([model.scores for model in models]))
        end_reason = engine.trials(study, self.space, self._owner())
        click.echo(f"search ended: {end_reason}", err=True)
        runs = sum(counts(trial) for trial in study.get_trials(deepcopy=False))
        shared_seconds = sum(model.pretrain_seconds + model.warm_seconds for model in models)
        study.set_user_attr("saved_seconds", shared_seconds * max(0, runs - 1))
        if options.audit:
            audit(study, engine)
            evaluate_on_test(study, engine)

    def _confirmation(self, study: Study) -> Confirmation | None:
        """Confirmation of the trial that is the best now; None if there is none, or no seeds for it."""
        chosen, options = best(study), self.options
        if chosen is None or not options.confirmation_seeds:
            return None
        seeds = confirmation_seeds(self.config, options.seeds, options.confirmation_seeds)
        return Confirmation(self.config, best_config(study, chosen), seeds, self.folder)

    def _confirm(self, study: Study, ray: Any, interruption: Interruption) -> None:
        """Runs of the confirmation that are missing; a repeated command resumes them."""
        confirmation, options, datasets = self._confirmation(study), self.options, self.datasets
        if confirmation is None:
            return
        study.set_user_attr(CONFIRMED, True)  # target test is read from here on
        runs, records = confirmation.runs(), confirmation.prepare(self.mirror)
        missing = sum(not records.finished(run) for run in runs)
        click.echo(f"confirmation: {missing} of {len(runs)} runs to do (off: --confirm-seeds 0)", err=True)
        execution = Execution(
            records,
            Provenance(git_revision(), datasets.source_name, datasets.target_name, datasets.published),
            self.cache,
            SearchDisplay(),
            workers=options.workers,
            threads=options.threads,
            gpus=options.gpus,
            out=confirmation.out(self.mirror),
            after_run=self.mirror.upload_if_due,
            trackers=self._trackers,
            tracked_rows={FULL: CHOSEN},
        )
        execute_on(ray, interruption, runs, execution)
        study.set_user_attr(CONFIRMATION_SECONDS, sum(record["seconds"] for record in records.runs))

    @functools.cached_property
    def _trackers(self) -> Trackers:
        """Opened once: an error then ends the command, before the first trial."""
        return open_trackers(self.options.trackers, self.folder, self.name)

    def _verdict(self, study: Study) -> Verdict | None:
        confirmation = self._confirmation(study)
        if confirmation is None:
            return None
        verdict = make_verdict(confirmation.runs(), Records(confirmation.record_folder))
        if verdict is None and study.user_attrs.get(CONFIRMED):
            click.echo("note: the best trial has changed and is not confirmed yet; repeat the command", err=True)
        return verdict

    def _owner(self) -> str:
        """Id of the output folder. A RUNNING trial of the study is resumed only by a search in its owner's folder."""
        file = self.folder / _OWNER
        if not file.exists():
            atomic.write(file, uuid.uuid4().hex)
        owner = file.read_bytes().strip()
        if not re.fullmatch(rb"[0-9a-f]{32}", owner):
            raise InputError(f"{file}: damaged; delete it: trials that were running are then not resumed")
        return owner.decode()

    def _report(self, study: Study, interrupted: bool = False) -> bool:
        """Writes and prints the report; whether a trial could be chosen."""
        try:
            verdict = self._verdict(study)
        except InputError as error:  # weights that disappeared
            if not interrupted:
                raise
            echo(f"warning: no verdict ({error})", err=True)
            verdict = None
        chosen = write_search_report(
            study,
            self.folder,
            wide_console(),
            storage=self.options.storage,
            verdict=verdict,
            next_command=self.options.next_command(interrupted),
        )
        if interrupted:  # an error of the store must not hide the interruption
            self.mirror.try_upload()
        else:
            self.mirror.upload()
        return chosen is not None


def _means(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: statistics.fmean(s[name] for s in scores) for name in scores[0]}
