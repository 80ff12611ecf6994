"""The scale that a hyperparameter was sampled on, as positions from 0 to 1 and their ticks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matplotlib.ticker import MaxNLocator
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from gckd.tune.space.choice import kind_or_value
from gckd.tune.space.number_ranges import OneMinusRange
from gckd.tune.space.parse import read_parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna import Study

    from gckd.tune.space.range_type import RangeType

_MOST_TICKS = 6
_LONGEST = 18  # characters of a tick


@dataclass(frozen=True)
class Scale:
    """One hyperparameter's: its choices in order, or its range and whether that was sampled by its logarithm.

    `choices`, `low`, `high` and the arguments below are as the sampler sees them; `range` says what the config gets.
    """

    name: str
    range: RangeType | None = None  # None for a path that the study's space does not have
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    whole: bool = False

    @property
    def label(self) -> str:
        """The path on two lines, and what the scale is linear in."""
        outer, _, name = self.name.rpartition(".")
        of = "log of 1 - value" if isinstance(self.range, OneMinusRange) else "log"
        return f"{outer}\n.{name}" + (f" ({of})" if self.log else "") if outer else name

    def text(self, value: Any) -> str:
        """What the config gets for a sampled value; a component by its kind, where that tells it from the others."""
        given = self.range.to_config(value) if self.range else value
        if self.choices and self.range:
            names = [kind_or_value(self.range.to_config(choice)) for choice in self.choices]
            given = value if names.count(kind_or_value(given)) > 1 else kind_or_value(given)
        text = f"{given:.6g}" if isinstance(given, float) else str(given)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."

    def at(self, value: Any) -> float:
        """Where a sampled value stands, from 0 (the least the config may get) to 1; 0.5 where there is only one."""
        if self.choices:
            place, low, high = float(self.choices.index(value)), 0.0, len(self.choices) - 1.0
        elif self.log:
            place, low, high = math.log(value), math.log(self.low), math.log(self.high)
        else:
            place, low, high = value, self.low, self.high
        at = (place - low) / (high - low) if high > low else 0.5
        return 1 - at if isinstance(self.range, OneMinusRange) else at

    def ticks(self) -> Sequence[Any]:
        """Sampled values to write at the scale: all choices; round numbers inside the range; its ends if none are."""
        if self.choices:
            return self.choices
        if self.low == self.high:
            return [self.low]
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            steps = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
            inside = [value for value in steps if self.low <= value * (1 + 1e-9) and value <= self.high * (1 + 1e-9)]
            if len(inside) > _MOST_TICKS:
                inside = [value for value in inside if math.log10(value) == round(math.log10(value))]
        else:
            round_ones = MaxNLocator(_MOST_TICKS - 1, integer=self.whole).tick_values(self.low, self.high)
            inside = [float(value) for value in round_ones if self.low <= value <= self.high]
        found = inside if len(inside) > 1 else [self.low, self.high]
        return list(dict.fromkeys(map(round, found))) if self.whole else found


def scales(study: Study) -> list[Scale]:
    """One for each hyperparameter of any trial, in order of names, as wide as the widest of its trials."""
    seen: dict[str, list[BaseDistribution]] = {}
    for trial in study.get_trials(deepcopy=False):
        for name, distribution in trial.distributions.items():
            seen.setdefault(name, []).append(distribution)
    space = study.user_attrs.get("space", {})
    kinds = {path: read_parameter(path, spec).range for path, spec in space.items() if path in seen}
    return [_scale(name, kinds.get(name), found) for name, found in sorted(seen.items())]


def _scale(name: str, searched: RangeType | None, found: Sequence[BaseDistribution]) -> Scale:
    choices = [d.choices for d in found if isinstance(d, CategoricalDistribution)]
    if choices:
        return Scale(name, searched, choices=tuple(dict.fromkeys(choice for some in choices for choice in some)))
    ranges = [d for d in found if isinstance(d, (FloatDistribution, IntDistribution))]
    return Scale(
        name,
        searched,
        low=min(d.low for d in ranges),
        high=max(d.high for d in ranges),
        log=all(d.log for d in ranges),
        whole=all(isinstance(d, IntDistribution) for d in ranges),
    )
