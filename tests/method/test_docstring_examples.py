"""Examples in the docstrings of the classes and functions for a user's own tensors."""

from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = (
    "gckd.graph.memory",
    "gckd.graph.propagation",
    "gckd.method.matching",
    "gckd.method.pseudo_labels",
    "gckd.method.teacher",
)


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
