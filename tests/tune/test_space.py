"""Search spaces: YAML, sampled values, config values and conditions."""

from __future__ import annotations

import itertools
import math
import warnings
from typing import TYPE_CHECKING, Any

import optuna
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gckd.config import Config, ConfigError, apply, encode, preset
from gckd.config.distill import Ema, MutualNeighbours
from gckd.config.edit import configure
from gckd.config.graph import Diffusion, Gnn, Memory, NoPropagation
from gckd.errors import InputError
from gckd.tune.space.space import Space, load_space, read_space

if TYPE_CHECKING:
    from pathlib import Path

optuna.logging.set_verbosity(optuna.logging.WARNING)
TINY = preset("tiny")
B = TINY.adapt.batch
SPACE_EXAMPLE = ", such as {graph.propagate.k: {int: [2, 50]}}"
GNN_FIELDS = (
    "choose from k, layers, temperature, relative, reciprocal, threshold, self_edge, search, conv, residual, "
    "cross_edges, images, texts, joint (did you mean 'k'?)"
)
PLENTY = 2**20  # entries: caps nothing
CONDITIONAL = """
graph.propagate.k: {int: [2, 50], log: true, when: {graph.propagate: [diffusion, gnn]}}
graph.propagate.conv: {choice: [smooth, sage], when: {graph.propagate: [gnn]}}
graph.propagate: {choice: [diffusion, gnn, none]}
"""


def checked(text: str, config: Config = TINY, limit: int = PLENTY) -> Space:
    return read_space(text).check(config, limit)[0]


def problems_of(text: str, config: Config = TINY, limit: int = PLENTY) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_space(text).check(config, limit)
    return caught.value.problems


