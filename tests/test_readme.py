"""Python examples of the README run as they are printed, except that sizes are smaller."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import gckd
from tests.test_library import MICRO

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
LIBRARY, EQUATIONS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_library_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GCKD_CACHE", str(tmp_path / "cache"))
    small = {"ids=200": "ids=8, workers=1", 'gckd.preset("tiny")': "small_preset"}
    code = LIBRARY
    for printed, run in small.items():
        assert printed in code
        code = code.replace(printed, run)
    names: dict[str, Any] = {"small_preset": gckd.apply(gckd.preset("tiny"), MICRO)}
    exec(code, names)
    rank_1, *matches = capsys.readouterr().out.splitlines()
    assert 0 <= float(rank_1.split()[0]) <= 100
    assert len(matches) == 5
    assert Path(matches[0].split()[0]).suffix == ".jpg"


def test_equations_example() -> None:
    names: dict[str, Any] = {}
    exec(EQUATIONS, names)
    assert names["labels"].shape == (32, 1000)
    assert names["labels"].sum(1).tolist() == pytest.approx([1.0] * 32, abs=1e-5)


def test_examples_are_short() -> None:
    """About ten lines each, as the README says."""
    for code in (LIBRARY, EQUATIONS):
        assert sum(bool(line.strip()) for line in code.splitlines()) <= 15
