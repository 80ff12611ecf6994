"""Fixtures of the tests on pretended CUDA: toy datasets, a shared cache, and a pretrained vocabulary."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gckd.config import Config, apply
from gckd.data.dataset_pair import open_datasets
from tests.toy import make_toy
from tests.training.micro import micro

SHORT = {"pretrain.steps": 1, "adapt.steps": 2, "adapt.evaluations": 1, "adapt.fusion_every": 1}
SHORT |= {"pretrain.evaluations": 1, "pretrain.fusion_every": 1}


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """The micro config with one step of pre-training and two of adaptation."""
    folder = tmp_path_factory.mktemp("toys")
    return apply(micro(make_toy(folder / "source"), make_toy(folder / "target", shade=120)), SHORT)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def vocabulary_folder(config: Config, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a pretrained tokenizer: the vocabulary that the micro config trains."""
    folder = tmp_path_factory.mktemp("vocabulary")
    open_datasets(config, cache)
    (vocabulary, *_) = sorted((cache / "tokenizers").glob("*/vocab.txt"))
    (folder / "vocab.txt").write_bytes(vocabulary.read_bytes())
    return folder