def samples(space: Space, count: int = 200) -> list[dict[str, Any]]:
    """Params of random draws."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [space.suggest(study.ask()) for _ in range(count)]


# The default space


def test_the_default_space_has_the_four_ranges() -> None:
    space, notes = load_space().check(TINY, PLENTY)
    draws = [space.edits(params) for params in samples(space, 600)]
    ends = {path: (min(d[path] for d in draws), max(d[path] for d in draws)) for path in draws[0]}
    assert notes == []
    assert ends["graph.propagate.k"] == (2, 50)
    assert ends["distill.matching.delta"] == pytest.approx((0.3, 0.95), abs=0.01)
    assert ends["graph.memory.capacity"] == (256, 65_536)
    assert ends["distill.teacher.m"] == pytest.approx((0.9, 0.9999), abs=0.001)
    assert {d["graph.memory.capacity"] for d in draws} == {2**e for e in range(8, 17)}


def test_m_and_k_are_log_uniform() -> None:
    space = load_space().check(TINY, PLENTY)[0]
    draws = [space.edits(params) for params in samples(space, 1000)]
    # A third of 1-m in each decade of [1e-4, 1e-1]; half of K below the geometric mean of its ends, 10.
    decades = [sum(10.0**-n < 1 - d["distill.teacher.m"] <= 10.0 ** (1 - n) for d in draws) / 1000 for n in (4, 3, 2)]
    assert decades == pytest.approx([1 / 3] * 3, abs=0.05)
    assert sum(d["graph.propagate.k"] < math.sqrt(2 * 50) for d in draws) / 1000 == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("name", ["tiny", "base"])
def test_every_draw_of_the_default_space_is_a_valid_config(name: str) -> None:
    config = preset(name)
    space = load_space().check(config, 10_000)[0]
    for params in samples(space, 50):
        edited = configure(config, space.edits(params))
        assert edited.graph.memory.capacity == 2 ** params["graph.memory.capacity"] <= 16_384  # above 10,000
        assert edited.distill.teacher == Ema(m=1 - params["distill.teacher.m"], start=config.distill.teacher.start)


def test_paths_of_absent_components_are_not_searched() -> None:
    config = apply(TINY, {"graph.propagate": "none", "distill.matching": "none"})
    space, notes = load_space().check(config, PLENTY)
    assert notes == [
        "graph.propagate.k: not searched, as graph.propagate is none",
        "distill.matching.delta: not searched, as distill.matching is none",
    ]
    assert set(samples(space, 1)[0]) == {"graph.memory.capacity", "distill.teacher.m"}


# Sampled values and config values


def sampled(space: Space, value: Any) -> Any:
    """Sampled value of a config value, in a space of one path."""
    (parameter,) = space.parameters
    return parameter.range.to_sampled(value)


@pytest.mark.parametrize(
    ("spec", "value", "raw"),
    [
        ("graph.propagate.k: {int: [2, 50]}", 7, 7),
        ("graph.propagate.k: {int: [2, 50], log: true}", 50, 50),
        ("distill.matching.delta: {float: [0.3, 0.95]}", 0.5, 0.5),
        ("distill.matching.delta: {float: [0, 1]}", 1, 1.0),
        ("distill.teacher.m: {one_minus: [1.0e-4, 1.0e-1], log: true}", 0.75 + 0.1875, 0.0625),
        ("graph.memory.capacity: {powers_of_two: [256, 65536]}", 4096, 12),
        ("graph.propagate: {choice: [diffusion, none]}", "none", "none"),
        (
            "graph.propagate: {choice: [diffusion, {kind: gnn, k: 3}]}",
            {"kind": "gnn", "k": 3},
            '{"k": 3, "kind": "gnn"}',
        ),
        ("centre: {choice: [true, false]}", False, False),
        ("adapt.batch: {choice: [32, 64]}", 32, 32),
    ],
)
def test_edits_and_params_are_inverse(spec: str, value: Any, raw: Any) -> None:
    space = checked(spec)
    (path,) = space.encode()
    assert sampled(space, value) == raw
    assert space.edits({path: raw}) == {path: value}
    assert type(sampled(space, value)) is type(raw)


@given(m=st.floats(0.9, 0.9999))
def test_m_is_recovered_from_its_sampled_value(m: float) -> None:
    space = read_space("distill.teacher.m: {one_minus: [1.0e-4, 1.0e-1], log: true}")
    raw = sampled(space, m)
    assert 1e-4 <= raw <= 1e-1  # required by Optuna, despite rounding of 1 - m
    assert space.edits({"distill.teacher.m": raw})["distill.teacher.m"] == pytest.approx(m, rel=1e-9)


@given(
    low=st.integers(1, 500),
    width=st.integers(1, 500),
    log=st.booleans(),
    value=st.integers(-5, 1100),
    draw=st.randoms(),
)
@settings(max_examples=50, deadline=None)
def test_whole_numbers_stay_in_their_range(low: int, width: int, log: bool, value: int, draw: Any) -> None:
    space = read_space(f"graph.propagate.k: {{int: [{low}, {low + width}], log: {str(log).lower()}}}")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=draw.randrange(2**31)))
    drawn = space.edits(space.suggest(study.ask()))["graph.propagate.k"]
    assert isinstance(drawn, int) and low <= drawn <= low + width
    if low <= value <= low + width:
        assert sampled(space, value) == value
    else:
        with pytest.raises(ValueError, match=str(value)):
            sampled(space, value)


def test_a_trial_has_the_same_params_when_asked_again() -> None:
    space = checked(CONDITIONAL)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    for _ in range(20):
        trial = study.ask()
        once = space.suggest(trial)
        assert once == space.suggest(optuna.trial.Trial(study, trial._trial_id)) == trial.params


# Conditions


def test_conditions_hold_in_every_draw() -> None:
    expected = {
        "none": {"graph.propagate"},
        "diffusion": {"graph.propagate", "graph.propagate.k"},
        "gnn": {"graph.propagate", "graph.propagate.k", "graph.propagate.conv"},
    }
    draws = samples(checked(CONDITIONAL))
    assert {d["graph.propagate"] for d in draws} == set(expected)
    assert all(set(d) == expected[d["graph.propagate"]] for d in draws)


def test_conditions_chain_and_come_in_any_order() -> None:
    space = checked(
        "distill.matching.delta: {float: [0.3, 0.9], when: {graph.memory.warm_start: [true]}}\n"
        "graph.memory.warm_start: {choice: [true, false], when: {graph.memory.capacity: [512]}}\n"
        "graph.memory.capacity: {powers_of_two: [256, 1024]}"
    )
    assert list(space.encode()) == ["graph.memory.capacity", "graph.memory.warm_start", "distill.matching.delta"]
    for d in samples(space):
        assert ("graph.memory.warm_start" in d) == (d["graph.memory.capacity"] == 9)
        assert ("distill.matching.delta" in d) == (d.get("graph.memory.warm_start") is True)


def test_a_condition_on_an_unsearched_path_is_decided_in_advance() -> None:
    when = f"{{distill.teacher: [ema], adapt.batch: [{B}]}}"
    text = f"adapt.lr: {{float: [1.0e-4, 1.0e-2], log: true, when: {when}}}"
    assert checked(text).encode() == {"adapt.lr": {"float": [1e-4, 1e-2], "log": True}}
    both = text + "\nseed: {int: [0, 9]}"
    space, notes = read_space(both).check(apply(TINY, {"adapt.batch": 32}), PLENTY)
    assert list(space.encode()) == ["seed"]
    assert notes == ["adapt.lr: not searched, as adapt.batch is 32"]


def test_a_path_that_depends_on_an_unsearched_path_is_not_searched() -> None:
    text = (
        "adapt.lr: {float: [0.1, 0.2], when: {graph.propagate.conv: [sage]}}\n"
        "graph.propagate.conv: {choice: [smooth, sage], when: {graph.propagate: [gnn]}}\n"
        "seed: {int: [0, 9]}"
    )
    space, notes = read_space(text).check(TINY, PLENTY)
    assert list(space.encode()) == ["seed"]
    assert notes == [
        "graph.propagate.conv: not searched, as graph.propagate is diffusion",
        "adapt.lr: not searched, as graph.propagate.conv is not",
    ]


def test_a_field_that_a_chosen_component_lacks_needs_a_condition() -> None:
    bare = "graph.propagate.k: {int: [2, 50]}\n"
    advice = "; limit it with `when`"
    assert problems_of(bare, apply(TINY, {"graph.propagate": "none"})) == [
        f"graph.propagate.k: unknown field 'k'; 'none' has no fields{advice}"
    ]
    assert problems_of(bare + "graph.propagate: {choice: [gnn, none]}") == [
        f"graph.propagate.k: unknown field 'k'; 'none' has no fields (where graph.propagate is none){advice}"
    ]


# A component by its kind


def test_the_kind_of_the_base_config_means_its_component() -> None:
    config = apply(TINY, {"graph.propagate": Diffusion(k=5, layers=3, residual=0.1)})
    space = checked(CONDITIONAL, config)
    assert configure(config, space.edits({"graph.propagate": "diffusion"})) == config
    edited = configure(config, space.edits({"graph.propagate": "diffusion", "graph.propagate.k": 9}))
    assert edited.graph.propagate == Diffusion(k=9, layers=3, residual=0.1)
    other = configure(config, space.edits({"graph.propagate": "gnn", "graph.propagate.k": 9}))
    assert other.graph.propagate == Gnn(k=9)


def test_configure_agrees_with_one_edit_at_a_time() -> None:
    space = checked(CONDITIONAL + "graph.memory.capacity: {powers_of_two: [256, 4096]}")
    for params in samples(space, 60):
        step = TINY
        for path, value in space.edits(params).items():  # outer paths come first
            now: Any = step
            for key in path.split("."):
                now = getattr(now, key)
            if encode(now) != value:
                step = apply(step, {path: value})
        assert configure(TINY, space.edits(params)) == step


# Edits


@pytest.mark.parametrize(
    ("edits", "path", "expected"),
    [
        ({"graph.propagate.k": 5}, "graph", TINY.graph),
        ({"graph.propagate.k": 4, "graph.propagate": "gnn"}, "graph.propagate", Gnn(k=4)),
        (
            {"graph.propagate": {"kind": "gnn", "k": 8, "layers": 1}, "graph.propagate.k": 4},
            "graph.propagate",
            Gnn(k=4, layers=1),
        ),
        ({"graph.propagate": "none", "graph.memory.capacity": 64}, "graph.propagate", NoPropagation()),
        ({"graph.propagate": None}, "graph.propagate", NoPropagation()),
        ({"graph.memory": {"capacity": 128}, "graph.memory.warm_start": False}, "graph.memory", Memory(128, False)),
        (
            {"backbone": "clip", "backbone.vision": {"width": 32}, "backbone.vision.depth": 1},
            "backbone.vision.width",
            32,
        ),
        ({"distill.targets": "mutual", "distill.teacher": "none"}, "distill.targets", MutualNeighbours()),
        ({"adapt.lr": 1}, "adapt.lr", 1.0),
    ],
)
def test_configure(edits: dict[str, Any], path: str, expected: Any) -> None:
    value: Any = configure(TINY, edits)
    for key in path.split("."):
        value = getattr(value, key)
    assert value == expected and type(value) is type(expected)


@pytest.mark.parametrize(
    ("edits", "problem"),
    [
        ({"graph.propagatee": "none"}, "graph.propagatee: unknown field 'propagatee'"),
        ({"graph.propagate": "none", "graph.propagate.k": 4}, "graph.propagate.k: unknown field 'k'"),
        ({"graph.propagate.k": 5000}, "graph.propagate.k: 5000 is outside its limit: >= 1 and <= 1,024"),
        ({"seed.x": 1}, "seed.x: seed is a single value and has no field 'x'"),
        ({"graph.propagate.kind": "gnn"}, "graph.propagate.kind: unknown field 'kind'"),
        ({"centre": 1}, "centre: 1 is not true or false"),
        ({"graph.memory.capacity": 32}, f"graph.memory.capacity: C = 32 is below its limit: adapt.batch = {B}"),
    ],
)
def test_configure_refuses_invalid_edits(edits: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configure(TINY, edits)
    assert caught.value.problems[0].startswith(problem)


# The starting point


def test_the_base_config_is_a_starting_point() -> None:
    space = load_space().check(TINY, PLENTY)[0]
    params = space.start(TINY)
    assert params == {
        "graph.propagate.k": 5,
        "distill.matching.delta": 0.8,
        "graph.memory.capacity": 12,
        "distill.teacher.m": pytest.approx(0.03),
    }
    assert configure(TINY, space.edits(params)) == TINY


def test_the_starting_point_has_only_applicable_values_inside_the_space() -> None:
    config = apply(TINY, {"graph.propagate": Gnn(k=60, conv="sage")})
    assert checked(CONDITIONAL, config).start(config) == {"graph.propagate": "gnn", "graph.propagate.conv": "sage"}
    assert checked(CONDITIONAL).start(TINY) == {"graph.propagate": "diffusion", "graph.propagate.k": 5}
    assert checked("graph.propagate.k: {int: [11, 50]}").start(TINY) is None


def test_optuna_accepts_the_starting_point_without_a_warning() -> None:
    space = checked(CONDITIONAL + "distill.teacher.m: {one_minus: [1.0e-4, 1.0e-2]}")
    start = space.start(apply(TINY, {"distill.teacher.m": 0.99}))
    assert start is not None
    study = optuna.create_study()
    study.enqueue_trial(start)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Optuna accepts values outside, with a warning
        assert space.suggest(study.ask()) == start


# The capacity of the banks


@pytest.mark.parametrize("limit", [256, 257, 511, 512, 3000, 65_535, 65_536, 10**6])
def test_capacity_is_capped_by_the_data(limit: int) -> None:
    space, notes = load_space().check(TINY, limit)
    powers = [2**e for e in range(8, 17) if 2 ** (e - 1) < limit]  # the last one holds all entries
    drawn = {space.edits(d)["graph.memory.capacity"] for d in samples(space, 400)}
    assert drawn == set(powers)
    cap = f"graph.memory.capacity: up to {powers[-1]}, not 65536: a bank then holds all {limit} entries"
    outside = f"graph.memory.capacity: 4096 is not in the space; the first trial has {powers[-1]}"
    assert notes == [cap] * (powers[-1] < 65_536) + [outside] * (powers[-1] < 4096)


@pytest.mark.parametrize(("entries", "exponent"), [(4096, 12), (3798, 12), (2048, 11), (1500, 11), (255, 8)])
def test_a_search_starts_with_banks_that_hold_all_entries_if_its_config_has_them(entries: int, exponent: int) -> None:
    """C = 4,096 of tiny holds all of them, and the first trial has the smallest C that does."""
    space, _ = load_space().check(TINY, entries)
    assert (space.start(TINY) or {})["graph.memory.capacity"] == exponent
    assert 2 ** (exponent - 1) < entries <= 2**exponent


@pytest.mark.parametrize(("batch", "low"), [(2, 16), (33, 64), (65, 128)])
def test_capacity_is_no_less_than_a_batch(batch: int, low: int) -> None:
    config = apply(TINY, {"adapt.batch": batch})
    space, notes = read_space("graph.memory.capacity: {powers_of_two: [16, 1024]}").check(config, PLENTY)
    assert space.encode() == {"graph.memory.capacity": {"powers_of_two": [low, 1024]}}
    raised = f"graph.memory.capacity: from {low}, not 16: adapt.batch is {batch}"
    assert notes[:-1] == ([] if low == 16 else [raised])  # the last one: 4,096 is above 1,024


def test_an_empty_range_of_capacities_is_refused() -> None:
    assert problems_of("graph.memory.capacity: {powers_of_two: [256, 1024]}", limit=127) == [
        f"graph.memory.capacity: powers of two from 256 to 1024: no value is between adapt.batch = {B} and 128, "
        "enough for all 127 entries; give other values in a file for --space"
    ]


def test_capacity_as_whole_numbers_is_capped() -> None:
    space = checked("graph.memory.capacity: {int: [10, 9999]}", limit=700)
    assert space.encode() == {"graph.memory.capacity": {"int": [B, 1024]}}


# Refused spaces


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("3", "a: 3 is not a mapping such as {int: [2, 50]}"),
        ("{}", "a: no range type; choose from choice, float, one_minus, int, powers_of_two"),
        ("{int: [1, 2], float: [1, 2]}", "a: int and float are given together; keep one of them"),
        (
            "{int: [1, 2], step: 1}",
            "a: unknown key 'step' with int; choose from log, when",
        ),
        (
            "{gaussian: [0, 1]}",
            "a: unknown range type 'gaussian'; choose from choice, float, one_minus, int, powers_of_two",
        ),
        ("{normal: [0, 1], width: 2}", "a: unknown range type 'normal' or 'width'; choose from choice, float,"),
        ("{int: [2, 1]}", "a.int: [2, 1] is outside its limit: low <= high"),
        ("{int: [1.5, 2]}", "a.int: [1.5, 2] is outside its limit: [low, high], two whole numbers"),
        ("{int: [true, 2]}", "a.int: [True, 2] is outside its limit: [low, high], two whole numbers"),
        ("{int: [0, 2], log: true}", "a.int: [0, 2] is outside its limit: low > 0 with log"),
        ("{int: 5}", "a.int: 5 is outside its limit: [low, high], two whole numbers"),
        ("{float: [0, .inf]}", "a.float: [0, inf] is outside its limit: [low, high], two numbers"),
        ("{float: [.nan, 1]}", "a.float: [nan, 1] is outside its limit: [low, high], two numbers"),
        ("{float: [-1, 1], log: true}", "a.float: [-1, 1] is outside its limit: low > 0 with log"),
        ("{one_minus: [0, 0.1], log: true}", "a.one_minus: [0, 0.1] is outside its limit: low > 0 with log"),
        ("{powers_of_two: [3, 8]}", "a.powers_of_two: [3, 8] is outside its limit: [low, high], two powers of two"),
        ("{powers_of_two: [0, 8]}", "a.powers_of_two: [0, 8] is outside its limit: [low, high], two powers of two"),
        ("{powers_of_two: [2, 8], log: true}", "a: unknown key 'log' with powers_of_two; choose from when"),
        ("{float: [1, 2], log: 1}", "a.log: 1 is not true or false"),
        ("{choice: [x]}", "a.choice: ['x'] is outside its limit: a list of two values or more"),
        ("{choice: x}", "a.choice: 'x' is outside its limit: a list of two values or more"),
        ("{choice: [x, x]}", "a.choice: 'x' is outside its limit: different from the others"),
        ("{choice: [1, true]}", "a.choice: True is outside its limit: different from the others"),
        (
            "{choice: [{k: 1, j: 2}, {j: 2, k: 1}]}",
            "a.choice: {'j': 2, 'k': 1} is outside its limit: different from the",
        ),
        ("{choice: [[1], 2]}", "a.choice: [1] is outside its limit: a text, a number, true, false, null or a mapping"),
        ("{choice: [.nan, 2]}", "a.choice: nan is outside its limit: a text, a number, true, false, null or a mapping"),
        ("{int: [1, 2], when: [b]}", "a.when: ['b'] is not a mapping such as {graph.propagate: [gnn, diffusion]}"),
        ("{int: [1, 2], when: {b: gnn}}", "a.when.b: 'gnn' is outside its limit: a list of values (of a component: of"),
        (
            "{int: [1, 2], when: {b: []}}",
            "a.when.b: [] is outside its limit: a list of values (of a component: of kinds)",
        ),
        ("{int: [1, 2], when: {a: [1]}}", "a.when: circular condition, through a"),
    ],
)
def test_invalid_specifications_are_refused(spec: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_space(f"a: {spec}")
    (line,) = caught.value.problems
    assert line.startswith(problem)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "None is not a mapping of config paths"),
        ("[a]", "['a'] is not a mapping of config paths"),
        ("{}", "{} is not a mapping of config paths"),
        ("a: [", "cannot be read as YAML: expected the node content, but found '<stream end>' (line 1)"),
        (
            "a: {int: [1, 2]}\na: {int: [1, 3]}",
            "cannot be read as YAML: line 2: the key 'a' is given twice; remove one",
        ),
        (
            "a: {int: [1, 2], when: {b: [1]}}\nb: {int: [1, 2], when: {a: [1]}}",
            "a.when: circular condition, through b",
        ),
    ],
)
def test_invalid_yaml_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_space(text)
    assert caught.value.problems[0].removesuffix(SPACE_EXAMPLE) == problem


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (
            "graph.propagate.k: {int: [0, 5000]}\nadapt.lr: {float: [0.1, 2]}",
            [
                "graph.propagate.k: 0 is outside its limit: >= 1 and <= 1,024",
                "graph.propagate.k: 5000 is outside its limit: >= 1 and <= 1,024",
                "adapt.lr: 2.0 is outside its limit: > 0 and <= 1",
            ],
        ),
        (
            "graph.propagate.k: {float: [2, 3]}",
            ["graph.propagate.k: 2.0 is not a whole number", "graph.propagate.k: 3.0 is not a whole number"],
        ),
        ("centre: {int: [0, 1]}", ["centre: 0 is not true or false", "centre: 1 is not true or false"]),
        ("distill.teacher.m: {one_minus: [0, 0.5]}", ["distill.teacher.m: 1.0 is outside its limit: >= 0 and < 1"]),
        (
            "graph.propagate: {choice: [gnn, gcn]}",
            ["graph.propagate: unknown kind 'gcn'; choose from gnn, diffusion, clusters, none (did you mean 'gnn'?)"],
        ),
        (
            "graph.propagate: {choice: [{kind: gnn, kk: 1}, none]}",
            ["graph.propagate.kk: unknown field 'kk'; " + GNN_FIELDS],
        ),
        (
            "seed: {int: [1, 2], when: {graph.propagate: [gnm]}}",
            [
                "seed.when: graph.propagate: unknown kind 'gnm'; "
                "choose from gnn, diffusion, clusters, none (did you mean 'gnn'?)"
            ],
        ),
        (
            "seed: {int: [1, 2], when: {graph.memory: [x]}}",
            ["seed.when: graph.memory: 'x' is not a mapping of fields; expected fields and their values"],
        ),
        (
            "seed: {int: [1, 2], when: {adapt.batch: [0]}}",
            ["seed.when: adapt.batch: 0 is outside its limit: >= 2 and <= 65,536"],
        ),
        (
            "seed: {int: [1, 2], when: {graph.propagate: [gnn]}}\ngraph.propagate: {choice: [diffusion, none]}",
            ["seed.when.graph.propagate: 'gnn' is outside the searched range: one of diffusion, none"],
        ),
        (
            "seed: {int: [1, 2], when: {adapt.lr: [0.1]}}\nadapt.lr: {float: [0.1, 0.2]}",
            ["seed.when.adapt.lr: it is searched over real numbers; a condition needs a path with separate values"],
        ),
        (
            "seed: {int: [1, 2], when: {graph.propagate.layers: [2]}}\ngraph.propagate: {choice: [diffusion, gnn]}",
            [
                "seed.when.graph.propagate.layers: it belongs to graph.propagate, which is searched; name "
                "graph.propagate instead"
            ],
        ),
        (
            "adapt.evaluations: {int: [1, 2], when: {graph.propagate: [none]}}",
            [
                "adapt.evaluations: not searched, as graph.propagate is diffusion",
                "the space is empty; add a path that applies to this config",
            ],
        ),
    ],
)
def test_values_that_the_config_refuses_are_refused(text: str, problems: list[str]) -> None:
    assert problems_of(text) == problems


def test_an_end_that_fits_some_combinations_is_kept_with_a_note() -> None:
    text = "adapt.batch: {powers_of_two: [16, 256]}\ngraph.memory.capacity: {powers_of_two: [64, 1024]}"
    space, notes = read_space(text).check(TINY, PLENTY)
    assert notes == [
        "combinations like this one are refused, and drawn again: graph.memory.capacity: C = 64 is below its limit: "
        "adapt.batch = 256",
        f"adapt.batch: {B} is not in the space; the first trial draws a value",
        "graph.memory.capacity: 4096 is not in the space; the first trial has 1024",
    ]
    for batch, capacity in itertools.product(range(4, 9), range(6, 11)):
        params = {"adapt.batch": batch, "graph.memory.capacity": capacity}
        if capacity >= batch:
            assert configure(TINY, space.edits(params)).adapt.batch == 2**batch
        else:
            with pytest.raises(ConfigError):
                configure(TINY, space.edits(params))


def test_errors_name_the_space_file(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(CONDITIONAL)
    assert load_space(file) == read_space(CONDITIONAL)
    file.write_text("a: 3\nb: 4")
    with pytest.raises(ConfigError) as caught:
        load_space(file)
    assert [p.split(": ")[:2] for p in caught.value.problems] == [[str(file), "a"], [str(file), "b"]]
    with pytest.raises(InputError, match=r"--space: .*nowhere.yaml: cannot be read"):
        load_space(tmp_path / "nowhere.yaml")


def test_a_space_equals_the_one_read_from_its_yaml() -> None:
    capped, _ = load_space().check(TINY, 300)  # one capacity is left: 256
    for space in (read_space(CONDITIONAL), load_space(), capped):
        assert read_space(yaml.safe_dump(space.encode(), sort_keys=False)) == space


def test_descriptions_name_path_range_and_condition() -> None:
    assert load_space().describe() == [
        "graph.propagate.k: whole numbers from 2 to 50, log-uniform, where graph.propagate is gnn or diffusion",
        "distill.matching.delta: from 0.3 to 0.95, where distill.matching is cross",
        "graph.memory.capacity: powers of two from 256 to 65536",
        "distill.teacher.m: 1 - value from 0.0001 to 0.1, log-uniform, where distill.teacher is ema",
    ]
