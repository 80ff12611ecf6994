"""The blocks of a question: which tables a spec makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gckd.ablations.dataset_pairs import ONE, blocks
from gckd.ablations.spec import SPECS, Spec, load_spec
from gckd.config import Config, ConfigError, apply, preset
from gckd.config.backbone import Clip
from gckd.data.street import default_pair as datasets
from gckd.errors import InputError

FULL = preset("tiny")
NAMED = apply(FULL, {"data.source": "a", "data.target": "b"})


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Streets that were asked for; none is drawn."""
    found: list[dict[str, Any]] = []
    monkeypatch.setattr("gckd.data.street.make_street", lambda root, **given: found.append({"root": root, **given}))
    return found


def sides(config: Config) -> tuple[str, str]:
    return Path(config.data.source).name, Path(config.data.target).name


def test_a_spec_without_blocks_is_one_table(tmp_path: Path) -> None:
    assert blocks(Spec(), (), NAMED, tmp_path) == {ONE: NAMED}
    assert sides(blocks(Spec(), (), FULL, tmp_path)[ONE]) == ("ICFG-PEDES", "RSTPReid")


def test_pairs_are_all_ordered_pairs(tmp_path: Path, drawn: list[dict[str, Any]]) -> None:
    spec = load_spec("cross_dataset")
    found = blocks(spec, ("x/One", "rstpreid:y/Two", "z/3"), FULL, tmp_path)
    assert {name: (c.data.source, c.data.target) for name, c in found.items()} == {
        "one-two": ("x/One", "rstpreid:y/Two"),
        "one-3": ("x/One", "z/3"),
        "two-one": ("rstpreid:y/Two", "x/One"),
        "two-3": ("rstpreid:y/Two", "z/3"),
        "3-one": ("z/3", "x/One"),
        "3-two": ("z/3", "rstpreid:y/Two"),
    }
    assert not drawn
    assert len({sides(c) for c in blocks(spec, (), FULL, tmp_path).values()}) == 6  # street has three
    assert [street["domains"] for street in drawn] == [("CUHK-PEDES", "ICFG-PEDES", "RSTPReid")]


def test_shifts_are_streets_of_their_own(tmp_path: Path, drawn: list[dict[str, Any]]) -> None:
    found = blocks(load_spec("shift"), (), FULL, tmp_path)
    assert list(found) == ["shift-0", "shift-0.25", "shift-0.5", "shift-0.75", "shift-1"]
    assert len({c.data.source for c in found.values()}) == 5
    assert [street["shift"] for street in drawn] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert {str(street["root"]) for street in drawn} == {str(Path(c.data.source).parent) for c in found.values()}


def test_each_is_an_edit_of_the_full_config(tmp_path: Path) -> None:
    found = blocks(load_spec("backbones"), (), NAMED, tmp_path)
    assert found["albef"] == NAMED
    assert found["clip"] == apply(NAMED, {"backbone": Clip()})


@pytest.mark.parametrize(
    ("spec", "named", "config", "message"),
    [
        ("table4", ("a", "b"), FULL, "--dataset: it is for a spec with `pairs: all`"),
        ("cross_dataset", ("a",), FULL, "--dataset: 1 is given; pairs need at least 2"),
        ("cross_dataset", ("a/x", "b/X"), FULL, "two folders have the same name"),
        ("cross_dataset", (), NAMED, "--source: it conflicts with --spec, which has its own datasets"),
        ("shift", (), NAMED, "--target: it conflicts with --spec"),
    ],
)
def test_refused(spec: str, named: tuple[str, ...], config: Config, message: str, tmp_path: Path) -> None:
    with pytest.raises((InputError, ConfigError), match=message):
        blocks(load_spec(spec), named, config, tmp_path)


def test_one_kind_of_blocks_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("drop: [gmp]\npairs: all\nshift: [0, 1]\n")
    with pytest.raises(ConfigError):
        load_spec(str(tmp_path / "spec.yaml"))


@pytest.mark.parametrize("file", sorted(SPECS.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_shipped_spec_gives_rows_around_tiny(file: Path, tmp_path: Path) -> None:
    spec = load_spec(file.stem)
    full = spec.full(FULL, {})
    assert spec.question
    for config in blocks(spec, (), full, tmp_path).values():
        for edits in spec.all_rows(config).values():
            assert apply(config, edits) != config


def test_a_shift_out_of_range_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with pytest.raises(InputError, match="shift is 2"):
        datasets.cached_street(tmp_path, ("ICFG-PEDES",), lambda *counts: None, 2.0)
