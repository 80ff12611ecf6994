"""Range type `choice`: components, texts, numbers, true and false."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from gckd.config import ConfigError
from gckd.printable import brief
from gckd.tune.space.range_type import RangeType, Sampled

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial


@dataclass(frozen=True)
class Choice(RangeType):
    """`choice: [a, b]`, separate values: components (by kind, or as a mapping with a kind) or plain values."""

    key: ClassVar[str] = "choice"
    categorical: ClassVar[bool] = True
    values: tuple[Any, ...]  # as in the YAML
    # Component of the search's config, by its kind: choosing this kind means that component, not its default fields.
    present: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, path: str, given: Any, options: Mapping[str, Any]) -> Self:
        if not isinstance(given, list) or len(given) < 2:
            raise ConfigError([f"{path}: {brief(given)} is outside its limit: a list of two values or more"])
        wrong = [
            value for value in given if isinstance(value, list) or (isinstance(value, float) and math.isnan(value))
        ]
        limit = "a text, a number, true, false, null or a mapping"
        problems = [f"{path}: {brief(value)} is outside its limit: {limit}" for value in wrong]
        stored = [storable(value) for value in given]
        # To Optuna 1, 1.0 and True are one choice.
        repeated = [given[i] for i in range(len(stored)) if stored[i] in stored[:i]]
        problems += [f"{path}: {brief(value)} is outside its limit: different from the others" for value in repeated]
        if problems:
            raise ConfigError(problems)
        return cls(tuple(given))

    @property
    def edge_values(self) -> tuple[Any, ...]:
        return tuple(self._config_value(value) for value in self.values)

    def suggest(self, trial: Trial, path: str) -> Sampled:
        sampled: Sampled = trial.suggest_categorical(path, [storable(value) for value in self.values])
        return sampled

    def to_config(self, sampled: Sampled) -> Any:
        return next(self._config_value(value) for value in self.values if same(storable(value), sampled))

    def to_sampled(self, value: Any) -> Sampled:
        for candidate in self.values:
            if same(candidate, value) or same(self._config_value(candidate), value):
                return storable(candidate)
        raise ValueError(value)

    def contains(self, value: Any) -> bool:
        return any(same(kind_or_value(value), kind_or_value(candidate)) for candidate in self.edge_values)

    def around(self, present: Any) -> Self:
        is_component = isinstance(present, Mapping) and "kind" in present
        return replace(self, present={present["kind"]: present} if is_component else {})

    def spec(self) -> dict[str, Any]:
        return {self.key: list(self.values)}

    def text(self) -> str:
        return "one of " + ", ".join(str(storable(value)) for value in self.values)

    def axis(self, name: str) -> tuple[str, BaseDistribution | None]:
        from optuna.distributions import CategoricalDistribution

        return name, CategoricalDistribution([self.axis_value(storable(value)) for value in self.values])

    def axis_value(self, sampled: Sampled) -> Any:
        """The kind of a component where no other choice has it; otherwise the value as Optuna stores it."""
        kinds = [str(kind_or_value(value)) for value in self.edge_values]
        kind = str(kind_or_value(self.to_config(sampled)))
        return kind if kinds.count(kind) == 1 else str(sampled)

    def _config_value(self, value: Any) -> Any:
        return self.present.get(value, value) if isinstance(value, str) else value


def same(first: Any, second: Any) -> bool:
    """Equality that, unlike 1 == True, tells numbers from truth values."""
    return bool(first == second) and isinstance(first, bool) == isinstance(second, bool)


def storable(value: Any) -> Sampled:
    """A choice as Optuna can store it: a mapping as JSON."""
    stored: Sampled = json.dumps(value, sort_keys=True) if isinstance(value, Mapping) else value
    return stored


def kind_or_value(value: Any) -> Any:
    """Kind of a component that is given by kind or as a mapping; any other value unchanged."""
    return "none" if value is None else value.get("kind") if isinstance(value, Mapping) else value
