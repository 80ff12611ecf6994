"""No change of the numbers goes unnoticed: short runs repeat the recorded losses, term by term."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.golden.make import FILE, ROWS, curves

RELATIVE = 1e-4  # same versions, other CPU


def test_losses_are_the_recorded_ones(tmp_path: Path) -> None:
    found, recorded = curves(tmp_path), json.loads(FILE.read_text())
    assert set(found) == set(recorded) == {"pretrain", *ROWS}
    for name, steps in recorded.items():
        assert len(found[name]) == len(steps) > 0
        for step, (seen, wanted) in enumerate(zip(found[name], steps, strict=True)):
            assert seen == pytest.approx(wanted, rel=RELATIVE), f"{name}, step {step + 1}: python -m tests.golden.make"
