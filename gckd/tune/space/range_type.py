"""Base class and registry of range types: the kinds of ranges that the YAML of a search space may give for a path."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from gckd.errors import InputError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

Sampled = bool | int | float | str | None  # a value as Optuna samples and stores it

RANGE_TYPES: dict[str, type[RangeType]] = {}  # key in the YAML -> range type


class RangeType(ABC):
    """Values that a config path may take in a search, and the distribution they are sampled from.

    A subclass with a `key` is registered when it is defined, and spaces may use it: `PATH: {KEY: ...}`. A subclass is
    a frozen dataclass, so that ranges compare by their fields and can be pickled. Defaults are those of a range whose
    sampled values are the config's values.
    """

    key: ClassVar[str]
    options: ClassVar[tuple[str, ...]] = ()  # further keys that the YAML may give beside `key`
    categorical: ClassVar[bool] = False  # separate values in no order
    continuous: ClassVar[bool] = False  # a condition cannot name a single value of it
    noun: ClassVar[str] = "value"  # for messages: a value of this range

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Raises InputError: the key is that of another range type."""
        super().__init_subclass__(**arguments)
        if "key" not in cls.__dict__:
            return
        present = RANGE_TYPES.get(cls.key)
        # A dataclass decorator or a reloaded plugin defines the same class again.
        if present is not None and (present.__module__, present.__qualname__) != (cls.__module__, cls.__qualname__):
            raise InputError(
                f"range type {cls.key!r} of {cls.__module__} is already defined in {present.__module__}; choose "
                "another key"
            )
        RANGE_TYPES[cls.key] = cls

    @classmethod
    @abstractmethod
    def parse(cls, path: str, given: Any, options: Mapping[str, Any]) -> Self:
        """The range that the YAML describes.

        Args:
            path: of the YAML node, for messages: "graph.propagate.k.int".
            given: value of `key` in the YAML.
            options: those of `cls.options` that the YAML gives.

        Raises:
            ConfigError: everything that is wrong with it, one line each.
        """

    @property
    @abstractmethod
    def edge_values(self) -> tuple[Any, ...]:
        """Config values that are checked before the first trial: both ends of the range, or all choices."""

    @abstractmethod
    def suggest(self, trial: Trial, path: str) -> Sampled:
        """Sample a value; `path` is the parameter's name in Optuna."""

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """The YAML of the range as a dict; `parse` reads it."""

    @abstractmethod
    def text(self) -> str:
        """Description in words, for the plan and the report."""

    def to_config(self, sampled: Sampled) -> Any:
        """Config value of a sampled value."""
        return sampled

    @abstractmethod
    def to_sampled(self, value: Any) -> Sampled:
        """Inverse of `to_config`.

        Raises:
            ValueError: the value is outside the range.
        """

    def contains(self, value: Any) -> bool:
        """Whether a search may reach `value`, a config value or the kind of a component."""
        try:
            self.to_sampled(value)
        except ValueError:
            return False
        return True

    def clipped(self, low: int, high: int) -> Self | None:
        """The part of the range from `low` to `high`; None if it is empty. By default the whole range."""
        return self

    def around(self, present: Any) -> Self:
        """The range for a search around a config that has the plain value `present` at this path."""
        return self

    def axis(self, name: str) -> tuple[str, BaseDistribution | None]:
        """Label and distribution of a figure's axis for the parameter `name`.

        The distribution is that of `axis_value`; None: the one that was sampled.
        """
        return name, None

    def axis_value(self, sampled: Sampled) -> Any:
        """Position of a sampled value on the axis."""
        return sampled
