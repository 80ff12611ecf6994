"""Range types of numbers: `float`, `one_minus`, `int` and `powers_of_two`. Both ends belong to the range."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from gckd.config import ConfigError
from gckd.printable import brief
from gckd.tune.space.range_type import RangeType, Sampled

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial


@dataclass(frozen=True)
class NumberRange(RangeType):
    """Numbers from `low` to `high`; log: uniform in the logarithm."""

    options: ClassVar[tuple[str, ...]] = ("log",)
    low: float
    high: float
    log: bool = False

    @property
    def edge_values(self) -> tuple[Any, ...]:
        return self.low, self.high

    def spec(self) -> dict[str, Any]:
        return {self.key: [self.low, self.high], **({"log": True} if self.log else {})}


@dataclass(frozen=True)
class FloatRange(NumberRange):
    """`float: [low, high]`, real numbers."""

    key: ClassVar[str] = "float"
    continuous: ClassVar[bool] = True

    @classmethod
    def parse(cls, path: str, given: Any, options: Mapping[str, Any]) -> Self:
        low, high, log = read_ends(path, given, options, is_number, "numbers")
        return cls(float(low), float(high), log)

    def suggest(self, trial: Trial, path: str) -> Sampled:
        return trial.suggest_float(path, self.low, self.high, log=self.log)

    def to_sampled(self, value: Any) -> Sampled:
        if not is_number(value):
            raise ValueError(value)
        for end in (self.low, self.high):
            if math.isclose(value, end, rel_tol=1e-9):  # 1 - 0.9999 is a rounding error below 1e-4
                return end
        if not self.low <= value <= self.high:
            raise ValueError(value)
        return float(value)

    def text(self) -> str:
        return f"from {self.low:g} to {self.high:g}{', log-uniform' if self.log else ''}"


@dataclass(frozen=True)
class OneMinusRange(FloatRange):
    """`one_minus: [low, high]`, for a share near 1 such as a momentum: the range is that of 1 - value."""

    key: ClassVar[str] = "one_minus"

    @property
    def edge_values(self) -> tuple[Any, ...]:
        return 1 - self.high, 1 - self.low

    def to_config(self, sampled: Sampled) -> Any:
        assert isinstance(sampled, (int, float))
        return 1 - sampled

    def to_sampled(self, value: Any) -> Sampled:
        return super().to_sampled(1 - value if is_number(value) else value)

    def text(self) -> str:
        return f"1 - value {super().text()}"

    def axis(self, name: str) -> tuple[str, BaseDistribution | None]:
        return f"1 - {name}", None


@dataclass(frozen=True)
class IntRange(NumberRange):
    """`int: [low, high]`, whole numbers."""

    key: ClassVar[str] = "int"
    noun: ClassVar[str] = "number"
    low: int
    high: int

    @classmethod
    def parse(cls, path: str, given: Any, options: Mapping[str, Any]) -> Self:
        return cls(*read_ends(path, given, options, is_whole_number, "whole numbers"))

    def suggest(self, trial: Trial, path: str) -> Sampled:
        return trial.suggest_int(path, self.low, self.high, log=self.log)

    def to_sampled(self, value: Any) -> Sampled:
        if is_number(value) and value == int(value) and self.low <= value <= self.high:
            return int(value)
        raise ValueError(value)

    def clipped(self, low: int, high: int) -> Self | None:
        low, high = max(self.low, low), min(self.high, high)
        return replace(self, low=low, high=high) if low <= high else None

    def text(self) -> str:
        return f"whole numbers from {self.low} to {self.high}{', log-uniform' if self.log else ''}"


@dataclass(frozen=True)
class PowersOfTwoRange(RangeType):
    """`powers_of_two: [low, high]`, powers of two; the sampler sees their exponents."""

    key: ClassVar[str] = "powers_of_two"
    noun: ClassVar[str] = "power of two"
    low: int
    high: int

    @classmethod
    def parse(cls, path: str, given: Any, options: Mapping[str, Any]) -> Self:
        low, high, _ = read_ends(path, given, options, is_power_of_two, "powers of two")
        return cls(low, high)

    @property
    def edge_values(self) -> tuple[Any, ...]:
        return self.low, self.high

    def suggest(self, trial: Trial, path: str) -> Sampled:
        return trial.suggest_int(path, exponent(self.low), exponent(self.high))

    def to_config(self, sampled: Sampled) -> Any:
        assert isinstance(sampled, int)
        return 1 << sampled

    def to_sampled(self, value: Any) -> Sampled:
        if is_power_of_two(value) and self.low <= value <= self.high:
            return exponent(value)
        raise ValueError(value)

    def clipped(self, low: int, high: int) -> Self | None:
        if high < 1:
            return None
        low = max(self.low, 1 << max(low - 1, 0).bit_length())
        high = min(self.high, 1 << exponent(high))
        return replace(self, low=low, high=high) if low <= high else None

    def spec(self) -> dict[str, Any]:
        return {self.key: [self.low, self.high]}

    def text(self) -> str:
        return f"powers of two from {self.low} to {self.high}"

    def axis(self, name: str) -> tuple[str, BaseDistribution | None]:
        from optuna.distributions import IntDistribution

        return name, IntDistribution(self.low, self.high, log=True)

    def axis_value(self, sampled: Sampled) -> Any:
        return self.to_config(sampled)


def read_ends(
    path: str, given: Any, options: Mapping[str, Any], fits: Callable[[Any], bool], plural: str
) -> tuple[Any, Any, bool]:
    """Both ends of a range in the YAML, and its option `log`.

    Args:
        path: of the YAML node, for messages.
        fits: whether a value may be an end.
        plural: of such values, for messages: "whole numbers".

    Raises:
        ConfigError: it is not [low, high] with low <= high, or `log` is not true or false, or needs low > 0.
    """
    log = options.get("log", False)
    problems = []
    if not isinstance(log, bool):
        problems.append(f"{path.rpartition('.')[0]}.log: {brief(log)} is not true or false")
    if not isinstance(given, list) or len(given) != 2 or not all(fits(end) for end in given):
        raise ConfigError([*problems, f"{path}: {brief(given)} is outside its limit: [low, high], two {plural}"])
    low, high = given
    if low > high:  # equal ends: few entries of a dataset leave one capacity, and a saved space is read again
        problems.append(f"{path}: {brief(given)} is outside its limit: low <= high")
    if log is True and low <= 0:
        problems.append(f"{path}: {brief(given)} is outside its limit: low > 0 with log")
    if problems:
        raise ConfigError(problems)
    return low, high, log


def is_number(value: Any) -> bool:
    """Whether `value` is a finite number; a truth value is not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_whole_number(value: Any) -> bool:
    """Whether `value` is an int; a truth value is not."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_power_of_two(value: Any) -> bool:
    return is_whole_number(value) and value > 0 and value & (value - 1) == 0


def exponent(power: int) -> int:
    """Exponent of the largest power of two that is at most `power`."""
    return power.bit_length() - 1
