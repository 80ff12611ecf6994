"""Config fields with their documentation and limits."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from gckd.errors import InputError, unknown_choice
from gckd.printable import brief, one_line

IN_DIGEST = "in_digest"  # key of a field's metadata


@dataclass(frozen=True)
class Limits:
    """Documentation, unit and limits of a field. Bounds are in the field's unit; `choices` is for text."""

    doc: str
    unit: str = ""
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    choices: tuple[str, ...] = ()

    def text(self) -> str:
        """The limits in words, as errors and `gckd config` show them."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        signs = ((">=", self.ge), (">", self.gt), ("<=", self.le), ("<", self.lt))
        return " and ".join(f"{sign} {_number_text(bound)}" for sign, bound in signs if bound is not None)

    def problem(self, value: Any) -> str:
        """Error text for a value outside the limits."""
        if isinstance(value, int) and not _fits(value):
            return f"{brief(value)} is outside its limit: a whole number of 64 bits"
        return (
            unknown_choice("value", value, self.choices)
            if self.choices
            else f"{brief(value)} is outside its limit: {self.text()}"
        )

    def accept(self, value: Any) -> bool:
        """Whether a value is within the limits; numbers must be finite, whole numbers of 64 bits."""
        if self.choices:
            return value in self.choices
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return True
        if not (_fits(value) if isinstance(value, int) else math.isfinite(value)):
            return False
        return (
            (self.ge is None or value >= self.ge)
            and (self.gt is None or value > self.gt)
            and (self.le is None or value <= self.le)
            and (self.lt is None or value < self.lt)
        )


def _fits(value: int) -> bool:
    return -(2**63) <= value < 2**63


def _number_text(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"


def option(default: Any, doc: str, *, in_digest: bool = True, **limits: Any) -> Any:
    """A config field with a single value.

    Args:
        doc: one line of documentation. in_digest: false if no result depends on the field. limits: `unit`, and `ge`,
            `gt`, `le`, `lt` or `choices`.
    """
    return dataclasses.field(default=default, metadata={"limits": Limits(doc, **limits), IN_DIGEST: in_digest})


def section(factory: Any, doc: str) -> Any:
    """A config field that holds a config node.

    Args:
        factory: makes the default node; its class, as a rule. doc: one line of documentation.
    """
    return dataclasses.field(default_factory=factory, metadata={"limits": Limits(doc)})


class ConfigError(InputError):
    """Every problem of a config, one line each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = [one_line(problem) for problem in problems]
        super().__init__(*self.problems)

    def __reduce__(self) -> tuple[type[ConfigError], tuple[list[str]]]:
        # Unpickling would pass the message instead of the list.
        return type(self), (self.problems,)


def limits_of(field: dataclasses.Field[Any]) -> Limits:
    """Documentation and limits of a dataclass field made by `option` or `section`."""
    limits = field.metadata["limits"]
    assert isinstance(limits, Limits)
    return limits
