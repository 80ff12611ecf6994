"""The method on every backbone: it trains with the loss terms that the backbone has heads for."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers, processors, trainers

from gckd.config import Config, apply
from gckd.config.backbone import Blip, Clip, Tower
from gckd.config.data import PretrainedTokenizer
from gckd.config.distill import NoMatching
from gckd.config.stages import MomentumDistillation
from gckd.data.dataset_pair import open_datasets
from gckd.data.loaders import TargetLoader
from gckd.data.splits import UnlabelledSplit
from gckd.data.tokenizer import build_tokenizer
from gckd.data.wordpiece import CLIP_ENDS
from gckd.errors import InputError
from gckd.training.run import train_run
from tests.toy import make_toy
from tests.training.micro import micro

TOWER = Tower(width=16, depth=1, heads=2, mlp_ratio=2.0)
SIZES: dict[str, Any] = {"patch": 8, "vision": TOWER, "text": TOWER, "embed_dim": 8}
CASES: dict[str, dict[str, Any]] = {
    "clip": {"backbone": Clip(**SIZES)},
    "clip without fusion": {"backbone": Clip(**SIZES, fusion_depth=0), "distill.matching": NoMatching()},
    "blip": {"backbone": Blip(**SIZES)},
    "clip, momentum": {"backbone": Clip(**SIZES), "pretrain.objective": MomentumDistillation(queue=9)},
}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("toys")
    return micro(make_toy(folder / "source"), make_toy(folder / "target", shade=120))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("name", CASES)
def test_the_method_trains_on_every_backbone(config: Config, cache: Path, tmp_path: Path, name: str) -> None:
    result = train_run(apply(config, CASES[name]), cache=cache, out=tmp_path)
    terms = {str(point["name"]) for point in result.curves}
    assert all(math.isfinite(float(point["value"])) for point in result.curves)
    assert {"source_contrastive", "target_contrastive"} <= terms
    assert "source_mlm" not in terms
    fusion = {"source_matching", "target_matching"}
    assert fusion & terms == (set() if name == "clip without fusion" else fusion)
    assert any(note.startswith("backbone ") for note in result.notes)


def clip_tokenizer(folder: Path) -> PretrainedTokenizer:
    """Byte-level vocabulary that ends with CLIP's two special tokens."""
    backend = Backend(models.BPE(end_of_word_suffix="</w>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    backend.train_from_iterator(["a woman in a red coat!", "a man with a bag"], trainer)
    backend.add_special_tokens(list(CLIP_ENDS))
    first, last = ((t, backend.token_to_id(t)) for t in CLIP_ENDS)
    backend.post_processor = processors.RobertaProcessing(last, first, add_prefix_space=False)
    backend.save(str(folder / "tokenizer.json"))
    return PretrainedTokenizer(str(folder))


def test_clip_with_its_own_kind_of_vocabulary(config: Config, cache: Path, tmp_path: Path) -> None:
    edits = CASES["clip"] | {"tokenizer": clip_tokenizer(tmp_path), "data.max_tokens": 40}
    with pytest.raises(InputError, match=r"augment.word_dropout: 0.1 is outside its limit: 0 where the token"):
        train_run(apply(config, edits), cache=cache, out=tmp_path / "refused")
    result = train_run(apply(config, edits | {"augment.word_dropout": 0.0}), cache=cache, out=tmp_path / "run")
    assert all(math.isfinite(float(point["value"])) for point in result.curves)


def test_a_word_of_id_0_within_a_caption_is_no_padding(config: Config, cache: Path, tmp_path: Path) -> None:
    """CLIP's first id is "!"."""
    tokenizer = build_tokenizer(clip_tokenizer(tmp_path), [], cache, max_words=12, max_tokens=16)
    captions = ["a !!b", "a !!!b b"]
    images = open_datasets(config, cache).target.unlabelled("train").images
    loader = TargetLoader(UnlabelledSplit(images, captions), tokenizer, height=16, width=8, batch=2, seed=0)
    tokens = loader.tokens_at(torch.arange(2))
    assert 0 in tokenizer.encode(captions[:1])[0].tolist()
    assert torch.equal(tokens, tokenizer.encode(captions))
    assert (tokens == tokenizer.sep).sum(1).tolist() == [1, 1]
