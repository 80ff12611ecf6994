"""PAPER.md names what exists: every object imports, every test is there, every switch is a field of the config."""

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
    found: dict[str, list[list[str]]] = {}
    heading = ""
    for line in (ROOT / "PAPER.md").read_text().splitlines():
        if line.startswith("## "):
            heading = line[3:]
        elif line.startswith("| ") and heading:
            found.setdefault(heading, []).append([cell.strip() for cell in line.strip("|").split("|")])
    return {name: rows[1:] for name, rows in found.items()}


CLAIMS = tables()["Equations"] + tables()["Around the equations"]
DECISIONS = tables()["Our decisions"]


# Configs with our decisions: a switch has to change at least one of them.
GRAPHS: tuple[Any, ...] = ("gnn", {"kind": "gnn", "conv": "gatv2"})
OURS = [preset("tiny"), preset("base"), *(apply(preset("tiny"), {"graph.propagate": graph}) for graph in GRAPHS)]


def changes_something(config: Config, edit: str) -> bool:
    """Whether the config accepts an edit, which it refuses where it changes nothing."""
    try:
        apply(config, parse_edits([edit]))
    except ConfigError:
        return False
    return True


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def resolve(path: str) -> Any:
    """The object at a dotted path: the longest part of it that is a module, then attributes."""
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


@pytest.mark.parametrize("row", CLAIMS, ids=lambda row: f"{row[0]}: {row[1][:40]}")
def test_object_test_and_status_of_a_claim(row: list[str]) -> None:
    (code,), (test,) = quoted(row[2]), quoted(row[3])
    assert callable(resolve(code))
    file, name = test.split("::")
    assert name.startswith("test_")
    assert name in functions_in(ROOT / file)
    assert row[4] in STATUS


@pytest.mark.parametrize("row", DECISIONS, ids=lambda row: row[0][:40])
def test_a_decision_has_a_reason_and_a_switch(row: list[str]) -> None:
    _, reason, switch = row
    assert reason
    edits = quoted(switch)
    assert edits or switch == "none"
    for edit in edits:
        assert any(changes_something(config, edit) for config in OURS), edit


def test_every_equation_is_there() -> None:
    assert {row[0] for row in tables()["Equations"]} >= {"1-2", "3", "4", "5", "6-7", "8", "9", "10"}


def test_every_equation_test_file_is_named() -> None:
    named = {quoted(row[3])[0].split("::")[0] for row in CLAIMS}
    assert {f"tests/equations/{file.name}" for file in (ROOT / "tests/equations").glob("test_*.py")} <= named
