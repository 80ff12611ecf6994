"""docs/components.md shows the plugin files that tests run, and counts their lines correctly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "components.md").read_text(encoding="utf-8")
PLUGINS = {
    "loss (alignment)": "alignment",
    "backbone": "backbone",
    "dataset reader": "reader",
    "label-free score": "score",
    "range type of search spaces": "range_type",
}


def test_every_shown_plugin_is_a_tested_file() -> None:
    shown = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(shown) == 3
    tested = {file.read_text(encoding="utf-8") for file in (ROOT / "tests" / "plugins").glob("*.py")}
    assert set(shown) <= tested


@pytest.mark.parametrize("addition", PLUGINS)
def test_the_number_of_lines_outside_the_package(addition: str) -> None:
    file = ROOT / "tests" / "plugins" / f"{PLUGINS[addition]}.py"
    lines = len(file.read_text(encoding="utf-8").splitlines())
    assert f"| {addition} | 1 file, {lines} lines |" in TEXT


def test_every_slot_has_a_tested_plugin() -> None:
    table = TEXT.split("| slot |")[1].split("\n\n")[0]
    slots = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    files = {file.stem for file in (ROOT / "tests" / "plugins").glob("*.py")}
    renamed = {"pre-training objective": "objective", "dataset reader": "reader", "label-free score": "score"}
    renamed |= {"self-supervision": "self_supervision"}
    assert {renamed.get(slot, slot.replace(" ", "_")) for slot in slots} == files
