"""Config fields that carry their own documentation and limits."""

from __future__ import annotations

import dataclasses
import math
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


def limits_of(field: dataclasses.Field[Any]) -> Limits:
    found = field.metadata["limits"]
    assert isinstance(found, Limits)
    return found
