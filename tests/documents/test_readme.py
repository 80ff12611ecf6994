"""README.md: its length, and its Python example as it is printed, except that sizes are smaller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import gckd
from tests.documents.blocks import ROOT, blocks_of
from tests.test_library import MICRO

README = ROOT / "README.md"
(LIBRARY,) = [block.text for block in blocks_of(README) if block.language == "python"]


def test_a_screen_of_text() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120
    assert max(map(len, lines)) <= 120


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


def test_the_example_is_short() -> None:
    assert sum(bool(line.strip()) for line in LIBRARY.splitlines()) <= 12
