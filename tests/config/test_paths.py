"""Pretrained weights and tokenizers are found where a command is typed, before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from gckd.config import Config, ConfigError, apply, preset
from gckd.config.backbone import Clip
from gckd.config.data import FolderTokenizer
from gckd.config.paths import files_of, with_files
from gckd.errors import InputError
from gckd.runs.plan import plan
from gckd.runs.preflight import prepare_datasets

ALBEF = {"backbone.vision.stem": "linear"}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Of a user whose home and present folder is `tmp_path`, with some files in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "ALBEF.pth").touch()
    (tmp_path / "clip").mkdir()
    return preset("tiny")


def test_a_config_that_names_none_is_as_it_was(config: Config) -> None:
    assert with_files(config) == config
    assert files_of(config) == {}


@pytest.mark.parametrize("name", ["ALBEF.pth", "./ALBEF.pth", "~/ALBEF.pth"])
def test_weights_are_named_by_their_absolute_path(config: Config, tmp_path: Path, name: str) -> None:
    found = with_files(apply(config, ALBEF | {"backbone.weights": name}))
    assert found == apply(config, ALBEF | {"backbone.weights": str(tmp_path / "ALBEF.pth")})
    assert with_files(found) == found
    assert files_of(found) == {"backbone.weights": str(tmp_path / "ALBEF.pth")}


def test_a_folder_is_named_by_its_absolute_path_and_a_name_of_the_hub_as_it_is(config: Config, tmp_path: Path) -> None:
    clip = apply(
        config, {"backbone": Clip(weights="clip"), "tokenizer": FolderTokenizer("openai/clip-vit-base-patch16")}
    )
    found = with_files(clip)
    assert found.backbone.weights == str(tmp_path / "clip")
    assert found.tokenizer == clip.tokenizer
    hub = apply(clip, {"backbone.weights": "openai/clip-vit-base-patch16"})
    assert with_files(hub) == hub


def test_a_link_stays_one(config: Config, tmp_path: Path) -> None:
    """The hub's cache is made of links, to files whose names have no suffix."""
    (tmp_path / "1f2e").touch()
    (tmp_path / "albef.safetensors").symlink_to("1f2e")
    found = with_files(apply(config, ALBEF | {"backbone.weights": "albef.safetensors"}))
    assert found.backbone.weights == str(tmp_path / "albef.safetensors")


def test_weights_that_are_no_file_are_refused_before_anything_starts(config: Config, tmp_path: Path) -> None:
    for name in ("missing.pth", "clip"):
        wrong = ALBEF | {"backbone.weights": name}
        line = f"backbone.weights: {tmp_path / name} is no file; give an ALBEF checkpoint (.pth or .safetensors)"
        with pytest.raises(ConfigError) as caught:
            prepare_datasets(apply(config, wrong), tmp_path / "cache")
        assert caught.value.problems == [line]
        with pytest.raises(ConfigError) as caught:
            plan(config, {"published": wrong}, 1, tmp_path / "out")
        assert caught.value.problems == [f"row published: {line}"]


def test_a_folder_without_a_tokenizer_is_refused_before_anything_starts(config: Config, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"tokenizer.name: {tmp_path / 'clip'} holds neither"):
        prepare_datasets(apply(config, {"tokenizer": FolderTokenizer("clip")}), tmp_path / "cache")
