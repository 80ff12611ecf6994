"""Fixtures of the training tests: two toy datasets, a shared cache, and finished runs."""

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
    """Identical results need a fixed number of threads; one is fastest for small tensors."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """The micro config on two toy datasets."""
    folder = tmp_path_factory.mktemp("toys")
    return micro(make_toy(folder / "source"), make_toy(folder / "target", shade=120))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cache for tests that may share stores and pre-training."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def finished(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Config], dict[str, Any]]:
    """Function that trains a config once per session and returns its last checkpoint."""
    known: dict[str, dict[str, Any]] = {}

    def train(config: Config) -> dict[str, Any]:
        name = digest(config)
        if name not in known:
            known[name] = trained(config, cache, tmp_path_factory.mktemp(name))
        return known[name]

    return train
