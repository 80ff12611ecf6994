"""The tree of config nodes: fields by their paths, their types, and the check of every limit."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from gckd.config.component import Component
from gckd.config.fields import ConfigError, Limits, limits_of
from gckd.errors import unknown_choice
from gckd.printable import brief


class Field(NamedTuple):
    """A field of a config: the node that has it, its name and its type."""

    node: Any
    name: str
    hint: Any

    @property
    def value(self) -> Any:
        return getattr(self.node, self.name)


_HINTS: dict[type, Mapping[str, Any]] = {}  # of the classes that were asked for: evaluating them takes a millisecond


def hints(node: type) -> Mapping[str, Any]:
    """Type of every field of a config class."""
    if node not in _HINTS:
        _HINTS[node] = typing.get_type_hints(node)
    return _HINTS[node]


def variants(hint: Any) -> tuple[type, ...]:
    """Config classes that a field of type `hint` may hold: every choice of a slot, one class for a plain node."""
    if not isinstance(hint, type) or not dataclasses.is_dataclass(hint):
        return ()
    return hint.choices() if issubclass(hint, Component) and hint.is_slot() else (hint,)


def slots(node: Any, prefix: str = "") -> Iterator[tuple[str, type[Component]]]:
    """Path of every slot of a config, with the base class of its components."""
    for name, hint in hints(type(node)).items():
        path, value = prefix + name, getattr(node, name)
        if isinstance(value, Component):
            yield path, hint
        if dataclasses.is_dataclass(value):
            yield from slots(value, f"{path}.")


def value_at(config: Any, path: str) -> Any:
    """The value or node at a dotted path, which has to exist."""
    return functools.reduce(getattr, path.split("."), config)


def field_at(config: Any, path: str) -> Field:
    """The field at a dotted path.

    Raises:
        ConfigError: there is no such field; the message lists the fields.
    """
    node, names = config, path.split(".")
    for depth, name in enumerate(names):
        if not dataclasses.is_dataclass(node):
            raise ConfigError([f"{path}: {names[depth - 1]} is a single value and has no field {brief(name)}"])
        if name not in {field.name for field in dataclasses.fields(node)}:
            raise ConfigError([unknown_field(path, name, type(node))])
        parent, node = node, getattr(node, name)
    return Field(parent, names[-1], hints(type(parent))[names[-1]])


def unknown_field(path: str, name: str, node: type[Any]) -> str:
    """Error line for a field that a config class does not have."""
    names = [field.name for field in dataclasses.fields(node)]
    if not names:
        return f"{path}: unknown field {brief(name)}; {getattr(node, 'kind', node.__name__)!r} has no fields"
    return f"{path}: {unknown_choice('field', name, names)}"


def walk(node: Any) -> Iterator[tuple[str, Any, Any, Limits]]:
    """Path, value, type and limits of every leaf of a config."""
    # A node that does not belong to its field is a leaf: `range_problems` reports it, not its fields.
    return (field for field in walk_nodes(node) if not isinstance(field[1], variants(field[2])))


def walk_nodes(node: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any, Limits]]:
    """Path, value, type and limits of every field of a config: leaves, and each node before its fields."""
    types = hints(type(node))
    for field in dataclasses.fields(node):
        path, value, hint = prefix + field.name, getattr(node, field.name), types[field.name]
        yield path, value, hint, limits_of(field)
        if isinstance(value, variants(hint)):
            yield from walk_nodes(value, path + ".")


def range_problems(node: Any) -> list[str]:
    """One line for each leaf of the wrong type or outside its limits."""
    problems = []
    for path, value, hint, limits in walk(node):
        if not _has_type(value, hint):
            problems.append(f"{path}: {brief(value)} is not {_type_name(hint)}")
        elif not limits.accept(value):
            problems.append(f"{path}: {limits.problem(value)}")
    return problems


def _has_type(value: Any, hint: Any) -> bool:
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool)
    return isinstance(value, hint)


def _type_name(hint: Any) -> str:
    if choices := variants(hint):
        return "one of the components " + ", ".join(getattr(choice, "kind", choice.__name__) for choice in choices)
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    return names.get(hint, str(hint))
