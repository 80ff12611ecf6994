"""PAPER.md against the code: objects and tests exist, and every edit changes a config."""

from __future__ import annotations

import ast
import functools
import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from gckd.config import Config, ConfigError, apply, parse_edits, preset

ROOT = Path(__file__).resolve().parents[1]
STATUS = {"stated", "inherited", "ours"}


def tables() -> dict[str, list[list[str]]]:
    """Heading -> rows of its table, each a list of cells."""
    rows: dict[str, list[list[str]]] = {}
    heading = ""
    for line in (ROOT / "PAPER.md").read_text().splitlines():
        if line.startswith("## "):
            heading = line[3:]
        elif line.startswith("| ") and heading:
            rows.setdefault(heading, []).append([cell.strip() for cell in line.strip("|").split("|")])
    return {name: table[1:] for name, table in rows.items()}


TABLES = tables()
READINGS = TABLES["Equations"] + TABLES["Around the equations"]
PRESET_DECISIONS = TABLES["Decisions of the preset `tiny`"]
DECISIONS = TABLES["Decisions in every preset"] + PRESET_DECISIONS

# An edit must change at least one of these: the presets, and `tiny` with graphs on embeddings.
GRAPHS: tuple[Any, ...] = ("gnn", {"kind": "gnn", "conv": "gatv2"})
CONFIGS = [preset("tiny"), preset("base"), *(apply(preset("tiny"), {"graph.propagate": graph}) for graph in GRAPHS)]


def changes(config: Config, edit: str) -> bool:
    """Whether an edit changes the config; `apply` refuses an edit that changes nothing."""
    try:
        apply(config, parse_edits([edit]))
    except ConfigError:
        return False
    return True


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def resolve(path: str) -> Any:
    """The object at a dotted path: the longest prefix that is a module, then attributes."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        return functools.reduce(getattr, parts[length:], module)
    raise ModuleNotFoundError(path)


@functools.cache
def functions_in(file: Path) -> set[str]:
    return {node.name for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", READINGS, ids=lambda row: f"{row[0]}: {row[1][:40]}")
def test_a_reading_names_an_object_and_a_test(row: list[str]) -> None:
    (code,), (test,) = quoted(row[2]), quoted(row[3])
    assert callable(resolve(code))
    file, name = test.split("::")
    assert name.startswith("test_")
    assert name in functions_in(ROOT / file)
    assert row[4] in STATUS


@pytest.mark.parametrize("row", DECISIONS, ids=lambda row: row[0][:40])
def test_a_decision_has_a_reason_and_edits_that_change_a_config(row: list[str]) -> None:
    _, reason, undone_by = row
    assert reason
    edits = quoted(undone_by)
    assert edits or undone_by == "none"
    for edit in edits:
        assert any(changes(config, edit) for config in CONFIGS), edit


@pytest.mark.parametrize("row", PRESET_DECISIONS, ids=lambda row: row[0][:40])
def test_base_makes_no_decision_of_tiny(row: list[str]) -> None:
    for edit in quoted(row[2])[:1]:
        assert changes(preset("tiny"), edit), edit
        assert not changes(preset("base"), edit), edit


def test_every_equation_is_listed() -> None:
    assert {row[0] for row in TABLES["Equations"]} >= {"1-2", "3", "4", "5", "6-7", "8", "9", "10"}


def test_every_equation_test_file_is_listed() -> None:
    named = {quoted(row[3])[0].split("::")[0] for row in READINGS}
    assert {f"tests/equations/{file.name}" for file in (ROOT / "tests/equations").glob("test_*.py")} <= named
