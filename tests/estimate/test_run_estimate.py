"""Time and memory on a GPU, from the work of a step and the data sheet."""

from __future__ import annotations

import pytest

from gckd.config import apply, preset
from gckd.errors import InputError
from gckd.estimate.gpus import GPUS, Gpu, gpu
from gckd.estimate.kernel_counter import Kernel
from gckd.estimate.run_estimate import gpu_seconds, memory_line, run_estimate, step_time
from gckd.estimate.trace import RunWork, StepWork

# 1 TFLOP/s in 16 bits, 0.1 TFLOP/s in 32 bits, 1 GB/s.
SLOW = Gpu("slow", 1e12, 1e11, 1e9, memory=8.0)
PRODUCT = Kernel(flops=6 * 10**9, moved=1000, half=True)  # 6e9 / 0.6e12 = 10 ms
SINGLE = Kernel(flops=6 * 10**9, moved=1000, half=False)  # 100 ms
COPY = Kernel(flops=0, moved=75 * 10**5, half=False)  # 7.5e6 / 0.75e9 = 10 ms
SHORT = Kernel(flops=0, moved=4, half=False)  # 3 us


def test_a_kernel_takes_the_longer_of_arithmetic_and_memory() -> None:
    for kernel, seconds in ((PRODUCT, 0.01), (SINGLE, 0.1), (COPY, 0.01), (SHORT, 3e-6)):
        assert step_time(StepWork({kernel: 2}, 0, 0), SLOW).gpu == pytest.approx(2 * seconds)
    both = Kernel(PRODUCT.flops, 2 * COPY.moved, half=True)
    assert step_time(StepWork({both: 1}, 0, 0), SLOW).gpu == pytest.approx(0.02)


def test_a_step_of_short_kernels_waits_for_the_cpu() -> None:
    time = step_time(StepWork({SHORT: 1000}, 0, 0), SLOW)
    assert (time.gpu, time.cpu, time.seconds) == pytest.approx((0.003, 0.012, 0.012))


def test_a_run_has_the_larger_memory_and_the_time_of_all_steps() -> None:
    config = apply(preset("tiny"), {"pretrain.steps": 100, "adapt.steps": 30, "adapt.accumulate": 2})
    work = RunWork(StepWork({PRODUCT: 1}, 0, 2**30), StepWork({COPY: 3}, 0, 2 * 2**30))
    result = run_estimate(work, SLOW)
    assert result.memory == pytest.approx(1 + 1.15 * 2) and result.fits
    assert result.pretrain_seconds(config) == pytest.approx(1.0)
    assert result.adapt_seconds(config) == pytest.approx(30 * 2 * 0.03)
    assert not run_estimate(work, SLOW._replace(memory=3.2)).fits
    seconds = gpu_seconds(result, SLOW, pretrained=True)
    assert (seconds.pretrain, seconds.adapt, seconds.pretrained) == (pytest.approx(0.01), pytest.approx(0.03), True)


def test_a_stage_without_steps_takes_no_time() -> None:
    result = run_estimate(RunWork(None, StepWork({COPY: 1}, 0, 0)), SLOW)
    assert result.pretrain_seconds(preset("tiny")) == 0
    assert gpu_seconds(result, SLOW, pretrained=False).pretrain == 0


def test_memory_in_words_names_the_remedy() -> None:
    work = RunWork(None, StepWork({COPY: 1}, 0, 20 * 2**30))
    assert memory_line(run_estimate(work, gpu("h100")), gpu("h100"), "run") == (
        "GPU memory: about 24.0 GiB per run, of 80 GiB of one H100 SXM"
    )
    assert "it does not fit; set backbone.compute.checkpointing=true" in memory_line(
        run_estimate(work, gpu("l4")), gpu("l4"), "run"
    )


def test_an_unknown_gpu_is_refused() -> None:
    with pytest.raises(InputError, match="--gpu: unknown GPU 'h10'; choose from .*did you mean 'h100'"):
        gpu("h10")
    assert all(device.half > device.single for device in GPUS.values())
