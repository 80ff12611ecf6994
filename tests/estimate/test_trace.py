"""Work of a step, traced on shapes, against the same step with values, and against formulas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gckd.config import Config, apply, preset
from gckd.data.dataset_pair import open_datasets
from gckd.data.types import Vocabulary
from gckd.device import on_device
from gckd.errors import InputError
from gckd.estimate.kernel_counter import KernelCounter
from gckd.estimate.steps import adaptation, count_third_step, pretraining
from gckd.estimate.trace import run_work, without_files, write_people
from gckd.models.build import build_model
from gckd.pretended_cuda import device
from gckd.pretended_cuda.device import pretended_cuda
from tests.pretended_cuda.marks import needs_pretended_cuda
from tests.toy import make_toy
from tests.training.micro import micro

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs_pretended_cuda


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("toys")
    config = micro(make_toy(folder / "source"), make_toy(folder / "target", shade=120))
    return apply(config, {"pretrain.fusion_every": 1, "adapt.fusion_every": 1})


def counted_with_values(config: Config, folder: Path, name: str) -> KernelCounter:
    """Counts of the third step on a device that computes; every pair is accepted."""
    counter = KernelCounter("step")
    write_people(folder / "people", config)
    config = apply(config, without_files(config, folder / "people"))
    datasets = open_datasets(config, folder / "cache")
    with pretended_cuda(), on_device("cuda"), counter.observing():
        stage = pretraining(config, datasets) if name == "pretrain" else adaptation(config, datasets)[0]
        count_third_step(stage, counter, folder / "checkpoint.pt")
    return counter


@pytest.mark.parametrize("stage", ["pretrain", "adapt"])
def test_a_trace_has_the_kernels_and_waits_of_the_real_step(config: Config, stage: str, tmp_path: Path) -> None:
    """A trace takes every branch that values may open and predicts every word: it has the work of the step or more."""
    real = counted_with_values(config, tmp_path, stage).counts["step"]
    traced = getattr(run_work(config, [stage]), stage)
    kernels = sum(traced.kernels.values())
    if stage == "adapt":  # here, no branch depends on values
        assert (kernels, traced.syncs) == (real.kernels, real.syncs)
    else:
        assert real.kernels <= kernels <= 1.1 * real.kernels
        assert real.syncs <= traced.syncs
    assert real.flops <= traced.flops <= 3 * real.flops
    assert 0.8 * real.peak <= traced.peak <= 3 * real.peak


def test_a_stage_without_steps_or_left_out_has_no_work(config: Config) -> None:
    assert run_work(config, ["adapt"]).pretrain is None
    assert run_work(apply(config, {"adapt.steps": 0}), ["adapt"]).adapt is None


def test_work_is_the_mean_over_steps_with_and_without_matching(config: Config) -> None:
    always = run_work(config, ["adapt"]).adapt
    rarely = run_work(apply(config, {"adapt.fusion_every": 4}), ["adapt"]).adapt
    never = run_work(apply(config, {"adapt.fusion_every": 1000}), ["adapt"]).adapt
    assert always is not None and rarely is not None and never is not None
    # The work of the step with matching is a quarter of the mean, and a thousandth in the last case.
    plain = (1000 * never.flops - always.flops) / 999
    assert rarely.flops == pytest.approx((always.flops + 3 * plain) / 4, rel=1e-6)
    assert sum(rarely.kernels.values()) < sum(always.kernels.values())


@pytest.mark.slow
def test_the_work_of_base_agrees_with_formulas() -> None:
    """Pre-training of `base` has a forward pass of the momentum model, and a forward and a backward pass of the model.

    A block of width d on n tokens needs 24 n d^2 + 4 n^2 d operations; a backward pass twice as many as a forward pass.
    Texts, fusion and MLM add less than half of the images' work. Memory holds weights, gradients, two moments, and the
    momentum model, in float32.
    """
    config = preset("base")
    work = run_work(config, ["pretrain"]).pretrain
    n, d, images = (384 // 16) ** 2 + 1, 768, config.pretrain.batch
    encoder = 12 * (24 * n * d**2 + 4 * n**2 * d) * images
    assert work is not None
    assert 4 * encoder < work.flops < 1.5 * 4 * encoder
    with on_device("cpu"):
        small = apply(config, {"tokenizer": "trained"})
        parameters = sum(p.numel() for p in build_model(small, Vocabulary(30522, 102)).parameters())
    assert work.peak > 5 * 4 * parameters


def test_a_step_that_depends_on_values_is_refused(config: Config) -> None:
    with pytest.raises(InputError, match="estimate: the work of a step of adapt depends on values"):
        run_work(apply(config, {"metric": "multi-similarity"}), ["adapt"])


def test_another_torch_is_refused(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gckd.estimate.trace.FITS", False)
    with pytest.raises(InputError, match=f"the estimate needs torch {device.WRITTEN_FOR}"):
        run_work(config)
