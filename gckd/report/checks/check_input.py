"""Input of a check: the runs of a table with their curves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from gckd.config import Config
    from gckd.report.curves import CurvePoint


@dataclass(frozen=True)
class CheckInput:
    """Records and curves of a table. config: full config. folder: output folder with the folders of the runs."""

    records: Sequence[Mapping[str, Any]]
    curves: Sequence[CurvePoint]
    config: Config
    folder: Path

    @property
    def done(self) -> list[Mapping[str, Any]]:
        """Records of the finished runs."""
        return [r for r in self.records if r["status"] == "done"]

    @property
    def rows(self) -> list[str]:
        """Rows with a finished run, in the order of the records."""
        return list(dict.fromkeys(str(r["row"]) for r in self.done))

    def rank_1(self) -> dict[tuple[str, int], float]:
        """(row, seed) -> Rank-1 on target test, percent."""
        return {(str(r["row"]), int(r["seed"])): float(r["rank_1"]) for r in self.done}

    def curve(self, name: str, row: str) -> dict[int, dict[int, float]]:
        """Step -> seed -> value, of a curve of the adaptation, in the order of steps."""
        values: dict[int, dict[int, float]] = {}
        for p in sorted(self.curves, key=lambda p: int(p["step"])):
            if (p["stage"], p["name"], p["row"]) == ("adapt", name, row):
                values.setdefault(int(p["step"]), {})[int(p["seed"])] = float(p["value"])
        return values

    def last(self, name: str, row: str) -> dict[int, float]:
        """Seed -> value at the last step of a curve; empty without the curve."""
        curve = self.curve(name, row)
        return curve[max(curve)] if curve else {}


def mean(values: Iterable[float]) -> float:
    """Arithmetic mean; NaN without values."""
    listed = list(values)
    return sum(listed) / len(listed) if listed else float("nan")
