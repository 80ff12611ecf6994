"""Problem of input that disappears while runs are under way."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

import pytest

from gckd.config import apply, preset
from gckd.config.backbone import Clip
from gckd.config.data import PretrainedTokenizer
from gckd.runs.lost_input import lost_input
from tests.toy import make_toy


def test_lost_input_names_the_field_and_the_path(tmp_path: Path) -> None:
    weights, tokenizer = tmp_path / "weights.pth", tmp_path / "tokenizer"
    weights.touch()
    tokenizer.mkdir()
    edits: dict[str, Any] = {"data.source": str(make_toy(tmp_path / "a")), "data.target": str(make_toy(tmp_path / "b"))}
    edits |= {"backbone": Clip(weights=str(weights)), "tokenizer": PretrainedTokenizer(str(tokenizer))}
    config = apply(preset("tiny"), edits)
    assert lost_input(config) == ""

    for path, field in (
        (tokenizer, "tokenizer.name"),
        (weights, "backbone.weights"),
        (tmp_path / "b", "data.target"),
        (tmp_path / "a", "data.source"),
    ):
        shutil.move(path, tmp_path / "away")
        problem = lost_input(config)
        assert problem.startswith(f"{field}: lost after the start: ")
        assert str(path) in problem
        shutil.move(tmp_path / "away", path)
    assert lost_input(config) == ""


def test_an_unmounted_folder_is_lost(tmp_path: Path) -> None:
    """A mount point without its mount is an empty folder."""
    folder = make_toy(tmp_path / "a")
    config = apply(preset("tiny"), {"data.source": str(folder)})
    shutil.rmtree(folder)
    folder.mkdir()
    assert str(folder) in lost_input(config)


@pytest.mark.parametrize("path", ["imgs", "data_captions.json"])
def test_a_stale_network_folder_is_lost(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, stat = make_toy(tmp_path / "a"), Path.stat

    def stale(self: Path, **options: Any) -> Any:
        if path in str(self):
            raise OSError(errno.ESTALE, "Stale file handle", str(self))
        return stat(self, **options)

    monkeypatch.setattr(Path, "stat", stale)
    assert "Stale file handle" in lost_input(apply(preset("tiny"), {"data.source": str(folder)}))
    weights = apply(preset("tiny"), {"backbone": Clip(weights=str(tmp_path / path))})
    assert lost_input(weights) == f"backbone.weights: lost after the start: {tmp_path / path}: Stale file handle"


def test_names_on_a_hub_are_not_files() -> None:
    config = apply(preset("tiny"), {"tokenizer": PretrainedTokenizer("some/tokenizer")})
    assert lost_input(config) == ""
