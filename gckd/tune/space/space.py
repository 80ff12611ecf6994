"""What a search varies: ranges and choices of any config path, with conditions, from YAML."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gckd.config import Config, ConfigError
from gckd.config.edit import plain_at
from gckd.errors import InputError, reason_of
from gckd.tune.space.check import check_parameters
from gckd.tune.space.distributions import Raw
from gckd.tune.space.parameter import Parameter
from gckd.tune.space.parse import read_kind, read_mapping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optuna.trial import Trial

DEFAULT = Path(__file__).parents[1] / "spaces" / "default.yaml"


@dataclass(frozen=True)
class Space:
    """Searched paths, those that others depend on before them. A parameter's name in Optuna is its config path.

    Of `params` (what Optuna samples, so 1 - m and the exponent of C) and `edits` (what the config gets, so m and C).
    """

    parameters: tuple[Parameter, ...]

    def check(self, config: Config, capacity_limit: int) -> tuple[Space, list[str]]:
        """The space as it is searched around `config`; `suggest` and `edits` are for the result.

        Conditions on paths that are not searched are settled; C is capped; both ends of every range and all choices
        are tried as edits of `config`.

        Args:
            config: of the search, checked.
            capacity_limit: entries that the larger of the train splits fills a bank with.

        Returns:
            the space, and a line for each way in which it differs from this one or will refuse some combinations.

        Raises:
            ConfigError: a path, a condition or an end does not fit `config`, or nothing is left; all lines.
        """
        parameters, notes = check_parameters(self.parameters, config, capacity_limit)
        return Space(parameters), notes

    def suggest(self, trial: Trial) -> dict[str, Raw]:
        """Path -> what is sampled, for the paths that apply. Asked again, a trial gives the same."""
        params: dict[str, Raw] = {}
        edits: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.applies(edits):
                params[parameter.path] = raw = parameter.kind.suggest(trial, parameter.path)
                edits[parameter.path] = parameter.kind.value(raw)
        return params

    def edits(self, params: Mapping[str, Raw]) -> dict[str, Any]:
        """Path -> what the config gets."""
        return {p.path: p.kind.value(params[p.path]) for p in self.parameters if p.path in params}

    def start(self, config: Config) -> dict[str, Raw] | None:
        """The values of `config` itself as a starting point; those outside the space are left to the sampler.

        None where all are.
        """
        params: dict[str, Raw] = {}
        edits: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.applies(edits):
                edits[parameter.path] = plain_at(config, parameter.path)
                try:
                    params[parameter.path] = parameter.kind.raw(edits[parameter.path])
                except ValueError:
                    continue
        return params or None

    def describe(self) -> list[str]:
        """A line for each path, in words."""
        return [parameter.text() for parameter in self.parameters]

    def encode(self) -> dict[str, Any]:
        """As plain dict; as YAML, `read_space` reads it."""
        return {parameter.path: parameter.spec() for parameter in self.parameters}


def load_space(path: Path | None = None) -> Space:
    """The space in a YAML file, or the default one.

    Raises:
        InputError: the file cannot be read, or `read_space` refuses what it holds.
    """
    file = path or DEFAULT
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--space: {file} cannot be read ({reason_of(error)})") from error
    try:
        return read_space(text)
    except ConfigError as error:
        raise ConfigError([f"{file}: {problem}" for problem in error.problems]) from error


def read_space(text: str) -> Space:
    """The space that YAML describes: config path -> one of `int`, `float`, `one_minus`, `powers_of_two`, `choice`.

    `log: true` samples a range by its logarithm; `when: {path: [values]}` searches a path only where others, searched
    or not, have one of these values (of a component: kinds).

    Raises:
        ConfigError: everything that is wrong with the text alone; `Space.check` holds it against a config.
    """
    parameters, problems = [], []
    for path, spec in read_mapping(text).items():
        try:
            parameters.append(Parameter(path, *read_kind(path, spec)))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return Space(tuple(_in_order(parameters)))


def _in_order(parameters: list[Parameter]) -> list[Parameter]:
    """Each after those it needs, otherwise as given."""
    done: list[Parameter] = []
    left = list(parameters)
    while left:
        free = next((p for p in left if not any(p.needs(other.path) for other in left)), None)
        if free is None:
            raise ConfigError([f"{p.path}.when: it waits for itself, by way of {', '.join(p.when)}" for p in left])
        left.remove(free)
        done.append(free)
    return done
