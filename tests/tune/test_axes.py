"""The scales of hyperparameters in the pictures."""

from __future__ import annotations

import pytest

from gckd.tune.report.axes import Scale, scales
from tests.tune.studies import add, study


def by_name(**attrs: object) -> dict[str, Scale]:
    made = study(**attrs)
    whole = {"graph.propagate": "gnn", "graph.propagate.k": 10, "graph.memory.capacity": 9, "distill.teacher.m": 0.01}
    add(made, "COMPLETE", [1.0], whole)
    add(made, "PRUNED", [1.0], {"distill.matching.delta": 0.5})
    return {scale.name: scale for scale in scales(made)}


def written(scale: Scale) -> dict[str, float]:
    return {scale.text(value): round(scale.at(value), 4) for value in scale.ticks()}


def test_every_path_of_any_trial_has_one() -> None:
    assert list(by_name()) == [
        "distill.matching.delta",
        "distill.teacher.m",
        "graph.memory.capacity",
        "graph.propagate",
        "graph.propagate.k",
    ]


def test_a_share_near_one_grows_to_the_right_and_shows_what_the_config_gets() -> None:
    scale = by_name()["distill.teacher.m"]
    assert scale.label == "distill.teacher\n.m (log of 1 - value)"
    assert written(scale) == {"0.9999": 1.0, "0.999": 0.6667, "0.99": 0.3333, "0.9": 0.0}


def test_powers_of_two_stand_evenly() -> None:
    assert written(by_name()["graph.memory.capacity"]) == {"256": 0, "512": 0.25, "1024": 0.5, "2048": 0.75, "4096": 1}


def test_whole_numbers_by_their_logarithm() -> None:
    scale = by_name()["graph.propagate.k"]
    assert list(written(scale)) == ["2", "5", "10", "20", "50"]
    assert scale.at(10) == pytest.approx(0.5)  # 10 is the geometric mean of 2 and 50


def test_choices_stand_in_their_order() -> None:
    assert written(by_name()["graph.propagate"]) == {"gnn": 0, "diffusion": 0.5, "none": 1}


def test_a_plain_range_has_round_numbers_inside() -> None:
    ticks = by_name()["distill.matching.delta"].ticks()
    assert len(ticks) > 1 and all(0.3 <= tick <= 0.95 for tick in ticks)


def test_a_range_of_one_value_stands_in_the_middle() -> None:
    scale = Scale("seed", low=3, high=3, whole=True)
    assert (scale.at(3), scale.ticks(), scale.label) == (0.5, [3], "seed")


def test_a_path_that_the_space_no_longer_has_shows_what_was_sampled() -> None:
    scale = by_name(space={})["distill.teacher.m"]
    assert scale.label.endswith("(log)")
    assert list(written(scale)) == ["0.0001", "0.001", "0.01", "0.1"]
