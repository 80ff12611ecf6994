"""A range type from outside the package, defined here like in a plugin."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import optuna
import pytest

from gckd.config import ConfigError, preset
from gckd.errors import InputError
from gckd.tune.space.range_type import RANGE_TYPES, RangeType, Sampled
from gckd.tune.space.space import read_space

if TYPE_CHECKING:
    from optuna.trial import Trial

DELTA = "distill.matching.delta"
TINY = preset("tiny")


def define() -> type[RangeType]:
    """Runs the class definition of the plugin."""

    @dataclass(frozen=True)
    class SteppedRange(RangeType):
        """`stepped: [low, high]` with `step`: numbers at equal distances."""

        key: ClassVar[str] = "stepped"
        options: ClassVar[tuple[str, ...]] = ("step",)
        low: float
        high: float
        step: float

        @classmethod
        def parse(cls, path: str, given: Any, options: Mapping[str, Any]) -> Self:
            if "step" not in options:
                raise ConfigError([f"{path}: step is missing"])
            return cls(*given, options["step"])

        @property
        def edge_values(self) -> tuple[Any, ...]:
            return self.low, self.high

        def suggest(self, trial: Trial, path: str) -> Sampled:
            return trial.suggest_float(path, self.low, self.high, step=self.step)

        def to_sampled(self, value: Any) -> Sampled:
            if not self.low <= value <= self.high:
                raise ValueError(value)
            return float(value)

        def spec(self) -> dict[str, Any]:
            return {self.key: [self.low, self.high], "step": self.step}

        def text(self) -> str:
            return f"from {self.low} to {self.high} in steps of {self.step}"

    return SteppedRange


@pytest.fixture(autouse=True)
def stepped() -> Iterator[type[RangeType]]:
    yield define()
    del RANGE_TYPES["stepped"]


def test_a_space_may_use_a_new_range_type() -> None:
    space, notes = read_space(f"{DELTA}: {{stepped: [0.25, 0.75], step: 0.25}}").check(TINY, 4096)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    draws = [space.edits(space.suggest(study.ask()))[DELTA] for _ in range(30)]
    assert set(draws) == {0.25, 0.5, 0.75}
    assert notes == [f"{DELTA}: 0.8 is not in the space; the first trial draws a value"]
    assert space.describe() == [f"{DELTA}: from 0.25 to 0.75 in steps of 0.25"]
    assert space.encode() == {DELTA: {"stepped": [0.25, 0.75], "step": 0.25}}
    assert read_space(str(space.encode())) == space
    assert space.start(TINY) is None


def test_its_ends_are_checked_against_the_config() -> None:
    with pytest.raises(ConfigError, match=r"delta: 2.0 is outside its limit: .*<= 1"):
        read_space(f"{DELTA}: {{stepped: [0, 2], step: 1}}").check(TINY, 4096)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("{stepped: [0, 1]}", "a.stepped: step is missing"),
        ("{stepped: [0, 1], step: 1, log: true}", "a: unknown key 'log' with stepped; choose from step, when"),
        ("{step: 1}", "a: no range type; choose from choice, float, one_minus, int, powers_of_two, stepped"),
        (
            "{steps: 1}",
            "a: unknown range type 'steps'; choose from choice, float, one_minus, int, powers_of_two, stepped",
        ),
    ],
)
def test_errors_name_the_range_types_and_their_keys(spec: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_space(f"a: {spec}")
    assert caught.value.problems == [problem]


def test_a_condition_may_name_its_values() -> None:
    text = f"seed: {{int: [0, 9], when: {{{DELTA}: [%s]}}}}\n{DELTA}: {{stepped: [0.25, 0.75], step: 0.25}}"
    space = read_space(text % 0.5).check(TINY, 4096)[0]
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for params in (space.suggest(study.ask()) for _ in range(30)):
        assert ("seed" in params) == (params[DELTA] == 0.5)
    with pytest.raises(ConfigError, match=r"seed\.when\..*: 0.9 is outside the searched range: from 0.25 to 0.75"):
        read_space(text % 0.9).check(TINY, 4096)


def test_a_key_in_use_is_refused_and_a_reloaded_file_is_not() -> None:
    reloaded = define()
    assert RANGE_TYPES["stepped"] is reloaded
    with pytest.raises(
        InputError, match=r"range type 'int' of plugin is already defined in gckd\.tune\.space\.number_ranges"
    ):
        types.new_class("Mine", (RangeType,), exec_body=lambda body: body.update(key="int", __module__="plugin"))
    assert RANGE_TYPES["int"].__name__ == "IntRange"
