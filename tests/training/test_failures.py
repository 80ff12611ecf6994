"""Each failure signature, provoked in a real run of seconds."""

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


def said(checkpoint: dict[str, Any]) -> str:
    return "\n".join(failure_warnings([{"row": "full", "seed": 3, **point} for point in checkpoint["curve"]]))


@pytest.mark.parametrize("sign", PROVOKED)
def test_a_run_says_what_is_wrong_with_it(config: Config, finished: Finished, sign: str) -> None:
    assert sign in said(finished(apply(config, PROVOKED[sign])))


def test_the_micro_run_does_not_say_so(config: Config, finished: Finished) -> None:
    lines = said(finished(config))
    assert not [sign for sign in PROVOKED if sign in lines]
