"""A place to run searches in, and a Ray of several nodes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.nodes import Nodes, simulated
from tests.tune.search_process import SearchFolder


@pytest.fixture
def place(tmp_path: Path) -> Iterator[SearchFolder]:
    made = SearchFolder(tmp_path)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    """Two nodes with a CPU each, and a head without any."""
    with simulated([1, 1]) as made:
        yield made
