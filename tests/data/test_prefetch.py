"""Batches loaded ahead: the same batches, the same errors, and no thread afterwards."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from gckd.data.prefetch import Prefetcher
from gckd.data.types import TargetBatch
from gckd.errors import InputError

NAME = "batches"  # of the thread
SECONDS = 30.0


class Batches:
    """Source of batches that notes the thread of every load; batch `broken` cannot be loaded."""

    def __init__(self, broken: int = -1) -> None:
        self.broken = broken
        self.threads: dict[int, str] = {}
        self.loaded = {step: threading.Event() for step in range(6)}

    def load(self, step: int) -> TargetBatch:
        self.threads[step] = threading.current_thread().name.partition("_")[0]
        self.loaded[step].set()
        if step == self.broken:
            raise InputError(f"image {step}: broken")
        rows = torch.full((2,), step)
        return TargetBatch(torch.full((2, 3, 1, 1), step).byte(), rows[:, None], rows, rows + 1)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(NAME)]


@pytest.mark.parametrize("steps", [range(4), (2, 3, 0, 4)])
def test_batches_loaded_ahead_are_those_of_their_steps(steps: range | tuple[int, ...]) -> None:
    batches = Batches()
    prefetcher = Prefetcher(batches.load)
    with prefetcher.running():
        results = [prefetcher.batch(step) for step in steps]
    assert [result.image_rows.tolist() for result in results] == [[step, step] for step in steps]
    assert [result.images.unique().tolist() for result in results] == [[step] for step in steps]


def test_the_next_batch_is_loaded_during_the_current_step() -> None:
    batches = Batches()
    prefetcher = Prefetcher(batches.load)
    with prefetcher.running():
        for step in range(3):
            prefetcher.batch(step)
            assert batches.loaded[step + 1].wait(SECONDS)  # before anyone asks for it
    assert set(batches.threads.values()) == {NAME}
    prefetcher.batch(5)
    assert batches.threads[5] != NAME


def test_an_error_of_the_thread_is_raised_at_its_own_step() -> None:
    batches = Batches(broken=2)
    prefetcher = Prefetcher(batches.load)
    with prefetcher.running():
        for step in range(2):
            prefetcher.batch(step)
        assert batches.loaded[2].wait(SECONDS)
        with pytest.raises(InputError, match="^image 2: broken$"):
            prefetcher.batch(2)


def test_an_error_of_a_batch_that_no_step_uses_is_ignored() -> None:
    batches = Batches(broken=2)
    prefetcher = Prefetcher(batches.load)
    with prefetcher.running():
        assert prefetcher.batch(1).image_rows.tolist() == [1, 1]
        assert batches.loaded[2].wait(SECONDS)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_no_thread_is_left_after_an_error_of_a_step(error: type[BaseException]) -> None:
    def failing_step(prefetcher: Prefetcher[TargetBatch]) -> None:
        with prefetcher.running():
            prefetcher.batch(0)
            raise error

    with pytest.raises(error):
        failing_step(Prefetcher(Batches().load))
