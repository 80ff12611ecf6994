"""The training loop both stages share: schedule, clipping, curves, progress, checkpoints that resume bit for bit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from gckd.distributed import average_gradients, average_over_workers, rank
from gckd.errors import InputError
from gckd.progress import Progress, ProgressCallback
from gckd.seeding import derived_seed
from gckd.storage.checkpoint import load_checkpoint, save_atomically
from gckd.storage.path import StoragePath
from gckd.training.optimizer import make_optimiser, rate, set_rate

Point = dict[str, str | int | float]  # stage, step, name, value: one row of the curves
Values = dict[str, float]  # what one evaluation found, by name


class Schedule(Protocol):
    """What the loop reads of `config.pretrain` and `config.adapt`."""

    @property
    def steps(self) -> int: ...
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
        name: of the stage, in curves and progress.
        digest: of everything the result depends on; a checkpoint of another digest is refused.
        modules: what is trained and saved, by name.
        terms: number of a batch (from 0) -> named loss terms. weights: term -> weight in the total (eq. 10).
        after: called after every optimiser step (the teacher follows).
        monitor: called at each evaluation -> named values for the curves; training never reads them.
    """

    name: str
    digest: str
    seed: int
    schedule: Schedule
    modules: Mapping[str, nn.Module]
    terms: Callable[[int], dict[str, Tensor]]
    weights: Mapping[str, float]
    monitor: Callable[[int], dict[str, float]]
    after: Callable[[], None] = lambda: None
    report: ProgressCallback = lambda progress: None
    curve: list[Point] = field(default_factory=list)
    seconds: float = 0.0
    saved: int = field(default=0, init=False)  # step of the checkpoint
    _begun: float = field(default=0.0, init=False, repr=False)

    def run(self, checkpoint: Path | StoragePath) -> None:
        """Train from the checkpoint, or from the start if there is none, to the last step."""
        for _ in self.epochs(checkpoint):
            pass

    def epochs(self, checkpoint: Path | StoragePath) -> Iterator[tuple[int, Values]]:
        """The same, stopping at each evaluation, once its checkpoint is saved, to tell the step and what it found.

        Evaluations that the checkpoint has seen are told again, before training goes on.
        """
        trained = nn.ModuleList(self.modules.values())
        optimiser = make_optimiser(trained, self.schedule.lr, self.schedule.weight_decay)
        first = self._resume(checkpoint, optimiser)
        trained.train()
        steps, sums = self.schedule.steps, _Means()
        yield from self._told().items()
        self._begun = time.perf_counter() - self.seconds
        for step in range(first, steps):
            set_rate(optimiser, self.schedule.lr * rate(step, steps, self.schedule.warmup))
            terms = self._descend(optimiser, trained, sums, step)
            if self._is_evaluation(step):
                self._evaluate(step + 1, sums)
                sums = _Means()
                self.seconds = self.elapsed()
                self._save(checkpoint, step + 1, optimiser)
                yield step + 1, self._told()[step + 1]
                self._begun = time.perf_counter() - self.seconds  # the caller's time is not training
            self.report(Progress(self.name, step + 1, steps, terms_as_floats(terms), self._latest("target_val_rank_1")))
        if steps == 0:  # what it starts from is the result
            self._evaluate(0, sums)
            self._save(checkpoint, 0, optimiser)
        self.seconds = self.elapsed()

    def elapsed(self) -> float:
        """Seconds of training and evaluation so far, those before an interruption included."""
        return time.perf_counter() - self._begun

    def _told(self) -> dict[int, Values]:
        """The values of each evaluation so far, by its step."""
        found: dict[int, Values] = {}
        for point in self.curve:
            found.setdefault(int(point["step"]), {})[str(point["name"])] = float(point["value"])
        return found

    def _descend(
        self, optimiser: torch.optim.Optimizer, trained: nn.Module, sums: _Means, step: int
    ) -> dict[str, Tensor]:
        """One optimiser step on the mean gradient of `accumulate` batches; returns the last batch's terms."""
        count, terms = self.schedule.accumulate, dict[str, Tensor]()
        optimiser.zero_grad()
        for number in range(step * count, (step + 1) * count):
            torch.manual_seed(derived_seed(self.seed, self.name + "/dropout", number) + rank())
            terms = self.terms(number)
            (self._total(terms) / count).backward()
            terms = average_over_workers(terms)
            if not bool(torch.isfinite(self._total(terms))):
                values = ", ".join(f"{name} {value:g}" for name, value in terms_as_floats(terms).items())
                raise FloatingPointError(f"{self.name} step {step + 1}: the loss is not finite ({values})")
            sums.add(terms)
        average_gradients(trained.parameters())
        nn.utils.clip_grad_norm_(trained.parameters(), self.schedule.clip, foreach=True)
        optimiser.step()
        self.after()
        return terms

    def _total(self, terms: Mapping[str, Tensor]) -> Tensor:
        return torch.stack([self.weights[name] * term for name, term in terms.items()]).sum()

    def _is_evaluation(self, step: int) -> bool:
        """Evaluations are spread evenly and include the last step."""
        done, count, steps = step + 1, self.schedule.evaluations, self.schedule.steps
        return done * count // steps > step * count // steps

    def note(self, done: int, values: Values) -> None:
        """Adds what is known at a step to the curves."""
        self.curve += [{"stage": self.name, "step": done, "name": k, "value": v} for k, v in values.items()]

    def _evaluate(self, done: int, sums: _Means) -> None:
        self.note(done, sums.values() | self.monitor(done))

    def _latest(self, name: str) -> float | None:
        found = [float(p["value"]) for p in self.curve if p["name"] == name]
        return found[-1] if found else None

    def _save(self, path: Path | StoragePath, step: int, optimiser: torch.optim.Optimizer) -> None:
        self.saved = step
        if rank():
            return
        save_atomically(
            path,
            {
                "digest": self.digest,
                "step": step,
                "modules": {name: module.state_dict() for name, module in self.modules.items()},
                "optimiser": optimiser.state_dict(),
                "curve": self.curve,
                "seconds": self.seconds,
            },
        )

    def _resume(self, path: Path | StoragePath, optimiser: torch.optim.Optimizer) -> int:
        if not path.exists():
            return 0
        saved = load_checkpoint(path)
        if saved["digest"] != self.digest:
            raise InputError(f"{path}: this checkpoint is of run {saved['digest']}, not of {self.digest}")
        for name, module in self.modules.items():
            module.load_state_dict(saved["modules"][name])
        optimiser.load_state_dict(saved["optimiser"])
        self.curve[:] = saved["curve"]
        self.seconds = saved["seconds"]
        self.saved = int(saved["step"])
        return self.saved


class _Means:
    """Running means of named terms, each over the steps it occurred in."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[Tensor, int]] = {}

    def add(self, terms: Mapping[str, Tensor]) -> None:
        for name, term in terms.items():
            total, count = self._sums.get(name, (torch.zeros(()), 0))
            self._sums[name] = total + term.detach(), count + 1

    def values(self) -> dict[str, float]:
        return {name: float(total) / count for name, (total, count) in self._sums.items()}


def terms_as_floats(terms: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: float(term.detach()) for name, term in terms.items()}
