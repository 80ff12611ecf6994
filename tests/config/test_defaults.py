"""Defaults of the config nodes: the values that the paper states, or that it inherits from ALBEF."""

from __future__ import annotations

from typing import Any

import pytest

from gckd.config import Config, check, value_at

PAPER = {
    "graph.memory.warm_start": True,
    "graph.propagate.k": 10,
    "graph.propagate.layers": 2,
    "distill.teacher.m": 0.999,
    "distill.teacher.start": "student",
    "distill.targets.sharpen": 1.0,
    "distill.targets.agree": False,
    "distill.targets.confidence": 0.0,
    "distill.targets.hard": False,
    "distill.matching.negatives": "hard",
}
ALBEF = {
    "graph.memory.capacity": 65_536,
    "distill.alpha": 0.4,
    "backbone.tau": 0.07,
    "backbone.embed_dim": 256,
    "backbone.vision.patch": 16,
    "backbone.vision.stem": "linear",
    "backbone.vision.width": 768,
    "backbone.vision.depth": 12,
    "backbone.vision.heads": 12,
    "backbone.text.depth": 6,
    "backbone.text.fusion_depth": 6,
    "backbone.text.dropout": 0.1,
    "pretrain.objective.queue": 65_536,
    "pretrain.objective.m": 0.995,
    "pretrain.objective.alpha": 0.4,
    "pretrain.per_identity": 1,
    "pretrain.ramp": 0.0,
    "pretrain.fusion_every": 1,
    "adapt.fusion_every": 1,
    "data.height": 384,
    "data.width": 384,
}
KINDS = {
    "graph.propagate": "gnn",
    "distill.teacher": "ema",
    "distill.targets": "soft",
    "distill.matching": "cross",
    "backbone": "albef",
    "pretrain.objective": "momentum",
    "tokenizer": "pretrained",
    "augment": "randaugment",
    "align": "none",
    "metric": "none",
    "selfsup": "none",
}


@pytest.mark.parametrize(("path", "value"), [*PAPER.items(), *ALBEF.items()])
def test_a_default_is_the_value_of_the_paper_or_of_albef(path: str, value: Any) -> None:
    assert value_at(Config(), path) == value


@pytest.mark.parametrize(("path", "kind"), KINDS.items())
def test_a_default_component_is_that_of_the_paper(path: str, kind: str) -> None:
    assert value_at(Config(), path).kind == kind


def test_every_term_of_equation_10_has_weight_1_and_no_other_term_exists() -> None:
    weights = vars(Config().weights)
    assert weights.pop("source_intra") == 0.0  # a term of our own
    assert set(weights.values()) == {1.0}
    assert not Config().centre


def test_the_default_config_is_sound() -> None:
    assert check(Config()) == Config()
