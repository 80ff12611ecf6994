"""Two toy datasets and a cache that the tests of training share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gckd.config import Config, digest
from tests.toy import make_toy
from tests.training.micro import micro, trained


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Bit for bit needs a fixed number of threads, and small tensors are quickest on one."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """The micro config on two toy datasets."""
    folder = tmp_path_factory.mktemp("toys")
    return micro(make_toy(folder / "source"), make_toy(folder / "target", shade=120))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache for tests that may share stores and pre-training."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def finished(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Config], dict[str, Any]]:
    """Trains a config, once in a session, and returns its last checkpoint."""
    known: dict[str, dict[str, Any]] = {}

    def train(config: Config) -> dict[str, Any]:
        name = digest(config)
        if name not in known:
            known[name] = trained(config, cache, tmp_path_factory.mktemp(name))
        return known[name]

    return train
