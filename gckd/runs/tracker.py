"""Trackers: TensorBoard, MLflow and Weights & Biases, to which runs are logged beside their records.

Each is an optional package, imported when it is first used. The records stay complete without them, so an error of a
tracker ends its logging and not the run.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import click

from gckd.errors import InputError, reason_of, unknown_choice
from gckd.printable import echo, shortened
from gckd.storage.path import expanded

Values = Mapping[str, float]
MLFLOW_FILE = "mlflow.db"  # in the output folder
_DATABRICKS = "databricks"  # tracking URI of MLflow without a scheme
_FILE_CHARACTERS = 120
_REASON_CHARACTERS = 200  # some packages explain an error in a paragraph


class Tracker(Protocol):
    """Service that shows curves and parameters of runs. A run is known by its name."""

    def start(self, run: str, parameters: Mapping[str, str]) -> None:
        """Open a run."""

    def log(self, run: str, stage: str, step: int, values: Values) -> None:
        """Add a point to the curves of an open run."""

    def end(self, run: str, metrics: Values) -> None:
        """Close a run with its final metrics."""


class TensorBoard:
    """Event files, a folder for each run."""

    package, install = "tensorboardX", "tensorboardX tensorboard"

    def __init__(self, where: str, folder: Path, group: str) -> None:
        """where: folder; empty: `tensorboard` in the output `folder`."""
        self._folder = expanded(where) if where else folder / "tensorboard"
        self._writers: dict[str, Any] = {}

    def start(self, run: str, parameters: Mapping[str, str]) -> None:
        writer = importlib.import_module(self.package).SummaryWriter(logdir=str(self._folder / _file_name(run)))
        writer.add_text("parameters", "\n".join(f"    {name}: {value}" for name, value in parameters.items()))
        self._writers[run] = writer

    def log(self, run: str, stage: str, step: int, values: Values) -> None:
        for name, value in values.items():
            self._writers[run].add_scalar(f"{stage}/{name}", value, step)
        self._writers[run].flush()

    def end(self, run: str, metrics: Values) -> None:
        for name, value in metrics.items():
            self._writers[run].add_scalar(name, value, 0)
        self._writers.pop(run).close()


class MLflow:
    """Runs of an MLflow experiment."""

    package, install = "mlflow", "mlflow"

    def __init__(self, where: str, folder: Path, group: str) -> None:
        """where: tracking URI or folder of a database; empty: the output `folder`. group: name of the experiment."""
        if "://" not in where and where != _DATABRICKS:  # MLflow itself refuses a folder
            database = (expanded(where) if where else folder).absolute()
            database.mkdir(parents=True, exist_ok=True)
            where = f"sqlite:///{database / MLFLOW_FILE}"
        self._client: Any = importlib.import_module(self.package).MlflowClient(tracking_uri=where)
        present = self._client.get_experiment_by_name(group)
        self._experiment = present.experiment_id if present else self._client.create_experiment(group)
        self._ids: dict[str, str] = {}

    def start(self, run: str, parameters: Mapping[str, str]) -> None:
        self._ids[run] = self._client.create_run(self._experiment, run_name=run).info.run_id
        for name, value in parameters.items():
            self._client.log_param(self._ids[run], name, value)

    def log(self, run: str, stage: str, step: int, values: Values) -> None:
        for name, value in values.items():
            self._client.log_metric(self._ids[run], f"{stage}/{name}", value, step=step)

    def end(self, run: str, metrics: Values) -> None:
        for name, value in metrics.items():
            self._client.log_metric(self._ids[run], name, value, step=0)
        self._client.set_terminated(self._ids.pop(run))


class WeightsAndBiases:
    """Runs of a project of Weights & Biases. WANDB_MODE=offline writes files that `wandb sync` uploads later."""

    package, install = "wandb", "wandb"

    def __init__(self, where: str, folder: Path, group: str) -> None:
        """where: project; empty: `gckd`. folder: output, for wandb's files. group: of the runs in the project."""
        self._project, self._folder, self._group = where or "gckd", folder, group
        self._runs: dict[str, Any] = {}

    def start(self, run: str, parameters: Mapping[str, str]) -> None:
        opened = importlib.import_module(self.package).init(
            project=self._project,
            group=self._group,
            name=run,
            config=dict(parameters),
            dir=str(self._folder),
            reinit="create_new",  # several runs of one process are open at a time
            settings={"quiet": True},  # no history and summary, of 40 lines for each run, between the lines of gckd
        )
        self._runs[run] = opened

    def log(self, run: str, stage: str, step: int, values: Values) -> None:
        # Steps of wandb only grow, and every stage begins at 0: so the step is a value like the others.
        self._runs[run].define_metric(f"{stage}/*", step_metric=f"{stage}/step")
        self._runs[run].log({f"{stage}/step": step, **{f"{stage}/{name}": value for name, value in values.items()}})

    def end(self, run: str, metrics: Values) -> None:
        opened = self._runs.pop(run)
        opened.summary.update(metrics)
        opened.finish()


