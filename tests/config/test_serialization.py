"""Configs through YAML and JSON, and their digests."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import yaml

from gckd.config import PRESETS, Config, ConfigError, apply, decode, digest, encode, from_yaml, preset, to_yaml
from gckd.config.edit import check_problems
from gckd.config.fields import limits_of, option
from gckd.config.graph import Memory, NoPropagation
from gckd.config.stages import Adapt, Weights
from gckd.config.tree import hints, variants


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_sound_and_round_trip(name: str) -> None:
    config = preset(name)
    assert not check_problems(config)
    assert from_yaml(Config, to_yaml(config)) == config
    assert from_yaml(Config, json.dumps(encode(config))) == config
    assert decode(Config, encode(config)) == config


@pytest.mark.parametrize("seed", range(60))
def test_random_configs_round_trip_with_their_digest(seed: int) -> None:
    config = random_node(Config, random.Random(seed))
    for text in (to_yaml(config), json.dumps(encode(config)), json.dumps(encode(config), indent=3, sort_keys=True)):
        again = from_yaml(Config, text)
        assert again == config
        assert digest(again) == digest(config)


def random_node(node: type, rng: random.Random) -> Any:
    """A config of class `node` with every field drawn within its limits; cross-field limits are ignored."""
    values = {}
    for field in dataclasses.fields(node):
        hint, limits = hints(node)[field.name], limits_of(field)
        if variants(hint):
            values[field.name] = random_node(rng.choice(variants(hint)), rng)
        elif limits.choices:
            values[field.name] = rng.choice(limits.choices)
        elif hint is bool:
            values[field.name] = rng.random() < 0.5
        elif hint is str:
            values[field.name] = rng.choice(["", "a b", "x: y", "1e5", "null", "ü#", "true", "'q'"])
        else:
            low = limits.ge if limits.ge is not None else limits.gt or 0.0
            high = limits.le if limits.le is not None else limits.lt or 1e6
            drawn = rng.choice([rng.uniform(low, high), low + (high - low) * 1e-7, float(int(low) + 1)])
            values[field.name] = drawn if hint is float else int(drawn)
    return node(**values)


@dataclass(frozen=True)
class Leaf:
    kind: ClassVar[str] = "leaf"
    rate: float = option(0.5, "a rate")
    count: int = option(3, "a count")


def test_digest_is_that_of_the_sorted_compact_json() -> None:
    text = '[{"count":3,"kind":"leaf","rate":0.5},"more"]'
    assert digest(Leaf(), "more") == hashlib.sha256(text.encode()).hexdigest()[:16] == "d74fc65105fdac2d"


def test_digest_is_the_same_in_another_process() -> None:
    code = "from gckd.config import digest, preset; print(digest(preset('base')), digest(preset('tiny')))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.split() == [digest(preset("base")), digest(preset("tiny"))]


def test_digest_sees_every_field_and_every_kind() -> None:
    digests = {digest(preset("tiny"))}
    edits: list[dict[str, Any]] = [
        {"seed": 1},
        {"adapt.lr": 1e-5},
        {"graph.propagate": "none"},
        {"augment.flip": False},
    ]
    edits += [{"graph.propagate.k": 9}, {"distill.matching": "none"}, {"data.source": "x"}]
    digests |= {digest(apply(preset("tiny"), e)) for e in edits}
    assert len(digests) == 1 + len(edits)


def test_absent_fields_take_their_defaults_and_a_kind_alone_is_enough() -> None:
    config = from_yaml(Config, "graph: {propagate: none}\nadapt: {lr: 1e-4, steps: 7}")
    assert config.graph.propagate == NoPropagation()
    assert (config.adapt.lr, config.adapt.steps, config.seed) == (1e-4, 7, 0)


def test_whole_numbers_in_float_fields_are_floats() -> None:
    config = from_yaml(Weights, "graph: 1")
    assert type(config.graph) is float
    assert digest(config) == digest(Weights(graph=1.0))


@pytest.mark.parametrize("text", ["1e-05", "1E-5", "0.00001", "1.0e-05", "+1e-5"])
def test_small_numbers_are_numbers_in_every_spelling(text: str) -> None:
    assert from_yaml(Config, f'{{"adapt": {{"lr": {text}}}}}').adapt.lr == 1e-5


def names_of(node: type) -> str:
    return ", ".join(f.name for f in dataclasses.fields(node))


def test_every_misspelt_field_is_reported_with_the_valid_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        from_yaml(Config, "adapt: {step: 1}\ngraph: {memory: {size: 2}, propagate: {kind: gnm}}\nmore: 3")
    problems = caught.value.problems
    assert len(problems) == 4
    names = names_of(Adapt)
    assert problems[0] == f"config.adapt.step: unknown field 'step'; choose from {names} (did you mean 'steps'?)"
    assert problems[1] == f"config.graph.memory.size: unknown field 'size'; choose from {names_of(Memory)}"
    kinds = "gnn, diffusion, clusters, none"
    assert problems[2] == f"config.graph.propagate: unknown kind 'gnm'; choose from {kinds} (did you mean 'gnn'?)"
    assert problems[3].startswith("config.more: ")


@pytest.mark.parametrize("text", ["", "7", "[1, 2]", "word", "adapt: 3", "adapt: none"])
def test_a_text_that_is_not_a_mapping_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="; expected fields and their values"):
        from_yaml(Config, text)


def test_a_text_that_is_not_yaml_is_refused() -> None:
    with pytest.raises(ConfigError, match="not YAML or JSON"):
        from_yaml(Config, "a: [1")


def test_yaml_is_plain() -> None:
    assert yaml.safe_load(to_yaml(preset("tiny")))["graph"]["propagate"]["kind"] == "diffusion"
