"""Studies in memory with the attributes that a search writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from gckd.config import apply, encode, preset

START = {
    "source_val_rank_1": 70.0,
    "source_val_map": 60.0,
    "bnm": 0.4,
    "im": 0.5,
    "cycle": 40.0,
    "snd": 4.0,
    "rank_me": 60.0,
}
SPACE = {
    "graph.propagate": {"choice": ["gnn", "diffusion", "none"]},
    "graph.propagate.k": {"int": [2, 50], "log": True, "when": {"graph.propagate": ["gnn", "diffusion"]}},
    "distill.matching.delta": {"float": [0.3, 0.95]},
    "graph.memory.capacity": {"powers_of_two": [256, 4096]},
    "distill.teacher.m": {"one_minus": [1e-4, 1e-1], "log": True},
}
RANGES: dict[str, BaseDistribution] = {
    "graph.propagate": CategoricalDistribution(["gnn", "diffusion", "none"]),
    "graph.propagate.k": IntDistribution(2, 50, log=True),
    "distill.matching.delta": FloatDistribution(0.3, 0.95),
    "graph.memory.capacity": IntDistribution(8, 12),
    "distill.teacher.m": FloatDistribution(1e-4, 1e-1, log=True),
}


def make_study(name: str = "s", directions: Sequence[str] = ("maximize",), **attrs: Any) -> Study:
    """Study of a search around the preset tiny, without trials."""
    empty = optuna.create_study(study_name=name, directions=list(directions))
    base = apply(preset("tiny"), {"data.source": "a/SOURCE", "data.target": "a/TARGET", "adapt.steps": 90})
    defaults = {
        "select": "default",
        "objectives": ["score"],
        "base": encode(base),
        "revision": "abc123",
        "source": "a/SOURCE",
        "target": "a/TARGET",
        "start": START,
        "space": SPACE,
    }
    for key, value in {**defaults, **attrs}.items():
        empty.set_user_attr(key, value)
    return empty


def scores(**changes: float) -> dict[str, float]:
    """Scores of the source model with `changes`."""
    return {**START, **changes}


def add(
    to: Study,
    state: str,
    values: Sequence[float],
    params: Mapping[str, Any] | None = None,
    epoch_scores: Sequence[Mapping[str, float | None]] = (),
    selected: int | None = None,
    **attrs: Any,
) -> None:
    """Adds a trial with one value per epoch. Epoch n ends after 10 n seconds.

    Args:
        epoch_scores: one mapping for each value.
        selected: epoch, from 1; by default that of the largest value.
        attrs: further user_attrs; `several`: values of a trial of several objectives, or of one that did not run.
    """
    params, several = params or {}, attrs.pop("several", None)
    epoch = selected or (max(range(len(values)), key=values.__getitem__) + 1 if values else None)
    user_attrs: dict[str, Any] = {
        f"epoch/{epoch}": {**(epoch_scores[epoch - 1] if epoch_scores else {}), "seconds": 10.0 * epoch, "value": value}
        for epoch, value in enumerate(values, start=1)
    }
    user_attrs |= {"edits": edits(params), "seeds": [0]}
    user_attrs |= {"epoch": epoch, "seconds": 10.0 * len(values)} if epoch else {}
    final = several or ([values[epoch - 1]] if epoch else None)
    to.add_trial(
        create_trial(
            state=TrialState[state],
            params=dict(params),
            distributions={path: RANGES[path] for path in params},
            values=final if state == "COMPLETE" else None,
            intermediate_values={} if several else dict(enumerate(values, start=1)),
            user_attrs={**user_attrs, **attrs},
        )
    )


def edits(params: Mapping[str, Any]) -> dict[str, Any]:
    """Config values of sampled values, computed independently of the code."""
    values = dict(params)
    if "distill.teacher.m" in values:
        values["distill.teacher.m"] = 1 - values["distill.teacher.m"]
    if "graph.memory.capacity" in values:
        values["graph.memory.capacity"] = 2 ** values["graph.memory.capacity"]
    return values
