"""Ranges and choices of a searched config path, as Optuna samples them and as the config gets them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from optuna.trial import Trial

Raw = bool | int | float | str | None  # what Optuna samples and stores


class Kind(Protocol):
    """What values a path may take, and how a sampler sees them."""

    key: ClassVar[str]  # its name in the YAML

    @property
    def values(self) -> tuple[Any, ...]:
        """Both ends of the range, or all choices, as the config gets them."""

    def suggest(self, trial: Trial, path: str) -> Raw: ...

    def value(self, raw: Raw) -> Any:
        """What the config gets."""

    def raw(self, value: Any) -> Raw:
        """Inverse of `value`.

        Raises:
            ValueError: the value is outside.
        """

    def spec(self) -> dict[str, Any]:
        """As it stands in the YAML."""

    def text(self) -> str:
        """In words."""


@dataclass(frozen=True)
class _Range:
    """Numbers, ends included."""

    key: ClassVar[str]
    low: float
    high: float
    log: bool = False

    @property
    def values(self) -> tuple[Any, ...]:
        return self.low, self.high

    def value(self, raw: Raw) -> Any:
        return raw

    def spec(self) -> dict[str, Any]:
        return {self.key: [self.low, self.high], **({"log": True} if self.log else {})}


@dataclass(frozen=True)
class Real(_Range):
    """Numbers, ends included."""

    key: ClassVar[str] = "float"

    def suggest(self, trial: Trial, path: str) -> Raw:
        return trial.suggest_float(path, self.low, self.high, log=self.log)

    def raw(self, value: Any) -> Raw:
        if not is_number(value):
            raise ValueError(value)
        for end in (self.low, self.high):
            if math.isclose(value, end, rel_tol=1e-9):  # 1 - 0.9999 lies a rounding error below 1e-4
                return end
        if not self.low <= value <= self.high:
            raise ValueError(value)
        return float(value)

    def text(self) -> str:
        return f"from {self.low:g} to {self.high:g}{', by its logarithm' if self.log else ''}"


@dataclass(frozen=True)
class OneMinus(Real):
    """A share near 1, such as a momentum: the range, and what the sampler sees, is that of one minus it."""

    key: ClassVar[str] = "one_minus"

    @property
    def values(self) -> tuple[Any, ...]:
        return 1 - self.high, 1 - self.low

    def value(self, raw: Raw) -> Any:
        assert isinstance(raw, (int, float))
        return 1 - raw

    def raw(self, value: Any) -> Raw:
        return super().raw(1 - value if is_number(value) else value)

    def text(self) -> str:
        return f"1 - it {super().text()}"


@dataclass(frozen=True)
class Whole(_Range):
    """Whole numbers, ends included."""

    key: ClassVar[str] = "int"
    low: int
    high: int

    def suggest(self, trial: Trial, path: str) -> Raw:
        return trial.suggest_int(path, self.low, self.high, log=self.log)

    def raw(self, value: Any) -> Raw:
        if is_number(value) and value == int(value) and self.low <= value <= self.high:
            return int(value)
        raise ValueError(value)

    def text(self) -> str:
        return f"whole numbers from {self.low} to {self.high}{', by their logarithm' if self.log else ''}"


@dataclass(frozen=True)
class PowersOfTwo:
    """Powers of two, ends included; the sampler sees their exponents."""

    key: ClassVar[str] = "powers_of_two"
    low: int
    high: int

    @property
    def values(self) -> tuple[Any, ...]:
        return self.low, self.high

    def suggest(self, trial: Trial, path: str) -> Raw:
        return trial.suggest_int(path, _exponent(self.low), _exponent(self.high))

    def value(self, raw: Raw) -> Any:
        assert isinstance(raw, int)
        return 1 << raw

    def raw(self, value: Any) -> Raw:
        if is_power_of_two(value) and self.low <= value <= self.high:
            return _exponent(value)
        raise ValueError(value)

    def spec(self) -> dict[str, Any]:
        return {self.key: [self.low, self.high]}

    def text(self) -> str:
        return f"powers of two from {self.low} to {self.high}"


@dataclass(frozen=True)
class Choice:
    """Some values: whole components (by kind, or by a mapping with a kind), texts, numbers, true or false."""

    key: ClassVar[str] = "choice"
    options: tuple[Any, ...]  # as in the YAML
    # A component by the kind that the search's own config has there means that one, not one with default fields.
    own: Mapping[str, Any] = field(default_factory=dict)

    @property
    def values(self) -> tuple[Any, ...]:
        return tuple(self._value(option) for option in self.options)

    def suggest(self, trial: Trial, path: str) -> Raw:
        raw: Raw = trial.suggest_categorical(path, [plain(option) for option in self.options])
        return raw

    def value(self, raw: Raw) -> Any:
        return next(self._value(option) for option in self.options if same(plain(option), raw))

    def raw(self, value: Any) -> Raw:
        for option in self.options:
            if same(option, value) or same(self._value(option), value):
                return plain(option)
        raise ValueError(value)

    def spec(self) -> dict[str, Any]:
        return {self.key: list(self.options)}

    def text(self) -> str:
        return "one of " + ", ".join(str(plain(option)) for option in self.options)

    def _value(self, option: Any) -> Any:
        return self.own.get(option, option) if isinstance(option, str) else option


def same(one: Any, other: Any) -> bool:
    """Equal and, unlike 1 and True, both or neither a truth value."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def plain(option: Any) -> Raw:
    """A choice as Optuna can store it: a mapping as JSON."""
    raw: Raw = json.dumps(option, sort_keys=True) if isinstance(option, Mapping) else option
    return raw


def is_number(value: Any) -> bool:
    """Finite, and no truth value."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_power_of_two(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0 and value & (value - 1) == 0


def _exponent(power: int) -> int:
    return power.bit_length() - 1
