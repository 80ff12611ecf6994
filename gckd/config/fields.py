"""Config fields that carry their own documentation and limits, and the walk that checks them all."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gckd.errors import InputError


@dataclass(frozen=True)
class Limits:
    """What a field accepts. Bounds are in the field's own unit; `choices` is for strings."""

    doc: str
    unit: str = ""
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    choices: tuple[str, ...] = ()

    def text(self) -> str:
        """The limit in words, as an error message or `--help` shows it."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        signs = ((">=", self.ge), (">", self.gt), ("<=", self.le), ("<", self.lt))
        return " and ".join(f"{sign} {bound:g}" for sign, bound in signs if bound is not None)

    def accept(self, value: Any) -> bool:
        if self.choices:
            return value in self.choices
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return True
        if isinstance(value, float) and not math.isfinite(value):
            return False
        return (
            (self.ge is None or value >= self.ge)
            and (self.gt is None or value > self.gt)
            and (self.le is None or value <= self.le)
            and (self.lt is None or value < self.lt)
        )


def option(default: Any, doc: str, **limits: Any) -> Any:
    """A config field: its default, its one-line documentation and its range (`ge`, `gt`, `le`, `lt`, `choices`)."""
    return dataclasses.field(default=default, metadata={"limits": Limits(doc, **limits)})


def section(factory: Any, doc: str) -> Any:
    """A config field that is itself a config node."""
    return dataclasses.field(default_factory=factory, metadata={"limits": Limits(doc)})


class ConfigError(InputError):
    """Everything that is wrong with a config, one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems

    def __reduce__(self) -> tuple[type[ConfigError], tuple[list[str]]]:
        return type(self), (self.problems,)  # an exception is otherwise remade from its message


def hints(node: type) -> dict[str, Any]:
    """Resolved type of every field of a config class."""
    return typing.get_type_hints(node)


def variants(hint: Any) -> tuple[type, ...]:
    """The config classes a field may hold: several for a component (`Gnn | NoPropagation`), one for a plain node."""
    members = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return tuple(m for m in members if dataclasses.is_dataclass(m) and isinstance(m, type))


def limits_of(field: dataclasses.Field[Any]) -> Limits:
    found = field.metadata["limits"]
    assert isinstance(found, Limits)
    return found


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
