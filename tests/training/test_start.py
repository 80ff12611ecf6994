"""Training from published weights."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from gckd.config import Config, ConfigError, apply, check
from gckd.config.stages import MomentumDistillation
from gckd.data.dataset_pair import open_datasets
from gckd.data.types import Vocabulary
from gckd.errors import InputError
from gckd.models.build import build_model, initial_models
from gckd.models.weights import Weights, our_name
from gckd.progress import ProgressCallback
from gckd.training.pretrain import pretrain_digest, source_checkpoint
from gckd.training.run import train_run
from tests.published import published
from tests.training.micro import trained

QUIET: ProgressCallback = lambda progress: None  # noqa: E731


@pytest.fixture(scope="module")
def weights(config: Config, cache: Path) -> Weights:
    """Published checkpoint with the vocabulary of the toy datasets."""
    other = apply(config, {"seed": 77})
    return published(build_model(other, open_datasets(other, cache).tokenizer.vocabulary))


@pytest.fixture
def file(weights: Weights, tmp_path: Path) -> Path:
    path = tmp_path / "ALBEF.pth"
    torch.save({"model": weights}, path)
    return path


def as_ours(weights: Weights, model: dict[str, Any]) -> Weights:
    """Published weights under the names of the model."""
    named = {our_name(key): value for key, value in weights.items()}
    named["log_tau"] = named["log_tau"].log()
    return {name: named[name] for name in model}


def test_zero_steps_keep_the_published_weights(config: Config, cache: Path, file: Path, weights: Weights) -> None:
    config = apply(config, {"backbone.weights": str(file), "pretrain.steps": 0})
    result = source_checkpoint(config, open_datasets(config, cache), cache, QUIET)
    model = result["modules"]["model"]
    torch.testing.assert_close(model, as_ours(weights, model))
    assert [point["step"] for point in result["curve"]] == [0, 0]


def test_a_run_starts_from_published_weights(config: Config, cache: Path, tmp_path: Path, file: Path) -> None:
    result = train_run(apply(config, {"backbone.weights": str(file), "pretrain.steps": 0}), cache=cache, out=tmp_path)
    assert 0 <= result.metrics["rank_1"] <= 100
    assert any("source val Rank-1" in note for note in result.notes)


def test_the_momentum_model_starts_from_the_momentum_copies(
    config: Config, cache: Path, file: Path, weights: Weights
) -> None:
    """With m = 1 - 1e-9 it keeps its initial weights."""
    objective = MomentumDistillation(queue=9, m=1 - 1e-9)
    config = apply(config, {"backbone.weights": str(file), "pretrain.objective": objective})
    result = source_checkpoint(config, open_datasets(config, cache), cache, QUIET)["modules"]
    for name, key in (("vision_proj.weight", "vision_proj_m.weight"), ("itm_head.weight", "itm_head.weight")):
        torch.testing.assert_close(result["momentum"][f"copy.{name}"], weights[key])
    assert not torch.equal(result["model"]["vision_proj.weight"], weights["vision_proj.weight"])


@pytest.mark.parametrize("start", ["student", "momentum"])
def test_the_teacher_starts_as_student_or_momentum_model(
    config: Config, cache: Path, tmp_path: Path, file: Path, weights: Weights, start: str
) -> None:
    """With m = 1 - 1e-9 it keeps its initial weights."""
    edits: dict[str, Any] = {"backbone.weights": str(file), "pretrain.steps": 0, "distill.teacher.m": 1 - 1e-9}
    edits["pretrain.objective"] = MomentumDistillation(queue=9)
    if start == "momentum":
        edits["distill.teacher.start"] = "momentum"
    teacher = trained(apply(config, edits), cache, tmp_path)["modules"]["teacher"]
    copied = "vision_proj_m.weight" if start == "momentum" else "vision_proj.weight"
    torch.testing.assert_close(teacher["copy.vision_proj.weight"], weights[copied])


def test_without_weights_the_momentum_model_starts_as_the_model(config: Config) -> None:
    model, copies = initial_models(config, Vocabulary(30, 3))
    assert model is copies


def test_the_pretraining_digest_depends_on_the_weights_not_their_path(
    config: Config, cache: Path, tmp_path: Path, weights: Weights
) -> None:
    def name(path: Path) -> str:
        edited = apply(config, {"backbone.weights": str(path)})
        return pretrain_digest(edited, open_datasets(edited, cache))

    torch.save(weights, tmp_path / "a.pth")
    there, elsewhere = name(tmp_path / "a.pth"), name(shutil.copy(tmp_path / "a.pth", tmp_path / "b.pth"))
    torch.save(weights | {"itm_head.bias": weights["itm_head.bias"] + 1}, tmp_path / "a.pth")
    assert there == elsewhere != name(tmp_path / "a.pth")
    assert pretrain_digest(config, open_datasets(config, cache)) not in (there, name(tmp_path / "a.pth"))


def test_weights_that_do_not_fit_are_refused_before_training(config: Config, cache: Path, file: Path) -> None:
    config = apply(config, {"backbone.weights": str(file), "backbone.embed_dim": 12})
    with pytest.raises(InputError, match="4 wrong shape|2 missing"):
        source_checkpoint(config, open_datasets(config, cache), cache, QUIET)
    lenient = apply(config, {"backbone.strict": False, "pretrain.steps": 0})
    result = source_checkpoint(lenient, open_datasets(lenient, cache), cache, QUIET)
    assert result["modules"]["model"]["vision_proj.weight"].shape == (12, 16)


def test_a_missing_weights_file_is_named(config: Config, cache: Path, tmp_path: Path) -> None:
    config = apply(config, {"backbone.weights": str(tmp_path / "nowhere.pth")})
    with pytest.raises(InputError, match=r"backbone\.weights: .*nowhere\.pth"):
        source_checkpoint(config, open_datasets(config, cache), cache, QUIET)


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({"pretrain.steps": 0}, "pretrain.steps: 0 is outside its limit: >= 1 where backbone.weights is empty"),
        ({"backbone.weights": "w.pth", "backbone.vision.stem": "conv"}, "backbone.vision.stem: 'conv' is outside"),
        ({"pretrain.objective": MomentumDistillation(queue=3)}, "queue: 3 is outside its limit: >= pretrain.batch = 4"),
        (
            {"distill.teacher.start": "momentum"},
            "teacher.start: 'momentum' needs pretrain.objective",
        ),
        ({"pretrain.objective.size": 3}, "size: 3 is outside its limit: 0, or >= pretrain.batch = 4"),
    ],
)
def test_contradictory_settings_are_refused(config: Config, edits: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(apply(config, edits))
    assert message in str(caught.value)
