"""Config files name the plugins that they were written with."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from gckd import plugins
from gckd.config import ConfigError, apply, config_text, encode, preset, read_config
from gckd.config.config_file import plugin_notes
from gckd.plugins import Plugin

HUBER = Plugin("huber.py", "gckd_plugins.huber", "/home/me/huber.py", "text")
CONFIG = apply(preset("tiny"), {"seed": 7})


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Written with a plugin; the plugin is loaded no more."""
    monkeypatch.setattr(plugins, "_LOADED", {HUBER.module: HUBER})
    (tmp_path / "config.yaml").write_text(config_text(CONFIG))
    monkeypatch.setattr(plugins, "_LOADED", {})
    return tmp_path / "config.yaml"


def test_the_plugins_are_comments(file: Path) -> None:
    assert file.read_text().startswith(f"# plugin huber.py {HUBER.digest}\n")
    assert yaml.safe_load(file.read_text()) == encode(CONFIG)
    assert read_config(file) == CONFIG


def test_without_plugins_the_file_is_the_config_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "_LOADED", {})  # other tests of this process may have loaded some
    assert config_text(CONFIG).startswith("seed: 7\n")


def test_an_unknown_kind_names_the_plugin_to_add(file: Path) -> None:
    file.write_text(file.read_text().replace("kind: soft", "kind: huber"))
    with pytest.raises(ConfigError) as caught:
        read_config(file)
    kind, plugin = caught.value.problems
    assert "'huber'" in kind
    assert plugin == f"{file}: written with plugins that are not loaded; add --plugin huber.py"


def test_a_loaded_plugin_is_not_asked_for(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "_LOADED", {HUBER.module: HUBER})
    file.write_text(file.read_text().replace("kind: soft", "kind: huber"))
    with pytest.raises(ConfigError) as caught:
        read_config(file)
    assert len(caught.value.problems) == 1


def test_notes_name_missing_and_changed_plugins(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert plugin_notes(file) == [f"{file}: written with plugins that are not loaded; add --plugin huber.py"]
    for text, notes in (("text", []), ("other text", [f"{file}: plugin huber.py has changed since"])):
        monkeypatch.setattr(plugins, "_LOADED", {HUBER.module: dataclasses.replace(HUBER, text=text)})
        assert plugin_notes(file) == notes
