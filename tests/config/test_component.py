"""Components: nodes defined outside the package are choices of their slot everywhere."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from gckd import plugins
from gckd.cli.config import describe
from gckd.config import Config, ConfigError, apply, decode, digest, encode, from_yaml, preset, to_yaml
from gckd.config.backbone import Clip
from gckd.config.component import (
    AlignmentConfig,
    AugmentationConfig,
    BackboneConfig,
    Component,
    MatchingConfig,
    MetricLossConfig,
    NeighbourSearchConfig,
    ObjectiveConfig,
    OptimizerConfig,
    PropagationConfig,
    SelfSupervisionConfig,
    TargetsConfig,
    TeacherConfig,
    TokenizerConfig,
)
from gckd.config.data import Augment
from gckd.config.distill import NoTargets, SoftTargets
from gckd.config.edit import value_problems
from gckd.config.fields import option
from gckd.config.tree import variants, walk
from gckd.plugins import Plugin

SLOTS = {
    "tokenizer": TokenizerConfig,
    "augment": AugmentationConfig,
    "backbone": BackboneConfig,
    "graph.propagate": PropagationConfig,
    "graph.propagate.search": NeighbourSearchConfig,
    "distill.teacher": TeacherConfig,
    "distill.targets": TargetsConfig,
    "distill.matching": MatchingConfig,
    "align": AlignmentConfig,
    "metric": MetricLossConfig,
    "selfsup": SelfSupervisionConfig,
    "pretrain.objective": ObjectiveConfig,
    "pretrain.optimizer": OptimizerConfig,
}


@pytest.fixture(autouse=True)
def _restore_choices() -> Iterator[None]:
    before = {slot: dict(slot._choices) for slot in SLOTS.values()}
    yield
    for slot, choices in before.items():
        slot._choices.clear()
        slot._choices.update(choices)


def huber() -> type[TargetsConfig]:
    """A node class as a plugin defines it."""

    @dataclass(frozen=True)
    class Huber(TargetsConfig):
        """Targets under a Huber loss."""

        kind: ClassVar[str] = "huber"
        needs_teacher: ClassVar[bool] = True
        width: float = option(1.0, "where the loss turns linear", gt=0, le=10)

        def problems(self, config: Any) -> Iterator[str]:
            if self.width > config.adapt.steps:
                yield f"distill.targets.width: {self.width} is above its limit: adapt.steps = {config.adapt.steps}"

    return Huber


def test_every_slot_of_the_config_is_checked_here() -> None:
    config = preset("tiny")
    assert set(Component.__subclasses__()) == set(SLOTS.values())
    slots = {cls for component in config.components() for cls in type(component).__mro__ if Component in cls.__bases__}
    assert slots == set(SLOTS.values())


@pytest.mark.parametrize("path", SLOTS)
def test_a_new_kind_is_a_choice_of_its_slot_and_of_no_other(path: str) -> None:
    kind_of_slot = dataclass(frozen=True)(type("New", (SLOTS[path],), {"kind": "new", "__module__": __name__}))
    assert apply(preset("tiny"), {"adapt.steps": 7, path: "new"}) == apply(
        preset("tiny"), {"adapt.steps": 7, path: kind_of_slot()}
    )
    for slot in SLOTS.values():
        assert (kind_of_slot in variants(slot)) == (slot is SLOTS[path])


def test_edits_and_yaml_accept_a_new_kind() -> None:
    node = huber()
    config = apply(preset("tiny"), {"distill.targets": {"kind": "huber", "width": 2}})
    assert config.distill.targets == node(width=2.0)  # type: ignore[call-arg]
    assert from_yaml(Config, to_yaml(config)) == config
    assert decode(Config, json.loads(json.dumps(encode(config)))) == config
    assert apply(config, {"distill.targets.width": 3.0}).distill.targets == node(width=3.0)  # type: ignore[call-arg]
    assert {path: value for path, value, *_ in walk(config)}["distill.targets.width"] == 2.0
    shown = describe(config)
    assert "where the loss turns linear (> 0 and <= 10)" in shown
    assert re.search(r"^distill.targets = huber .*\(one of soft, .*, none, huber\)$", shown, re.MULTILINE)


def test_limits_of_a_new_kind_hold() -> None:
    huber()
    with pytest.raises(ConfigError, match=r"distill.targets.width: 11.0 is outside its limit: > 0 and <= 10"):
        apply(preset("tiny"), {"distill.targets": {"kind": "huber", "width": 11.0}})
    with pytest.raises(ConfigError, match=r"width: 9.0 is above its limit: adapt.steps = 8"):
        apply(preset("tiny"), {"distill.targets": {"kind": "huber", "width": 9.0}, "adapt.steps": 8})
    with pytest.raises(ConfigError, match="'huber' needs a teacher"):
        apply(preset("tiny"), {"distill.targets": "huber", "distill.teacher": "none"})


def test_errors_list_a_new_kind() -> None:
    huber()
    (problem,) = value_problems(preset("tiny"), "distill.targets", "hubert")
    assert problem.endswith("none, huber (did you mean 'huber'?)")


def test_the_digest_covers_the_text_of_a_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    huber()
    config = apply(preset("tiny"), {"distill.targets": "huber"})
    plain = digest(config)
    encoded = encode(config)
    del encoded["checkpoint_minutes"]  # no result depends on it
    compact = json.dumps([encoded], sort_keys=True, separators=(",", ":"))
    assert plain == hashlib.sha256(compact.encode()).hexdigest()[:16]
    built_in = digest(preset("tiny"))
    monkeypatch.setitem(plugins._LOADED, __name__, Plugin("huber.py", __name__, "huber.py", "first text"))
    first = digest(config)
    monkeypatch.setitem(plugins._LOADED, __name__, Plugin("huber.py", __name__, "huber.py", "second text"))
    assert len({plain, first, digest(config)}) == 3
    assert digest(preset("tiny")) == built_in


def test_a_kind_that_exists_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"kind 'soft' is taken by gckd\.config\.distill\.SoftTargets; choose"):
        type("Mine", (TargetsConfig,), {"kind": "soft"})
    assert apply(preset("tiny"), {"distill.targets": {"kind": "soft", "hard": True}}).distill.targets.off is False


def test_a_class_that_is_defined_again_replaces_itself() -> None:
    first, second = huber(), huber()
    assert first is not second
    assert second in variants(TargetsConfig)
    assert first not in variants(TargetsConfig)


def test_a_subclass_of_a_choice_needs_a_kind_of_its_own() -> None:
    with pytest.raises(ConfigError, match="Mine: no kind; a subclass of a component needs a kind of its own"):
        type("Mine", (SoftTargets,), {})


def test_a_choice_has_to_be_a_dataclass() -> None:
    type("Mine", (TargetsConfig,), {"kind": "mine"})
    with pytest.raises(ConfigError, match=r"Mine: not a dataclass; write @dataclass\(frozen=True\) above it"):
        apply(preset("tiny"), {"distill.targets": "mine"})


def test_a_field_of_a_choice_needs_documentation() -> None:
    @dataclass(frozen=True)
    class Mine(TargetsConfig):
        kind: ClassVar[str] = "mine"
        width: float = 1.0

    with pytest.raises(ConfigError, match=r"Mine.width: no documentation; make its default with option\(\)"):
        apply(preset("tiny"), {"distill.targets": "mine"})


def test_built_in_components_answer_questions() -> None:
    tiny, base = preset("tiny"), preset("base")
    assert (tiny.graph.propagate.neighbours, base.graph.propagate.neighbours) == (5, 10)
    assert [graph.banks for graph in tiny.graph.propagate.graphs()] == [(2,), (3,)]
    assert [graph.banks for graph in base.graph.propagate.graphs()] == [(0, 2), (1, 3)]
    assert not base.graph.propagate.learns
    assert apply(base, {"graph.propagate.conv": "gcn"}).graph.propagate.learns
    assert NoTargets.off
    assert not NoTargets.pseudo_labels
    assert tiny.tokenizer.masks_unseen
    assert not base.tokenizer.masks_unseen
    assert base.tokenizer.pretrained == "bert-base-uncased"
    assert base.backbone.has_fusion
    assert not Clip(fusion_depth=0).has_fusion
    assert tiny.distill.matching.least_cosine == 0.8
    assert apply(tiny, {"distill.matching": "none"}).distill.matching.least_cosine is None
    assert apply(base, {"distill.teacher.start": "momentum"}).distill.teacher.starts_from_momentum


def test_augmentation_is_scaled_by_its_strengths() -> None:
    scaled = preset("tiny").augment.scaled(0.5)
    assert scaled == Augment(
        channel_gain=0.125,
        brightness=0.075,
        contrast=0.125,
        noise=0.025,
        blur=0.15,
        shift=0.04,
        flip=True,
        erase=0.15,
        word_dropout=0.05,
    )
