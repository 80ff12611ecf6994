"""Estimate of memory and time of a run on a GPU, from the work of its steps and the data sheet."""

from __future__ import annotations

from typing import NamedTuple

from gckd.config import Config
from gckd.estimate.gpus import Gpu, gpu
from gckd.estimate.trace import RunWork, StepWork, run_work
from gckd.training.timing import StepSeconds

# Assumptions; none of them was measured.
COMPUTE_SHARE = 0.6  # of the peak rate that a matrix product reaches
BANDWIDTH_SHARE = 0.75  # of the peak bandwidth that other kernels reach
SHORTEST_KERNEL = 3e-6  # s
LAUNCH = 12e-6  # s that the CPU takes to start a kernel
CONTEXT = 1.0  # GiB of CUDA's context and libraries
FRAGMENTATION = 1.15  # allocated memory over the memory of tensors
ASSUMPTIONS = (
    f"Assumed, not measured: {COMPUTE_SHARE:.0%} of the peak rate, {BANDWIDTH_SHARE:.0%} of the bandwidth, "
    f"{1e6 * LAUNCH:.0f} µs of CPU time per kernel, {FRAGMENTATION - 1:.0%} of fragmentation and {CONTEXT:g} GiB for "
    "CUDA. Counted at its largest: all pairs of the matching loss are accepted, captions have the largest number of "
    "words, all neighbours are searched again. Evaluations, filling the banks and the start are left "
    "out; layers are not compiled."
)


class StepTime(NamedTuple):
    """Seconds of a step: the GPU's, and the CPU's to start its kernels; they overlap."""

    gpu: float
    cpu: float

    @property
    def seconds(self) -> float:
        return max(self.gpu, self.cpu)


class RunEstimate(NamedTuple):
    """Estimate of a run on one GPU. memory: GiB; None: the run has no step of the stage."""

    memory: float
    pretrain: StepTime | None
    adapt: StepTime | None
    fits: bool

    def pretrain_seconds(self, config: Config) -> float:
        """Seconds of all steps of pre-training."""
        return config.pretrain.steps * config.pretrain.accumulate * self.pretrain.seconds if self.pretrain else 0.0

    def adapt_seconds(self, config: Config) -> float:
        """Seconds of all steps of the adaptation."""
        steps = min(config.adapt.stop_after or config.adapt.steps, config.adapt.steps)
        return steps * config.adapt.accumulate * self.adapt.seconds if self.adapt else 0.0


def run_estimate(work: RunWork, gpu: Gpu) -> RunEstimate:
    """Estimate of a run with this work on a GPU."""
    peak = max((step.peak for step in work if step), default=0)
    memory = CONTEXT + FRAGMENTATION * peak / 2**30
    pretrain, adapt = (step_time(step, gpu) if step else None for step in work)
    return RunEstimate(memory, pretrain, adapt, fits=memory <= gpu.memory)


def step_time(work: StepWork, gpu: Gpu) -> StepTime:
    """Time of a step: each kernel waits for its arithmetic or for its memory, whichever takes longer (roofline)."""
    seconds = 0.0
    for kernel, number in work.kernels.items():
        rate = COMPUTE_SHARE * (gpu.half if kernel.half else gpu.single)
        bound = max(kernel.flops / rate, kernel.moved / (BANDWIDTH_SHARE * gpu.bandwidth), SHORTEST_KERNEL)
        seconds += number * bound
    return StepTime(seconds, LAUNCH * sum(work.kernels.values()))


def gpu_seconds(estimate: RunEstimate, gpu: Gpu, pretrained: bool) -> StepSeconds:
    """Times of the steps, for the estimate of a dry run."""
    pretrain, adapt = (time.seconds if time else 0.0 for time in (estimate.pretrain, estimate.adapt))
    return StepSeconds(pretrain, adapt, pretrained, origin=f"estimated for one {gpu.title}, not measured,")


def memory_line(estimate: RunEstimate, gpu: Gpu, unit: str) -> str:
    """Memory in words. `unit`: "run" or "trial"."""
    text = f"GPU memory: about {estimate.memory:.1f} GiB per {unit}, of {gpu.memory:.0f} GiB of one {gpu.title}"
    if estimate.fits:
        return text
    remedy = "set backbone.compute.checkpointing=true, or a smaller adapt.batch with adapt.accumulate"
    return f"{text}: it does not fit; {remedy}"


def dry_run_estimate(config: Config, name: str, pretrained: bool, unit: str) -> tuple[StepSeconds, str]:
    """Times of the steps on the GPU called `name`, and its memory in words.

    Raises:
        InputError: see `gckd.estimate.trace.run_work`.
    """
    device = gpu(name)
    result = run_estimate(run_work(config), device)
    return gpu_seconds(result, device, pretrained), memory_line(result, device, unit)
