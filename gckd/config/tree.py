"""The tree of config nodes: its fields with their types, and the limits of each."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from typing import Any

from gckd.config.component import Component
from gckd.config.fields import Limits, limits_of


def hints(node: type) -> dict[str, Any]:
    """Resolved type of every field of a config class."""
    return typing.get_type_hints(node)


def variants(hint: Any) -> tuple[type, ...]:
    """Config classes that a field of type `hint` may hold: every choice of a slot, one class for a plain node."""
    if not isinstance(hint, type) or not dataclasses.is_dataclass(hint):
        return ()
    return hint.choices() if issubclass(hint, Component) and hint.is_slot() else (hint,)


def walk(node: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any, Limits]]:
    """Every leaf of a config as `(path, value, type, limits)`."""
    types_of = hints(type(node))
    for field in dataclasses.fields(node):
        path, value = prefix + field.name, getattr(node, field.name)
        # A component of some other field is no branch of this config: it is reported as a leaf of the wrong type.
        if isinstance(value, variants(types_of[field.name])):
            yield from walk(value, path + ".")
        else:
            yield path, value, types_of[field.name], limits_of(field)


def range_problems(node: Any) -> list[str]:
    """One line for each leaf outside its range or of the wrong type."""
    problems = []
    for path, value, hint, limits in walk(node):
        if not _is_a(value, hint):
            problems.append(f"{path}: {value!r} is not {_type_name(hint)}")
        elif not limits.accept(value):
            problems.append(f"{path}: {value!r} is outside its limit: {limits.text()}")
    return problems


def _is_a(value: Any, hint: Any) -> bool:
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _type_name(hint: Any) -> str:
    if variants(hint):
        return "one of the components " + ", ".join(getattr(v, "kind", v.__name__) for v in variants(hint))
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    return names.get(hint, str(hint))
