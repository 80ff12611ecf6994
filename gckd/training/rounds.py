"""Rounds of a stage: equal parts of its steps."""

from __future__ import annotations

from typing import NamedTuple


class Round(NamedTuple):
    """First step (from 0) and number of steps of a round."""

    first: int
    steps: int


def round_of(step: int, steps: int, rounds: int) -> Round:
    """Round that contains `step` (from 0).

    Round r has the steps floor(r steps / rounds) to floor((r + 1) steps / rounds) - 1.

    Args:
        steps: of the stage.
        rounds: of the stage, at most `steps`.
    """
    number = ((step + 1) * rounds - 1) // steps
    first = number * steps // rounds
    return Round(first, (number + 1) * steps // rounds - first)
