"""Training loop of both stages: schedule, clipping, curves, progress, and checkpoints with exact resumption."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from gckd.config.component import OptimizerConfig
from gckd.distributed import average_over_workers, rank
from gckd.errors import DivergenceError, InputError, reason_of
from gckd.interruption import Interruption
from gckd.models.compute import reused_casts
from gckd.progress import Progress, ProgressCallback
from gckd.seeding import derived_seed
from gckd.storage.checkpoint import STAGE_FIELDS, load_checkpoint, save_atomically
from gckd.storage.path import StoragePath
from gckd.training.gradients import GradientAverage
from gckd.training.optimizer import OPTIMIZERS, ScheduledOptimizer, learning_rate_factor
from gckd.training.rounds import round_of

CurveRow = dict[str, str | int | float]  # stage, step, name, value
Values = dict[str, float]  # name -> value, of one evaluation
TOTAL = "weighted sum of all terms"


class Schedule(Protocol):
    """Fields of `config.pretrain` and `config.adapt` that the loop reads."""

    @property
    def steps(self) -> int: ...
    @property
    def optimizer(self) -> OptimizerConfig: ...
    @property
    def lr(self) -> float: ...
    @property
    def warmup(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def clip(self) -> float: ...
    @property
    def evaluations(self) -> int: ...
    @property
    def accumulate(self) -> int: ...


@dataclass
class Stage:
    """One stage of training.

    Args:
        name: name of the stage in curves and progress.
        digest: digest of everything that the result depends on; a checkpoint with another digest is refused.
        modules: modules that are trained and saved, by name.
        terms: batch number (from 0) -> named loss terms.
        prefetching: context around all steps, in which threads load batches ahead.
        weights: weight of each loss term in the total (eq. 10).
        monitor: step -> named values for the curves, at each evaluation; training never reads them.
        after_step: called after every optimiser step, for example to update the teacher.
        checkpoint_minutes: training time after which a checkpoint is saved between two evaluations.
        rounds: equal parts of the steps; the learning-rate schedule restarts in each.
        stop_after: last step, for a stage that ends before the end of its schedule; 0: the schedule's last step.
        before_round: called before the first step of each round except the first round.
        notes: remarks that the checkpoint keeps, for the record of every run that starts from it.
        data: tokenizer and digests of the datasets, which the checkpoint keeps.
        seconds: training time so far, including that before an interruption.
        saved_step: step of the last checkpoint.
    """

    name: str
    digest: str
    seed: int
    schedule: Schedule
    modules: Mapping[str, nn.Module]
    terms: Callable[[int], dict[str, Tensor]]
    weights: Mapping[str, float]
    monitor: Callable[[int], Values]
    prefetching: Callable[[], AbstractContextManager[None]] = nullcontext
    checkpoint_minutes: float = math.inf
    after_step: Callable[[], None] = lambda: None
    rounds: int = 1
    stop_after: int = 0
    before_round: Callable[[], None] = lambda: None
    report: ProgressCallback = lambda progress: None
    curve: list[CurveRow] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    data: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    saved_step: int = field(default=0, init=False)
    _average: GradientAverage = field(init=False, repr=False)
    _start: float = field(default=0.0, init=False, repr=False)
    _save_at: float = field(default=0.0, init=False, repr=False)  # training time of the next checkpoint, in seconds

    def run(self, checkpoint: Path | StoragePath) -> None:
        """Train to the last step, from the checkpoint if there is one.

        Raises:
            InputError: the checkpoint is of another run.
            DivergenceError: a loss or a weight became infinite or NaN.
            KeyboardInterrupt: Ctrl-C or SIGTERM, after a checkpoint of the current step was saved.
        """
        for _ in self.evaluations(checkpoint):
            pass

    def evaluations(self, checkpoint: Path | StoragePath) -> Iterator[tuple[int, Values]]:
        """Train as `run`, pausing at each evaluation after its checkpoint is saved. Yields its step and its values.

        A resumed stage first yields the evaluations that the checkpoint holds.
        """
        with self.prefetching():
            yield from self._evaluations(checkpoint)

    def _evaluations(self, checkpoint: Path | StoragePath) -> Iterator[tuple[int, Values]]:
        trained = nn.ModuleList(self.modules.values())
        schedule = self.schedule
        optimizer = ScheduledOptimizer(
            OPTIMIZERS.build(schedule.optimizer, trained, schedule.lr, schedule.weight_decay)
        )
        self._average, means = GradientAverage(trained.parameters()), _Means()
        first = self._resume(checkpoint, optimizer, means)
        trained.train()
        yield from self._values_by_step().items()
        self._start = time.perf_counter() - self.seconds
        for step in range(first, self._last_step):
            with Interruption() as interruption:  # a signal is handled after the step
                self._start_step(step, optimizer)
                values = self._optimise(optimizer, trained, means, step)
                if evaluated := self._is_evaluation(step):
                    self._evaluate(step + 1, means)
                    means.clear()
                    self._save(checkpoint, step + 1, optimizer, means)
                self._report(step + 1, values)
                if not evaluated and (interruption.received or self.elapsed() >= self._save_at):
                    self._save(checkpoint, step + 1, optimizer, means)
                interruption.check()
            if evaluated:
                yield step + 1, self._values_by_step()[step + 1]
                self._start = time.perf_counter() - self.seconds  # excludes the caller's time
        if schedule.steps == 0 and not self.curve:  # the initial model is the result; a resumed stage has its values
            self._evaluate(0, means)
            self._save(checkpoint, 0, optimizer, means)
        self.seconds = self.elapsed()

    def elapsed(self) -> float:
        """Seconds of training and evaluation so far, including those before an interruption."""
        return time.perf_counter() - self._start

    def record(self, step: int, values: Values) -> None:
        """Add the values of a step to the curves."""
        self.curve += [{"stage": self.name, "step": step, "name": k, "value": v} for k, v in values.items()]

    def _values_by_step(self) -> dict[int, Values]:
        values: dict[int, Values] = {}
        for row in self.curve:
            values.setdefault(int(row["step"]), {})[str(row["name"])] = float(row["value"])
        return values

    def _start_step(self, step: int, optimizer: ScheduledOptimizer) -> None:
        """Start a round if `step` is its first, and set the learning rate."""
        current = round_of(step, self.schedule.steps, self.rounds)
        if step and step == current.first:
            self.before_round()
        optimizer.set_learning_rate(learning_rate_factor(step - current.first, current.steps, self.schedule.warmup))

    def _optimise(
        self, optimizer: ScheduledOptimizer, trained: nn.Module, means: _Means, step: int
    ) -> dict[str, float]:
        """One optimiser step on the mean gradient of `accumulate` batches; returns the terms of the last batch."""
        count, values = self.schedule.accumulate, dict[str, float]()
        optimizer.zero_grad()
        last = (step + 1) * count - 1
        for batch in range(step * count, last + 1):
            torch.manual_seed(derived_seed(self.seed, self.name + "/dropout", batch) + rank())
            with reused_casts():
                terms = self.terms(batch)
            with self._average.of_backward_pass() if batch == last else nullcontext():
                (self._total(terms) / count).backward()
            terms = average_over_workers(terms)
            values = self._finite_values(step, terms)
            means.add(terms)
        nn.utils.clip_grad_norm_(trained.parameters(), self.schedule.clip, foreach=True)
        optimizer.step()
        self.after_step()
        return values

    def _finite_values(self, step: int, terms: Mapping[str, Tensor]) -> dict[str, float]:
        """Values of the terms, read from the GPU together with their total, which must be finite."""
        values = terms_as_floats({**terms, TOTAL: self._total(terms)})
        total = values.pop(TOTAL)
        if not math.isfinite(total):
            raise self._divergence(step, values)
        return values

    def _divergence(self, step: int, values: Mapping[str, float]) -> DivergenceError:
        """Error that names the terms which are not finite; all terms if only their sum is not."""
        infinite = {name: value for name, value in values.items() if not math.isfinite(value)} or values
        text = ", ".join(f"{name} {value:g}" for name, value in infinite.items())
        return DivergenceError(f"{self.name} step {step + 1}: the loss is not finite ({text}); {self._remedy()}")

    def _remedy(self) -> str:
        state = f"the checkpoint of step {self.saved_step} is kept" if self.saved_step else "no checkpoint was saved"
        return f"{state}; lower {self.name}.lr or the weight of the term"

    def _total(self, terms: Mapping[str, Tensor]) -> Tensor:
        return torch.stack([self.weights[name] * term for name, term in terms.items()]).sum()

    @property
    def _last_step(self) -> int:
        return min(self.stop_after or self.schedule.steps, self.schedule.steps)

    def _is_evaluation(self, step: int) -> bool:
        """Whether an evaluation follows step `step` (from 0): evenly spread, the last one after the last step."""
        done, count, steps = step + 1, self.schedule.evaluations, self.schedule.steps
        return done == self._last_step or done * count // steps > step * count // steps

    def _evaluate(self, step: int, means: _Means) -> None:
        self.record(step, means.values() | self.monitor(step))

    def _report(self, step: int, values: dict[str, float]) -> None:
        ranks = [float(row["value"]) for row in self.curve if row["name"] == "target_val_rank_1"]
        latest = ranks[-1] if ranks else None
        self.report(Progress(self.name, step, self._last_step, values, latest))

    def _save(self, path: Path | StoragePath, step: int, optimizer: ScheduledOptimizer, means: _Means) -> None:
        for name, module in self.modules.items():
            if not all(bool(torch.isfinite(parameter).all()) for parameter in module.parameters()):
                raise DivergenceError(f"{self.name} step {step}: weights of {name} are not finite; {self._remedy()}")
        self.saved_step, self.seconds = step, self.elapsed()
        self._save_at = self.seconds + 60 * self.checkpoint_minutes
        if rank():
            return
        save_atomically(
            path,
            {
                "digest": self.digest,
                "step": step,
                "modules": {name: module.state_dict() for name, module in self.modules.items()},
                "optimizer": optimizer.state_dict(),
                "curve": self.curve,
                "seconds": self.seconds,
                "notes": list(self.notes),
                "data": dict(self.data),
                "means": means.state(),
            },
        )

    def _resume(self, path: Path | StoragePath, optimizer: ScheduledOptimizer, means: _Means) -> int:
        """Load the checkpoint, if there is one; returns the number of steps that are done."""
        if not path.exists():
            self._save_at = self.seconds + 60 * self.checkpoint_minutes
            return 0
        saved = load_checkpoint(path, STAGE_FIELDS)
        if saved["digest"] != self.digest:
            raise InputError(
                f"{path}: the checkpoint is of run {saved['digest']}, expected {self.digest}; choose another folder"
            )
        try:
            for name, module in self.modules.items():
                module.load_state_dict(saved["modules"][name])
            optimizer.load_state_dict(saved["optimizer"])
        except (LookupError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(f"{path}: damaged ({reason_of(error)}); delete it to train again") from error
        self.curve[:] = saved["curve"]
        means.load(saved.get("means", {}))  # absent in checkpoints of earlier versions, which are of evaluations
        self.seconds = saved["seconds"]
        self._save_at = self.seconds + 60 * self.checkpoint_minutes
        self.saved_step = int(saved["step"])
        return self.saved_step


class _Means:
    """Running means of named terms, each over the steps in which it occurred."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[Tensor, int]] = {}

    def add(self, terms: Mapping[str, Tensor]) -> None:
        for name, term in terms.items():
            total, count = self._sums.get(name, (torch.zeros(()), 0))
            self._sums[name] = total + term.detach(), count + 1

    def clear(self) -> None:
        self._sums.clear()

    def state(self) -> dict[str, tuple[Tensor, int]]:
        """Sum and number of steps of each term, for a checkpoint."""
        return dict(self._sums)

    def load(self, state: Mapping[str, tuple[Tensor, int]]) -> None:
        self._sums = {name: (total.to(torch.get_default_device()), count) for name, (total, count) in state.items()}

    def values(self) -> Values:
        return {name: float(total) / count for name, (total, count) in self._sums.items()}


def terms_as_floats(terms: Mapping[str, Tensor]) -> dict[str, float]:
    """Values of named scalars, read from the GPU at once."""
    values: list[float] = torch.stack([term.detach() for term in terms.values()]).tolist() if terms else []
    return dict(zip(terms, values, strict=True))
