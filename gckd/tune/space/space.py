"""Search space: ranges and choices of any config path, with conditions, from YAML."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gckd.config import Config, ConfigError
from gckd.config.edit import encoded_at
from gckd.config.yaml_text import MAX_CHARACTERS
from gckd.printable import brief
from gckd.storage.text_file import read_text
from gckd.tune.space.check import CAPACITY, check_parameters
from gckd.tune.space.parameter import Parameter
from gckd.tune.space.parse import read_mapping, read_parameter
from gckd.tune.space.range_type import Sampled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from optuna.trial import Trial

DEFAULT = Path(__file__).parents[1] / "spaces" / "default.yaml"


@dataclass(frozen=True)
class Space:
    """Searched parameters, each after those it depends on. A parameter's name in Optuna is its config path.

    `params` are the sampled values (1 - m, the exponent of C); `edits` are the config's values (m, C).
    """

    parameters: tuple[Parameter, ...]

    def check(self, config: Config, capacity_limit: int) -> tuple[Space, list[str]]:
        """The space as it is searched around `config`; call `suggest` and `edits` on the result.

        Conditions on paths that are not searched are decided, C is capped, and both ends of every range and all
        choices are tried as edits of `config`.

        Args:
            config: base config of the search, checked.
            capacity_limit: entries that the larger of the train splits fills a bank with.

        Returns:
            the space, and a line for each way in which it differs from this one or will refuse some combinations.

        Raises:
            ConfigError: a path, a condition or an end does not fit `config`, or nothing is left; all lines.
        """
        parameters, notes = check_parameters(self.parameters, config, capacity_limit)
        space = Space(parameters)
        for parameter, value in space._first_values(config):
            present = encoded_at(config, parameter.path)
            first = f"has {brief(value)}" if parameter.range.contains(value) else "draws a value"
            if not parameter.range.contains(present):
                notes.append(f"{parameter.path}: {brief(present)} is not in the space; the first trial {first}")
        return space, notes

    def suggest(self, trial: Trial) -> dict[str, Sampled]:
        """Path -> sampled value, for the paths that apply. Repeated calls for a trial return the same."""
        params: dict[str, Sampled] = {}
        edits: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.applies(edits):
                params[parameter.path] = sampled = parameter.range.suggest(trial, parameter.path)
                edits[parameter.path] = parameter.range.to_config(sampled)
        return params

    def edits(self, params: Mapping[str, Sampled]) -> dict[str, Any]:
        """Path -> config value."""
        return {p.path: p.range.to_config(params[p.path]) for p in self.parameters if p.path in params}

    def start(self, config: Config) -> dict[str, Sampled] | None:
        """The values of `config` as a starting point; values outside the space are left to the sampler.

        A larger C than the space has starts at the largest one: if the datasets limit C, both hold all entries.

        None if all are outside.
        """
        inside = [(p, value) for p, value in self._first_values(config) if p.range.contains(value)]
        return {parameter.path: parameter.range.to_sampled(value) for parameter, value in inside} or None

    def _first_values(self, config: Config) -> Iterator[tuple[Parameter, Any]]:
        """Parameters that apply to `config`, and the plain values that the first trial takes from it if it can."""
        edits: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.applies(edits):
                value = encoded_at(config, parameter.path)
                if parameter.path == CAPACITY and not parameter.range.categorical:
                    value = min(value, parameter.range.edge_values[-1])
                edits[parameter.path] = value
                yield parameter, value

    def describe(self) -> list[str]:
        """Description in words, one line per path."""
        return [parameter.text() for parameter in self.parameters]

    def encode(self) -> dict[str, Any]:
        """The space as a plain dict; `read_space` reads its YAML."""
        return {parameter.path: parameter.spec() for parameter in self.parameters}


def load_space(path: Path | None = None) -> Space:
    """The space in a YAML file, or the default one.

    Raises:
        InputError: the file cannot be read, or `read_space` refuses its content.
    """
    file = path or DEFAULT
    text = read_text(file, MAX_CHARACTERS, f"--space: {file}")
    try:
        return read_space(text)
    except ConfigError as error:
        raise ConfigError([f"{file}: {problem}" for problem in error.problems]) from error


def read_space(text: str) -> Space:
    """The space that YAML describes: config path -> range type and its value, such as `int: [2, 50]`.

    Built-in range types are `int`, `float`, `one_minus`, `powers_of_two` and `choice`; see
    `gckd.tune.space.range_type` for further ones. `log: true` samples log-uniformly. `when: {path: [values]}` searches
    a path only if other paths, searched or not, have one of these values (of a component: kinds).

    Raises:
        ConfigError: all problems of the text alone; `Space.check` compares it with a config.
    """
    parameters, problems = [], []
    for path, spec in read_mapping(text).items():
        try:
            parameters.append(read_parameter(path, spec))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return Space(tuple(_in_order(parameters)))


def _in_order(parameters: list[Parameter]) -> list[Parameter]:
    """Each parameter after those it needs, otherwise in the given order."""
    ordered: list[Parameter] = []
    left = list(parameters)
    while left:
        free = next((p for p in left if not any(p.needs(other.path) for other in left)), None)
        if free is None:
            raise ConfigError([f"{p.path}.when: circular condition, through {', '.join(p.when)}" for p in left])
        left.remove(free)
        ordered.append(free)
    return ordered
