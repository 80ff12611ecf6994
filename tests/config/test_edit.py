"""Edits of a config: their effect, and the errors of wrong ones."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import pytest

from gckd.config import Config, ConfigError, apply, check, parse_edits, preset
from gckd.config.distill import Ema
from gckd.config.edit import configure, effective_edits
from gckd.config.fields import Limits
from gckd.config.graph import Gnn, NoPropagation
from gckd.config.stages import Adapt
from gckd.config.tree import range_problems, walk
from gckd.errors import InputError

B = preset("tiny").adapt.batch


def problems_of(edits: dict[str, Any], config: Config | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        apply(config or preset("tiny"), edits)
    return caught.value.problems


def test_an_edit_changes_its_field_and_nothing_else() -> None:
    before = preset("tiny")
    after = apply(before, {"graph.propagate.k": 15})
    assert before == preset("tiny")
    changed = {p: v for (p, v, *_), (_, w, *_) in zip(walk(after), walk(before), strict=True) if v != w}
    assert changed == {"graph.propagate.k": 15}


@pytest.mark.parametrize("value", [NoPropagation(), "none", None, {"kind": "none"}])
def test_a_component_is_replaced_by_instance_kind_or_mapping(value: Any) -> None:
    assert apply(preset("tiny"), {"graph.propagate": value}).graph.propagate == NoPropagation()


def test_a_folder_may_be_a_path() -> None:
    config = apply(preset("tiny"), {"data.source": Path("street") / "RSTPReid"})
    assert config == apply(preset("tiny"), {"data.source": "street/RSTPReid"})


def test_a_mapping_sets_fields_of_the_new_component() -> None:
    edited = apply(preset("tiny"), {"graph.propagate": {"kind": "gnn", "k": 3}})
    assert edited.graph.propagate == Gnn(k=3)


def test_unknown_paths_list_the_valid_fields() -> None:
    names = ", ".join(f.name for f in dataclasses.fields(Adapt))
    assert problems_of({"adapt.stepz": 1}) == [
        f"adapt.stepz: unknown field 'stepz'; choose from {names} (did you mean 'steps'?)"
    ]
    names = ", ".join(f.name for f in dataclasses.fields(Config))
    assert problems_of({"zzz": 1}) == [f"zzz: unknown field 'zzz'; choose from {names}"]
    assert problems_of({"seed.x": 1}) == ["seed.x: seed is a single value and has no field 'x'"]


def test_fields_of_a_component_that_is_off_are_unknown() -> None:
    config = apply(preset("tiny"), {"graph.propagate": "none"})
    problem = "graph.propagate.k: unknown field 'k'; 'none' has no fields"
    assert problems_of({"graph.propagate.k": 5}, config) == [problem]


def test_conflicting_edits_are_refused() -> None:
    edits = {"graph.propagate": {"kind": "gnn", "k": 3}, "graph.propagate.k": 4}
    assert problems_of(edits) == ["graph.propagate.k: conflicts with the edit of graph.propagate, which replaces it"]


@pytest.mark.parametrize(
    ("path", "value"), [("adapt.steps", 7), ("adapt.lr", 0.25), ("graph.propagate", "gnn"), ("evaluate", {})]
)
def test_edits_that_change_nothing_are_refused(path: str, value: Any) -> None:
    config = apply(preset("tiny"), {"adapt.steps": 7, "adapt.lr": 0.25, "graph.propagate": Gnn()})
    with pytest.raises(ConfigError) as refused:
        apply(config, {path: value})
    (problem,) = refused.value.problems
    assert problem.startswith(f"{path}: is already ")
    assert problem.endswith(", so this edit changes nothing; remove it")


def test_every_problem_is_reported_together() -> None:
    problems = problems_of({"adapt.stepz": 1, "adapt.batch": B, "nothing": 2})
    assert [p.split(":")[0] for p in problems] == ["adapt.stepz", "adapt.batch", "nothing"]


def test_range_errors_come_together_and_name_field_value_and_limit() -> None:
    edits = {"adapt.lr": -1.0, "distill.teacher.m": 1.0, "distill.matching.delta": 1.5, "evaluate.below": "no"}
    orders = next(", ".join(limits.choices) for path, *_, limits in walk(preset("tiny")) if path == "evaluate.below")
    assert sorted(problems_of(edits | {"adapt.steps": -1, "seed": "x", "augment.flip": 1})) == sorted(
        [
            "adapt.lr: -1.0 is outside its limit: > 0 and <= 1",
            "distill.teacher.m: 1.0 is outside its limit: >= 0 and < 1",
            "distill.matching.delta: 1.5 is outside its limit: >= -1 and <= 1",
            f"evaluate.below: unknown value 'no'; choose from {orders}",
            "adapt.steps: -1 is outside its limit: >= 0 and <= 10,000,000",
            "seed: 'x' is not a whole number",
            "augment.flip: 1 is not true or false",
        ]
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_must_be_finite(value: float) -> None:
    (problem,) = problems_of({"weights.source_mlm": value})
    assert problem.startswith("weights.source_mlm: ")


@pytest.mark.parametrize(("path", "value"), [("adapt.steps", 10.0), ("adapt.steps", True), ("adapt.lr", "fast")])
def test_values_of_another_type_are_refused(path: str, value: Any) -> None:
    (problem,) = problems_of({path: value})
    assert problem.startswith(f"{path}: {value!r} is not a")


def test_a_component_of_another_field_is_refused() -> None:
    (problem,) = problems_of({"graph.propagate": Ema()})
    assert (
        problem
        == "graph.propagate: Ema(m=0.999, start='student') is not one of the components gnn, diffusion, clusters, none"
    )


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ({"graph.memory.capacity": 32}, f"graph.memory.capacity: C = 32 is below its limit: adapt.batch = {B}"),
        (
            {"graph.memory.capacity": 64, "graph.propagate": Gnn(k=128)},
            "graph.propagate.k: K = 128 is outside its limit: < 128 nodes (banks of C = 64)",
        ),
        (
            {"graph.memory.capacity": 64, "graph.propagate.k": 64},
            "graph.propagate.k: K = 64 is outside its limit: < 64 nodes (banks of C = 64)",
        ),
        (
            {"graph.memory.warm_start": False, "graph.propagate": Gnn(k=2 * B)},
            f"graph.propagate.k: K = {2 * B} is outside its limit: < {2 * B} nodes (no warm start, B = {B})",
        ),
        (
            {"graph.memory.source": False, "graph.memory.capacity": 100, "graph.propagate": Gnn(k=B + 100)},
            f"graph.propagate.k: K = {B + 100} is outside its limit: < {B + 100} nodes "
            f"(the batch alone, B = {B}; banks of C = 100)",
        ),
        (
            {"graph.memory.target": False, "graph.memory.warm_start": False, "graph.propagate.k": B},
            f"graph.propagate.k: K = {B} is outside its limit: < {B} nodes (the batch alone, B = {B})",
        ),
        (
            {"graph.memory.capacity": 100, "graph.propagate": Gnn(k=100, cross_edges=False)},
            "graph.propagate.k: K = 100 is outside its limit: < 100 nodes (banks of C = 100)",
        ),
        (
            {"graph.propagate.images": False, "graph.propagate.texts": False},
            "graph.propagate: images and texts are both off; use graph.propagate=none",
        ),
        (
            {"graph.propagate": Gnn(joint=True, images=False)},
            "graph.propagate.joint: true needs both graph.propagate.images and graph.propagate.texts",
        ),
        (
            {"graph.propagate": Gnn(conv="gcn", reciprocal=True)},
            "graph.propagate.conv: 'gcn' reads all K edges; use reciprocal=false, threshold=-1 and self_edge=false, "
            "or use conv=smooth",
        ),
        (
            {"evaluate.propagate": True},
            "evaluate.propagate: true needs graph.propagate = gnn, not diffusion",
        ),
        (
            {"evaluate.propagate": True, "graph.propagate": Gnn(), "distill.targets": "none"},
            "evaluate.propagate: true needs target banks, which stay empty with distill.targets = none",
        ),
        ({"data.height": 60}, "data.height: 60 is not a multiple of backbone.vision.patch = 8"),
        (
            {"backbone.text.width": 100, "backbone.text.heads": 7},
            "backbone.text.width: 100 is not a multiple of backbone.text.heads = 7",
        ),
        ({"distill.teacher": "none"}, "distill.targets: 'soft' needs a teacher, but distill.teacher is none"),
        (
            {"distill.targets": "mutual", "graph.propagate": "none"},
            "distill.targets: 'mutual' needs a graph, but graph.propagate is none",
        ),
    ],
)
def test_limits_across_fields(edits: dict[str, Any], expected: str) -> None:
    assert problems_of(edits) == [expected]


def test_k_just_below_the_number_of_nodes_is_accepted() -> None:
    assert check(apply(preset("tiny"), {"graph.memory.capacity": 64, "graph.propagate": Gnn(k=127)}))


def test_assignments_are_read_as_yaml() -> None:
    texts = ["adapt.steps=10", "adapt.lr=1e-4", "augment.flip=false", "data.source=rstpreid:/x=y", "graph.propagate="]
    assert parse_edits(texts) == {
        "adapt.steps": 10,
        "adapt.lr": 1e-4,
        "augment.flip": False,
        "data.source": "rstpreid:/x=y",
        "graph.propagate": None,
    }


def test_bad_assignments_are_reported_together() -> None:
    with pytest.raises(InputError) as caught:
        parse_edits(["adapt.steps", "seed=1", "seed=2", "adapt.lr=[1"])
    assert str(caught.value).splitlines() == [
        "--set 'adapt.steps': expected PATH=VALUE, for example --set adapt.steps=100",
        "--set seed: given twice; give each field once",
        "--set adapt.lr: '[1' is not a YAML value: expected ',' or ']', but got '<stream end>' (line 1)",
    ]


def test_an_unknown_preset_lists_the_presets() -> None:
    with pytest.raises(InputError, match="unknown preset 'huge'; choose from tiny, base"):
        preset("huge")


def test_config_errors_survive_pickling() -> None:
    error = pickle.loads(pickle.dumps(ConfigError(["a: 1", "b: 2"])))
    assert error.problems == ["a: 1", "b: 2"]
    assert str(error) == "a: 1\nb: 2"


def test_every_leaf_is_documented_and_limited() -> None:
    for path, _, hint, limits in walk(preset("tiny")):
        assert limits.doc, path
        assert "\n" not in limits.doc, path
        if hint in (int, float):
            assert limits.text(), f"{path} has no limit"


@pytest.mark.parametrize(
    ("limits", "inside", "outside"),
    [
        (Limits("", ge=1), [1, 2, 1.0], [0, 0.999]),
        (Limits("", gt=0, lt=1), [0.5, 1e-9], [0, 1]),
        (Limits("", ge=-1, le=1), [-1, 1], [-1.001, 1.001, float("nan")]),
        (Limits("", choices=("a", "b")), ["a"], ["c", 1]),
    ],
)
def test_limits_at_their_bounds(limits: Limits, inside: list[Any], outside: list[Any]) -> None:
    assert all(limits.accept(v) for v in inside)
    assert not any(limits.accept(v) for v in outside)


def test_presets_have_no_range_problems_at_all() -> None:
    assert all(not range_problems(preset(name)) for name in ("tiny", "base"))


def test_edits_inside_a_replaced_component_become_part_of_it() -> None:
    edits = {"graph.propagate.k": 4, "graph.propagate": "gnn", "adapt.steps": 7}
    assert effective_edits(preset("tiny"), edits) == {"adapt.steps": 7, "graph.propagate": {"kind": "gnn", "k": 4}}
    assert configure(preset("tiny"), edits).graph.propagate == Gnn(k=4)


def test_edits_to_the_present_value_are_dropped() -> None:
    tiny = preset("tiny")
    edits = {"graph.propagate.k": 5, "distill.alpha": 0, "distill.matching": "cross", "adapt.steps": 7}
    assert effective_edits(tiny, edits) == {"adapt.steps": 7}
    assert configure(tiny, {"graph.propagate.k": 5}) == tiny


def test_unknown_paths_are_left_for_the_error() -> None:
    assert effective_edits(preset("tiny"), {"adapt.stepz": 7}) == {"adapt.stepz": 7}
    with pytest.raises(ConfigError, match="unknown field 'stepz'"):
        configure(preset("tiny"), {"adapt.stepz": 7})


def test_a_convolutional_stem_needs_a_patch_that_is_a_power_of_2() -> None:
    (problem,) = problems_of({"backbone.vision.patch": 12, "data.height": 48, "data.width": 24})
    assert problem.startswith("backbone.vision.patch: 12 is outside its limit: a power of 2")
