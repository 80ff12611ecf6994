"""Mechanical rules of the English in CONTRIBUTING.md, checked over all sources."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    file
    for folder in ("gckd", "benchmarks", "docs", "tests", "ablations", "tune", "clusters")
    for file in (ROOT / folder).rglob("*.py")
    if "__pycache__" not in file.parts
)
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*/README.md")])
VAGUE_NAMES = {"found", "kept", "told", "said"}
QUESTION = re.compile(r"(What|How|Which|Where|Why|Everything|The place)\b")
OUTSIDE = re.compile(r"\bshared/design\b|\bdesign/\w+\.(md|txt)\b|\bthe method notes\b|\bmethod\.md\b")


def relative(file: Path) -> str:
    return str(file.relative_to(ROOT))


def vague_docstrings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line number and first line of each docstring that does not name a thing or an action."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node) or ""
            if QUESTION.match(text):
                yield getattr(node, "lineno", 1), text.splitlines()[0]


def vague_variables(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line number and name of each argument and assigned variable whose name does not say what it holds."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in VAGUE_NAMES:
            yield node.lineno, node.id
        elif isinstance(node, ast.arg) and node.arg in VAGUE_NAMES:
            yield node.lineno, node.arg


@pytest.fixture(scope="module")
def trees() -> dict[str, ast.Module]:
    return {relative(file): ast.parse(file.read_text(encoding="utf-8")) for file in SOURCES}


def test_the_first_line_of_a_docstring_names_a_thing_or_an_action(trees: dict[str, ast.Module]) -> None:
    lines = [f"{file}:{line}: {text}" for file, tree in trees.items() for line, text in vague_docstrings(tree)]
    assert not lines, "\n".join(lines)


def test_variables_are_named_after_what_they_hold(trees: dict[str, ast.Module]) -> None:
    lines = [f"{file}:{line}: {name}" for file, tree in trees.items() for line, name in vague_variables(tree)]
    assert not lines, "\n".join(lines)


def test_nothing_refers_to_documents_outside_the_repository() -> None:
    lines = [
        f"{relative(file)}:{number}: {line.strip()}"
        for file in (*SOURCES, *DOCUMENTS)
        if file != Path(__file__)
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if OUTSIDE.search(line)
    ]
    assert not lines, "\n".join(lines)


@pytest.mark.parametrize(
    ("source", "docstrings", "variables"),
    [
        ('"""How a run resumes."""', ["How a run resumes."], []),
        ('def f(told):\n    """Whether it resumes."""\n    found = kept = told', [], ["told", "found", "kept"]),
        ('class A:\n    """Everything else."""\n    for said in ():\n        pass', ["Everything else."], ["said"]),
        ('"""Howitzer."""\nfound_rows = [kept for kept in ()]', [], ["kept"]),
    ],
)
def test_the_rules_notice_violations(source: str, docstrings: list[str], variables: list[str]) -> None:
    tree = ast.parse(source)
    assert [text for _, text in vague_docstrings(tree)] == docstrings
    assert sorted(name for _, name in vague_variables(tree)) == sorted(variables)
