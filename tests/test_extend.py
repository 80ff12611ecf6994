"""`gckd.extend` offers the same names to Python and to mypy, and imports nothing until one is used."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from gckd import extend


def typed_names() -> dict[str, str]:
    """Name -> module, as the type checker sees them."""
    tree = ast.parse(Path(extend.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def test_every_typed_name_is_the_object_of_its_module() -> None:
    assert dir(extend) == sorted(typed_names())
    for name, module in typed_names().items():
        assert getattr(extend, name) is getattr(importlib.import_module(module), name)


def test_an_unknown_name_lists_the_names() -> None:
    with pytest.raises(AttributeError, match="no name 'Loss'; choose from ALIGNMENTS, "):
        extend.Loss  # noqa: B018


def test_the_import_is_lazy() -> None:
    code = "import sys, gckd.extend; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
