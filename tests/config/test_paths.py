"""Pretrained weights and tokenizers are looked up before a run starts, and their paths made absolute."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gckd.config import Config, ConfigError, apply, preset
from gckd.config.backbone import Clip
from gckd.config.data import PretrainedTokenizer
from gckd.config.paths import local_files, with_absolute_paths
from gckd.errors import InputError
from gckd.runs.plan import plan
from gckd.runs.preflight import check_weights, prepare_datasets

ALBEF = {"backbone.vision.stem": "linear"}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Config of a user whose home and working directory is `tmp_path`, with a checkpoint and a folder in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "ALBEF.pth").touch()
    (tmp_path / "clip").mkdir()
    return preset("tiny")


def test_a_config_without_files_does_not_change(config: Config) -> None:
    assert with_absolute_paths(config) == config
    assert local_files(config) == {}


@pytest.mark.parametrize("name", ["ALBEF.pth", "./ALBEF.pth", "~/ALBEF.pth"])
def test_the_path_of_weights_becomes_absolute(config: Config, tmp_path: Path, name: str) -> None:
    absolute = with_absolute_paths(apply(config, ALBEF | {"backbone.weights": name}))
    assert absolute == apply(config, ALBEF | {"backbone.weights": str(tmp_path / "ALBEF.pth")})
    assert with_absolute_paths(absolute) == absolute
    assert local_files(absolute) == {"backbone.weights": str(tmp_path / "ALBEF.pth")}


def test_a_pretrained_tokenizer_without_weights_gets_a_warning(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    datasets: Any = SimpleNamespace(tokenizer=SimpleNamespace(vocabulary=None))
    check_weights([config], datasets)
    assert capsys.readouterr().err == ""
    check_weights([apply(config, {"tokenizer": PretrainedTokenizer()})] * 2, datasets)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: backbone.weights is empty, so training starts from random weights")


def test_the_path_of_a_folder_becomes_absolute_and_a_hub_name_does_not_change(config: Config, tmp_path: Path) -> None:
    tokenizer = PretrainedTokenizer("openai/clip-vit-base-patch16")
    folder = apply(config, {"backbone": Clip(weights="clip"), "tokenizer": tokenizer})
    absolute = with_absolute_paths(folder)
    assert absolute.backbone.weights == str(tmp_path / "clip")
    assert absolute.tokenizer == tokenizer
    hub = apply(folder, {"backbone.weights": "openai/clip-vit-base-patch16"})
    assert with_absolute_paths(hub) == hub


def test_a_symbolic_link_is_not_resolved(config: Config, tmp_path: Path) -> None:
    """The cache of the hub consists of links to files without a suffix."""
    (tmp_path / "1f2e").touch()
    (tmp_path / "albef.safetensors").symlink_to("1f2e")
    absolute = with_absolute_paths(apply(config, ALBEF | {"backbone.weights": "albef.safetensors"}))
    assert absolute.backbone.weights == str(tmp_path / "albef.safetensors")


@pytest.mark.parametrize("name", ["missing.pth", "clip"])
def test_weights_that_are_not_a_file_are_refused_before_anything_starts(
    config: Config, tmp_path: Path, name: str
) -> None:
    edits = ALBEF | {"backbone.weights": name}
    line = f"backbone.weights: {tmp_path / name} is not a file; give an ALBEF checkpoint (.pth or .safetensors)"
    with pytest.raises(ConfigError) as caught:
        prepare_datasets(apply(config, edits), tmp_path / "cache")
    assert caught.value.problems == [line]
    with pytest.raises(ConfigError) as caught:
        plan(config, {"published": edits}, 1, tmp_path / "out")
    assert caught.value.problems == [f"row published: {line}"]


def test_a_folder_without_a_tokenizer_is_refused_before_anything_starts(config: Config, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"tokenizer.name: {tmp_path / 'clip'} has neither tokenizer.json nor vocab"):
        prepare_datasets(apply(config, {"tokenizer": PretrainedTokenizer("clip")}), tmp_path / "cache")