KINDS: dict[str, type[TensorBoard] | type[MLflow] | type[WeightsAndBiases]] = {
    "tensorboard": TensorBoard,
    "mlflow": MLflow,
    "wandb": WeightsAndBiases,
}


class Trackers:
    """All trackers of a command. An error in one prints a warning and ends its logging."""

    def __init__(self, trackers: Mapping[str, Tracker] | None = None) -> None:
        """trackers: by kind."""
        self._active = dict(trackers or {})

    def start(self, run: str, parameters: Mapping[str, str]) -> None:
        """Open a run. parameters: config path -> value."""
        self._each(lambda tracker: tracker.start(run, parameters))

    def log(self, run: str, stage: str, step: int, values: Values) -> None:
        """Add a point to the curves of an open run."""
        self._each(lambda tracker: tracker.log(run, stage, step, values))

    def end(self, run: str, metrics: Values) -> None:
        """Close a run with its final metrics."""
        self._each(lambda tracker: tracker.end(run, metrics))

    def add_finished(
        self, run: str, parameters: Mapping[str, str], curves: Sequence[Mapping[str, Any]], metrics: Values
    ) -> None:
        """Log a run that has ended. curves: rows of stage, step, name and value."""
        if self._active:
            self.start(run, parameters)
            self.add_curves(run, curves)
            self.end(run, metrics)

    def add_curves(self, run: str, curves: Sequence[Mapping[str, Any]]) -> None:
        """Log all points of an open run's curves."""
        points: dict[tuple[str, int], dict[str, float]] = {}
        for row in curves:
            points.setdefault((row["stage"], row["step"]), {})[row["name"]] = row["value"]
        for (stage, step), values in points.items():
            self.log(run, stage, step, values)

    def _each(self, call: Callable[[Tracker], None]) -> None:
        for kind, tracker in list(self._active.items()):
            try:
                call(tracker)
            except Exception as error:  # of a foreign package, of any type
                click.echo(f"warning: --track {kind}: {_reason(error)}; nothing more is logged there", err=True)
                del self._active[kind]


def check_trackers(specs: Sequence[str]) -> None:
    """Refuse trackers that cannot be used, before anything runs.

    Args:
        specs: `KIND` or `KIND:WHERE` each.

    Raises:
        InputError: an unknown kind, a kind given twice, a package that is not installed, or a folder of a
            user without a home folder.
    """
    kinds = [spec.partition(":")[0] for spec in specs]
    for spec, kind in zip(specs, kinds, strict=True):
        if kind not in KINDS:
            raise InputError(f"--track: {unknown_choice('tracker', kind, KINDS)}")
        if kinds.count(kind) > 1:
            raise InputError(f"--track: {kind} is given twice; give each tracker once")
        where = spec.partition(":")[2]
        if kind == "tensorboard" and "://" in where:
            raise InputError(f"--track: tensorboard writes to a folder on this machine, not to {where}")
        if kind == "mlflow" and where.startswith("file:"):
            raise InputError(f"--track: {spec}: MLflow no longer writes to file: URIs; give the folder without file:")
        if kind != "wandb":
            expanded(where)
        if importlib.util.find_spec(KINDS[kind].package) is None:
            raise InputError(f"--track: {kind} is not installed; pip install {KINDS[kind].install}")


def open_trackers(specs: Sequence[str], folder: Path, group: str, *, required: bool = True) -> Trackers:
    """Trackers of a command.

    Args:
        specs: checked by `check_trackers`.
        folder: local output; trackers with files write them there by default.
        group: name of the search, table or run.
        required: refuse a tracker that cannot be opened; otherwise print a warning, and continue without it.

    Raises:
        InputError: a required tracker cannot be opened.
    """
    trackers: dict[str, Tracker] = {}
    for spec in specs:
        kind, _, where = spec.partition(":")
        try:
            trackers[kind] = KINDS[kind](where, folder, group)
        except Exception as error:
            problem = f"--track: {kind} cannot be opened ({_reason(error)})"
            if required:
                raise InputError(problem) from error
            echo(f"warning: {problem}; nothing is logged there", err=True)
    return Trackers(trackers)


def on_test(metrics: Values) -> dict[str, float]:
    """Metrics on target test, under the names that they have in trackers."""
    return {f"test/{name}": value for name, value in metrics.items()}


def parameters_of(edits: Mapping[str, Any]) -> dict[str, str]:
    """Edits as texts."""
    return {path: value if isinstance(value, str) else json.dumps(value) for path, value in edits.items()}


def _reason(error: Exception) -> str:
    return shortened(reason_of(error), _REASON_CHARACTERS)


def _file_name(run: str) -> str:
    """Name of the folder of a run. A long name ends with a digest, so that runs which differ at the end keep apart."""
    name = run.replace("/", "_")
    return name if len(name) <= _FILE_CHARACTERS else f"{name[:100]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
