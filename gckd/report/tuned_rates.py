"""Tuned rates: the learning rate of each row of a table with `--tuned-rows`, chosen without target labels."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gckd.storage import atomic
from gckd.storage.json_file import read_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

RATES_FILE = "tuned_rates.json"
_RATE = {"type": "number", "exclusiveMinimum": 0}
_SCHEMA = {
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "required": ["chosen", "configured", "candidates", "failed", "score", "seed"],
        "properties": {
            "chosen": _RATE,
            "configured": _RATE,
            "candidates": {"type": "array", "items": _RATE, "minItems": 1},
            "failed": {"type": "array", "items": _RATE},
            "score": {"type": "string"},
            "seed": {"type": "integer"},
        },
        "additionalProperties": False,
    },
}


@dataclass(frozen=True)
class TunedRate:
    """Learning rate `adapt.lr` of a row, and how it was chosen.

    chosen: that of the row's runs. configured: that of its config. candidates: in ascending order. failed: candidates
    whose tuning run failed. score: name of the label-free score that chose. seed: of the tuning runs.
    """

    chosen: float
    configured: float
    candidates: tuple[float, ...]
    failed: tuple[float, ...]
    score: str
    seed: int

    @property
    def is_at_an_end(self) -> bool:
        """Whether the chosen rate is the smallest or the largest candidate."""
        return self.chosen in (self.candidates[0], self.candidates[-1])


def save_rates(rates: Mapping[str, TunedRate], folder: Path) -> None:
    """Write tuned_rates.json: row -> its rate."""
    text = json.dumps({row: dataclasses.asdict(rate) for row, rate in rates.items()}, indent=1)
    atomic.write(folder / RATES_FILE, text + "\n")


def load_rates(folder: Path) -> dict[str, TunedRate]:
    """Rates of the tuned rows in an output folder; empty without a file.

    Raises:
        InputError: the file is damaged.
    """
    file = folder / RATES_FILE
    if not file.exists():
        return {}
    entries = read_json(file, _SCHEMA, "repeat the command of the table with --resume, which writes it again")
    return {
        row: TunedRate(**entry | {name: tuple(entry[name]) for name in ("candidates", "failed")})
        for row, entry in entries.items()
    }


def caption_lines(rows: Mapping[str, TunedRate | None]) -> Iterator[str]:
    """Statements about the choice of the rates, for the caption of a table; none without tuned rows.

    Args:
        rows: row of the table -> its rate; None: not tuned.
    """
    rates = {row: rate for row, rate in rows.items() if rate}
    if not rates:
        return
    scores = _listed(dict.fromkeys(rate.score for rate in rates.values()))
    seeds = _listed(dict.fromkeys(rate.seed for rate in rates.values()))
    yield (
        "Tuned rows: each row trains with its own learning rate adapt.lr. It is the candidate with the best label-free "
        f"score ({scores} of gckd tune) after the last step. Tuning runs have the seed {seeds}, which the table does "
        "not use, and read no target label."
    )
    for candidates in dict.fromkeys(rate.candidates for rate in rates.values()):
        chosen = [f"{row} {rate.chosen:g}" for row, rate in rates.items() if rate.candidates == candidates]
        yield f"Tuned adapt.lr, from the candidates {_listed(f'{rate:g}' for rate in candidates)}: {', '.join(chosen)}."
    untuned = [row for row in rows if row not in rates]
    if untuned:
        yield f"Rows without tuning: {', '.join(untuned)}."
    ends = [row for row, rate in rates.items() if rate.is_at_an_end]
    if ends:
        yield f"The smallest or largest candidate was chosen in {', '.join(ends)}; the best rate may be outside."
    yield from _failures(rates)


def _failures(rates: Mapping[str, TunedRate]) -> Iterator[str]:
    failed = [f"{row} at {rate:g}" for row, tuned in rates.items() for rate in tuned.failed]
    if failed:
        yield f"Failed tuning runs: {', '.join(failed)}."
    unchosen = [row for row, rate in rates.items() if len(rate.failed) == len(rate.candidates)]
    if unchosen:
        yield f"Every tuning run failed in {', '.join(unchosen)}, which keeps its configured rate."


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))
