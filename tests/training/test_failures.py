"""Each failure warning, provoked in a run of a few seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gckd.config import Config, apply
from gckd.report.warnings import failure_warnings

Finished = Callable[[Config], dict[str, Any]]
PROVOKED: dict[str, dict[str, Any]] = {
    "pass delta": {"distill.matching.delta": 1.0},
    "leaves its input almost unchanged": {"graph.propagate.residual": 1.0},
    "cross the domains": {"centre": False, "graph.propagate.k": 1},
    "embeddings collapse": {"adapt.steps": 12, "adapt.lr": 1.0, "adapt.warmup": 0.0},
}  # of two identities, none ever found better than by chance, Rank-1 cannot fall


def messages(checkpoint: dict[str, Any]) -> str:
    return "\n".join(map(str, failure_warnings([{"row": "full", "seed": 3, **point} for point in checkpoint["curve"]])))


@pytest.mark.parametrize("sign", PROVOKED)
def test_a_warning_is_raised_for_each_failure(config: Config, finished: Finished, sign: str) -> None:
    assert sign in messages(finished(apply(config, PROVOKED[sign])))


def test_a_sound_run_raises_no_warning(config: Config, finished: Finished) -> None:
    lines = messages(finished(config))
    assert not [sign for sign in PROVOKED if sign in lines]
