"""Fixtures: a folder to run searches in, and a Ray cluster of several nodes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.nodes import Nodes, simulated
from tests.tune.search_process import SearchFolder


@pytest.fixture
def search_folder(tmp_path: Path) -> Iterator[SearchFolder]:
    folder = SearchFolder(tmp_path)
    yield folder
    for process in folder.started:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    """Two nodes with one CPU each, and a head without CPUs."""
    with simulated([1, 1]) as cluster:
        yield cluster
