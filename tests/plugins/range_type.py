"""Range type of search spaces: odd numbers, `odd: [low, high]`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from optuna.trial import Trial

from gckd.extend import RangeType


@dataclass(frozen=True)
class OddRange(RangeType):
    key: ClassVar[str] = "odd"
    low: int
    high: int

    @classmethod
    def parse(cls, path: str, given: Any, options: Mapping[str, Any]) -> Self:
        low, high = given
        return cls(low, high)

    @property
    def edge_values(self) -> tuple[Any, ...]:
        return self.low, self.high

    def suggest(self, trial: Trial, path: str) -> int:
        return trial.suggest_int(path, self.low, self.high, step=2)

    def to_sampled(self, value: Any) -> int:
        if value not in range(self.low, self.high + 1, 2):
            raise ValueError(value)
        return int(value)

    def spec(self) -> dict[str, Any]:
        return {"odd": [self.low, self.high]}

    def text(self) -> str:
        return f"odd numbers from {self.low} to {self.high}"
