"""Work of a training step on a GPU: the operators of a real step on tensors that have shapes only."""

from __future__ import annotations

import csv
import dataclasses
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image

from gckd.config import Config, apply
from gckd.config.edit import effective_edits
from gckd.config.neighbour_search import TorchSearch
from gckd.data.dataset_pair import DatasetPair, open_datasets
from gckd.data.types import Vocabulary
from gckd.device import on_device
from gckd.errors import InputError, reason_of
from gckd.estimate.kernel_counter import Kernel, KernelCounter
from gckd.estimate.steps import adaptation, count_third_step, pretraining
from gckd.pretended_cuda.device import FITS, WRITTEN_FOR, pretended_cuda
from gckd.pretended_cuda.tensor import PlacementError
from gckd.training.trainer import Stage

_PLAIN = 1000  # fusion_every of a step without matching and MLM
_FULL_SEARCH = 2**22  # above the size of any bank
_WORDS = 100  # different words in captions
_BERT = Vocabulary(size=30522, end=102)  # of bert-base-uncased


class StepWork(NamedTuple):
    """Work of one step, the mean over steps with and without matching and MLM.

    kernels: number of kernels of each size. syncs: waits of the CPU for the GPU. peak: bytes of tensors.
    """

    kernels: dict[Kernel, float]
    syncs: float
    peak: int

    @property
    def flops(self) -> float:
        return sum(number * kernel.flops for kernel, number in self.kernels.items())

    @property
    def moved(self) -> float:
        """Bytes that kernels read and write."""
        return sum(number * kernel.moved for kernel, number in self.kernels.items())


class RunWork(NamedTuple):
    """Work of a step of each stage; None: the stage has no step, or was left out."""

    pretrain: StepWork | None
    adapt: StepWork | None


STAGES = RunWork._fields


def check_tracing() -> None:
    """Raises InputError if this installation cannot trace a step."""
    if not FITS:
        raise InputError(
            f"the estimate needs torch {WRITTEN_FOR} (this is {torch.__version__}) on Linux, x86-64, and no visible "
            "GPU; on a machine with a GPU, set CUDA_VISIBLE_DEVICES= or time real steps by --dry-run of gckd ablate"
        )


def run_work(config: Config, stages: Collection[str] = STAGES) -> RunWork:
    """Work of the steps of a run on one GPU. Reads no dataset: captions have `data.max_words` words.

    Raises:
        InputError: this installation cannot trace a step, or a step depends on values.
    """
    check_tracing()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_people(folder / "people", config)
        traced = apply(config, without_files(config, folder / "people"))
        datasets = open_datasets(traced, folder / "cache")
        vocabulary = _BERT if config.tokenizer.pretrained else datasets.tokenizer.vocabulary
        tracer = _Tracer(traced, datasets, vocabulary, folder / "checkpoint.pt")
        with_steps = [stage for stage in STAGES if stage in stages and getattr(config, stage).steps]
        return RunWork(*(tracer.work(stage) if stage in with_steps else None for stage in STAGES))


def without_files(config: Config, people: Path) -> dict[str, Any]:
    """Edits by which a config reads no file but the dataset `people`, and searches neighbours in full.

    What an updated search of neighbours costs depends on values.
    """
    edits: dict[str, Any] = {"data.source": str(people), "data.target": str(people)}
    if config.tokenizer.pretrained:
        edits["tokenizer"] = "trained"
    if config.backbone.weights and config.backbone.weights_are_a_file:
        edits["backbone.weights"] = ""
    if hasattr(config.graph.propagate, "search"):
        edits["graph.propagate.search"] = TorchSearch(update_above=_FULL_SEARCH)
    return effective_edits(config, edits)


def write_people(folder: Path, config: Config) -> None:
    """Write a plain folder of small images, enough for a batch, with captions of `data.max_words` words."""
    folder.mkdir()
    splits = ["val", "test", *["train"] * max(config.pretrain.batch, config.adapt.batch)]
    with (folder / "captions.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "caption", "identity", "split"])
        for number, split in enumerate(splits):
            Image.new("RGB", (4, 8)).save(folder / f"{number}.png")
            words = [f"w{(number + word) % _WORDS}" for word in range(config.data.max_words)]
            rows.writerow([f"{number}.png", " ".join(words), number, split])


@dataclasses.dataclass(frozen=True)
class _Tracer:
    """Traces steps of one config. checkpoint: path at which a stage looks for one; none is written."""

    config: Config
    datasets: DatasetPair
    vocabulary: Vocabulary
    checkpoint: Path

    def work(self, stage: str) -> StepWork:
        """Mean work of the steps of a stage, every `fusion_every`-th of which has matching and MLM."""
        every: int = getattr(self.config, stage).fusion_every
        work = self._step(stage, 1)
        if every == 1:
            return work
        plain, share = self._step(stage, _PLAIN), 1 / every
        kernels = {kernel: number * share for kernel, number in work.kernels.items()}
        for kernel, number in plain.kernels.items():
            kernels[kernel] = kernels.get(kernel, 0.0) + number * (1 - share)
        return StepWork(kernels, share * work.syncs + (1 - share) * plain.syncs, max(work.peak, plain.peak))

    def _step(self, name: str, fusion_every: int) -> StepWork:
        edits = effective_edits(self.config, {f"{name}.fusion_every": fusion_every})
        config, counter = apply(self.config, edits) if edits else self.config, KernelCounter("step")
        with pretended_cuda(values=False), on_device("cuda"), counter.observing():
            if name == "pretrain":
                stage = pretraining(config, self.datasets, self.vocabulary)
            else:
                stage = adaptation(config, self.datasets, self.vocabulary)[0]
            _count(stage, counter, self.checkpoint)
        counts = counter.counts["step"]
        return StepWork(dict(counter.kernels), counts.syncs, counts.peak)


def _count(stage: Stage, counter: KernelCounter, checkpoint: Path) -> None:
    try:
        count_third_step(stage, counter, checkpoint)
    except PlacementError:  # a fault of gckd, which no other config avoids
        raise
    except (AssertionError, IndexError, NotImplementedError, RuntimeError) as error:
        raise InputError(
            f"estimate: the work of a step of {stage.name} depends on values, which a trace does not have "
            f"({reason_of(error)}); time real steps by gckd ablate --dry-run on the GPU"
        ) from error
