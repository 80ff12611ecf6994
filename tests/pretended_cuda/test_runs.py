"""Presets, published weights, evaluation and resumed runs on pretended CUDA."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from gckd.config import Config, apply
from gckd.config.backbone import Blip, Clip, Tower
from gckd.config.config_file import CONFIG_FILE, config_text
from gckd.config.presets import PRESETS
from gckd.data.dataset_pair import open_datasets
from gckd.device import on_device
from gckd.models.blip import BlipBackbone
from gckd.models.build import build_model
from gckd.models.clip import ClipBackbone
from gckd.pretended_cuda.call import Call
from gckd.pretended_cuda.device import pretended_cuda
from gckd.pretended_cuda.tensor import STATE
from gckd.storage.path import StoragePath
from gckd.training.model import load_model
from gckd.training.run import train_run
from gckd.training.target_evaluation import evaluate_checkpoint
from tests.pretended_cuda.marks import needs_pretended_cuda
from tests.training.micro import Interruption, stop_at, trained
from tests.training.toy_presets import toy_base, toy_tiny

pytestmark = needs_pretended_cuda

TOWER = Tower(width=16, depth=1, heads=2, mlp_ratio=2.0)
SIZES: dict[str, Any] = {"patch": 8, "vision": TOWER, "text": TOWER, "embed_dim": 8}


def toy_preset(name: str, config: Config, cache: Path, folder: Path) -> Config:
    toys = {"tiny": lambda: toy_tiny(config), "base": lambda: toy_base(config, cache, folder)}
    assert toys.keys() == PRESETS.keys(), "give every preset a toy size"
    return toys[name]()


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_trains_at_toy_size(config: Config, cache: Path, tmp_path: Path, name: str) -> None:
    toy = toy_preset(name, config, cache, tmp_path)
    with pretended_cuda():
        result = train_run(toy, cache=cache, out=tmp_path / "out")
    assert all(math.isfinite(float(point["value"])) for point in result.curves)


@pytest.mark.parametrize("kind", [Clip, Blip])
def test_published_weights_of_transformers_load_onto_the_gpu(
    config: Config, cache: Path, tmp_path: Path, kind: type[Clip | Blip]
) -> None:
    vocabulary = open_datasets(config, cache).tokenizer.vocabulary
    model = build_model(apply(config, {"backbone": kind(**SIZES)}), vocabulary)
    assert isinstance(model, ClipBackbone | BlipBackbone)
    inner = model.clip if isinstance(model, ClipBackbone) else model.blip
    inner.save_pretrained(tmp_path)
    saved = {name: value.clone() for name, value in inner.state_dict().items()}
    with pretended_cuda(), on_device("cuda"):
        loaded = build_model(apply(config, {"backbone": kind(weights=str(tmp_path))}), vocabulary)
        assert all(parameter.is_cuda for parameter in loaded.parameters())
        states = {name.partition(".")[2]: value.cpu() for name, value in loaded.state_dict().items()}
    assert all(torch.equal(states[name], value) for name, value in saved.items())


@pytest.fixture(scope="module")
def finished(config: Config, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint that was trained on the CPU."""
    folder = tmp_path_factory.mktemp("finished")
    trained(config, cache, folder)
    return folder / "checkpoint.pt"


def test_evaluation_equals_that_on_the_cpu(config: Config, cache: Path, finished: Path) -> None:
    reranked = apply(config, {"evaluate.k_test": 3})
    expected = evaluate_checkpoint(reranked, finished, cache, "test").metrics
    with pretended_cuda():
        result = evaluate_checkpoint(reranked, finished, cache, "test").metrics
    assert result == pytest.approx(expected)


def test_reranking_keeps_the_states_of_the_gallery_on_the_cpu(config: Config, cache: Path, finished: Path) -> None:
    """No tensor on the GPU holds the states [4, L, 16] of all four images; the batches and the top k are smaller."""
    shapes = set[tuple[int, ...]]()

    def note(call: Call, result: Any) -> None:
        if call.runs_on_cuda and isinstance(result, torch.Tensor):
            shapes.add(tuple(result.shape))

    reranked = apply(config, {"evaluate.k_test": 3, "evaluate.batch": 2})
    with pretended_cuda():
        STATE.observers.append(note)
        try:
            evaluation = evaluate_checkpoint(reranked, finished, cache, "test")
        finally:
            STATE.observers.clear()
    assert evaluation.gallery == 4
    rows = {shape[0] for shape in shapes if len(shape) == 3 and shape[2] == 16}
    assert {2, 3} <= rows and 4 not in rows


def test_a_model_embeds_and_searches_from_the_gpu(config: Config, cache: Path, finished: Path) -> None:
    (finished.parent / CONFIG_FILE).write_text(config_text(config))
    with pretended_cuda():
        model = load_model(StoragePath.at(finished), cache)
        gallery = model.embed_split("test")
        assert not gallery.embeddings.is_cuda and len(model.search("a coat", gallery.embeddings, top=2)) == 2


@pytest.mark.parametrize("first", ["cpu", "cuda"])
@pytest.mark.parametrize("stage", ["pretrain", "adapt"])
def test_a_run_resumes_on_another_device(config: Config, tmp_path: Path, first: str, stage: str) -> None:
    devices: dict[str, Callable[[], AbstractContextManager[None]]] = {"cpu": nullcontext, "cuda": pretended_cuda}
    (second,) = devices.keys() - {first}
    longer = apply(config, {f"{stage}.steps": 4, f"{stage}.evaluations": 2})
    with devices[first](), pytest.raises(Interruption):
        trained(longer, tmp_path / "cache", tmp_path / "out", stop_at(stage, 3))
    with devices[second]():
        saved = trained(longer, tmp_path / "cache", tmp_path / "out")
    assert saved["step"] == longer.adapt.steps
    assert all(math.isfinite(float(point["value"])) for point in saved["curve"])
