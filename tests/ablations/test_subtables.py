"""Subtables of a spec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gckd.ablations.spec import SPECS, Spec, load_spec
from gckd.ablations.subtables import ONLY_TABLE, subtable_configs
from gckd.config import Config, ConfigError, apply, preset
from gckd.config.backbone import Clip
from gckd.data.street import default_pair as datasets
from gckd.errors import InputError

FULL = preset("tiny")
NAMED = apply(FULL, {"data.source": "a", "data.target": "b"})


@pytest.fixture(autouse=True)
def street_calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Arguments of each call of `make_street`, which draws nothing here."""
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr("gckd.data.street.make_street", lambda root, **given: calls.append({"root": root, **given}))
    return calls


def dataset_names(config: Config) -> tuple[str, str]:
    return Path(config.data.source).name, Path(config.data.target).name


def test_a_spec_without_subtables_is_one_table(tmp_path: Path) -> None:
    assert subtable_configs(Spec(), (), NAMED, tmp_path) == {ONLY_TABLE: NAMED}
    assert dataset_names(subtable_configs(Spec(), (), FULL, tmp_path)[ONLY_TABLE]) == ("ICFG-PEDES", "RSTPReid")


def test_pairs_are_all_ordered_pairs(tmp_path: Path, street_calls: list[dict[str, Any]]) -> None:
    spec = load_spec("cross_dataset")
    configs = subtable_configs(spec, ("x/One", "rstpreid:y/Two", "z/3"), FULL, tmp_path)
    assert {name: (c.data.source, c.data.target) for name, c in configs.items()} == {
        "one-two": ("x/One", "rstpreid:y/Two"),
        "one-3": ("x/One", "z/3"),
        "two-one": ("rstpreid:y/Two", "x/One"),
        "two-3": ("rstpreid:y/Two", "z/3"),
        "3-one": ("z/3", "x/One"),
        "3-two": ("z/3", "rstpreid:y/Two"),
    }
    assert not street_calls
    assert len({dataset_names(c) for c in subtable_configs(spec, (), FULL, tmp_path).values()}) == 6  # street has three
    assert [street["domains"] for street in street_calls] == [("CUHK-PEDES", "ICFG-PEDES", "RSTPReid")]


def test_each_shift_has_its_own_street(tmp_path: Path, street_calls: list[dict[str, Any]]) -> None:
    configs = subtable_configs(load_spec("shift"), (), FULL, tmp_path)
    assert list(configs) == ["shift-0", "shift-0.25", "shift-0.5", "shift-0.75", "shift-1"]
    assert len({c.data.source for c in configs.values()}) == 5
    assert [street["shift"] for street in street_calls] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert {str(street["root"]) for street in street_calls} == {
        str(Path(c.data.source).parent) for c in configs.values()
    }


def test_each_edits_the_full_config(tmp_path: Path) -> None:
    configs = subtable_configs(load_spec("backbones"), (), NAMED, tmp_path)
    assert configs["albef"] == NAMED
    assert configs["clip"] == apply(NAMED, {"backbone": Clip()})


@pytest.mark.parametrize(
    ("spec", "named", "config", "message"),
    [
        ("table4", ("a", "b"), FULL, "--dataset: only for a spec with `pairs: all`"),
        ("cross_dataset", ("a",), FULL, "--dataset: 1 given; pairs need at least 2"),
        ("cross_dataset", ("a/x", "b/X"), FULL, "two folders have the same name"),
        ("cross_dataset", (), NAMED, "--source: conflicts with --spec, which sets the datasets"),
        ("shift", (), NAMED, "--target: conflicts with --spec"),
    ],
)
def test_refused_datasets(spec: str, named: tuple[str, ...], config: Config, message: str, tmp_path: Path) -> None:
    with pytest.raises((InputError, ConfigError), match=message):
        subtable_configs(load_spec(spec), named, config, tmp_path)


def test_a_spec_has_one_kind_of_subtables(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("drop: [gmp]\npairs: all\nshift: [0, 1]\n")
    with pytest.raises(ConfigError):
        load_spec(str(tmp_path / "spec.yaml"))


@pytest.mark.parametrize("file", sorted(SPECS.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_row_of_every_shipped_spec_changes_tiny(file: Path, tmp_path: Path) -> None:
    spec = load_spec(file.stem)
    full = spec.full_config(FULL, {})
    assert spec.question
    for config in subtable_configs(spec, (), full, tmp_path).values():
        for edits in spec.all_rows(config).values():
            assert apply(config, edits) != config


def test_a_shift_out_of_range_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with pytest.raises(InputError, match="shift: 2.0 is outside its limit"):
        datasets.cached_street(tmp_path, ("ICFG-PEDES",), lambda *counts: None, 2.0)
