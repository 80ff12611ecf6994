"""Short runs repeat the recorded losses, term by term, so that every change of a number is noticed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.golden.make import FILE, ROWS, curves

RELATIVE = 1e-4  # same versions, other CPU


def test_losses_equal_the_recorded_ones(tmp_path: Path) -> None:
    result, recorded = curves(tmp_path), json.loads(FILE.read_text())
    assert set(result) == set(recorded) == {"pretrain", *ROWS}
    for name, steps in recorded.items():
        assert len(result[name]) == len(steps) > 0
        for step, (seen, expected) in enumerate(zip(result[name], steps, strict=True)):
            assert seen == pytest.approx(expected, rel=RELATIVE), (
                f"{name}, step {step + 1}: python -m tests.golden.make"
            )
