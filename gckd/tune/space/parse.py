"""The YAML of a space, read strictly: everything that is wrong with it is told at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from gckd.config import ConfigError
from gckd.config.serialization import load_yaml
from gckd.errors import reason_of
from gckd.tune.space.distributions import (
    Choice,
    Kind,
    OneMinus,
    PowersOfTwo,
    Real,
    Whole,
    is_number,
    is_power_of_two,
    plain,
)


def read_mapping(text: str) -> Mapping[str, Any]:
    """Config path -> what is said about it.

    Raises:
        ConfigError: the text is not YAML, no mapping of config paths, empty, or has a path twice.
    """
    try:
        root, data = yaml.compose(text, yaml.SafeLoader), load_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError([f"not YAML ({reason_of(error)})"]) from error
    if not isinstance(root, yaml.MappingNode) or not data or not all(isinstance(path, str) for path in data):
        raise ConfigError([f"{data!r} is not a mapping of config paths"])
    paths = [key.value for key, _ in root.value]
    twice = sorted({path for path in paths if paths.count(path) > 1})
    if twice:
        raise ConfigError([f"{path}: given twice" for path in twice])
    return dict(data)


def read_kind(path: str, spec: Any) -> tuple[Kind, dict[str, tuple[Any, ...]]]:
    """A path's kind and its conditions, from what a space says about it.

    Raises:
        ConfigError: everything that is wrong with it, one line each.
    """
    if not isinstance(spec, Mapping):
        raise ConfigError([f"{path}: {spec!r} is not a mapping such as {{int: [2, 50]}}"])
    keys = ", ".join([*_READERS, "log", "when"])
    unknown = [key for key in spec if key not in (*_READERS, "log", "when")]
    problems = [f"{path}: there is no key {key!r} here; the keys are {keys}" for key in unknown]
    named = [key for key in spec if key in _READERS]
    log, when = spec.get("log", False), spec.get("when", {})
    if not isinstance(log, bool) or ("log" in spec and named and named[0] not in _WITH_LOG):
        problems.append(f"{path}.log: {log!r} is outside its limit: true or false, with {', '.join(_WITH_LOG)}")
    problems += _when_problems(f"{path}.when", when)
    if len(named) != 1:
        problems.append(f"{path}: {' and '.join(named) or 'nothing'} is given; give one of {', '.join(_READERS)}")
        raise ConfigError(problems)
    try:
        kind = _READERS[named[0]](f"{path}.{named[0]}", spec[named[0]], log is True)
    except ConfigError as error:
        raise ConfigError(problems + error.problems) from error
    if problems:
        raise ConfigError(problems)
    return kind, {other: tuple(values) for other, values in when.items()}


def _when_problems(path: str, when: Any) -> list[str]:
    if not isinstance(when, Mapping):
        return [f"{path}: {when!r} is not a mapping such as {{graph.propagate: [gnn, diffusion]}}"]
    return [
        f"{path}.{other}: {values!r} is outside its limit: a list of values (of a component: of kinds)"
        for other, values in when.items()
        if not isinstance(values, list) or not values or any(isinstance(v, (list, dict)) for v in values)
    ]


def _ends(path: str, given: Any, log: bool, fits: Callable[[Any], bool], what: str) -> tuple[Any, Any]:
    if not isinstance(given, list) or len(given) != 2 or not all(fits(end) for end in given):
        raise ConfigError([f"{path}: {given!r} is outside its limit: [low, high], two {what}"])
    low, high = given
    problems = []
    if low >= high:
        problems.append(f"{path}: {given!r} is outside its limit: low < high")
    if log and low <= 0:
        problems.append(f"{path}: {given!r} is outside its limit: low > 0 with log")
    if problems:
        raise ConfigError(problems)
    return low, high


def _whole(path: str, given: Any, log: bool) -> Kind:
    return Whole(*_ends(path, given, log, lambda end: is_number(end) and isinstance(end, int), "whole numbers"), log)


def _real(path: str, given: Any, log: bool) -> Kind:
    low, high = _ends(path, given, log, is_number, "numbers")
    return Real(float(low), float(high), log)


def _one_minus(path: str, given: Any, log: bool) -> Kind:
    low, high = _ends(path, given, log, is_number, "numbers")
    return OneMinus(float(low), float(high), log)


def _powers_of_two(path: str, given: Any, _log: bool) -> Kind:
    return PowersOfTwo(*_ends(path, given, False, is_power_of_two, "powers of two"))


def _choice(path: str, given: Any, _log: bool) -> Kind:
    if not isinstance(given, list) or len(given) < 2:
        raise ConfigError([f"{path}: {given!r} is outside its limit: a list of two values or more"])
    bad = [value for value in given if isinstance(value, list) or (isinstance(value, float) and math.isnan(value))]
    what = "a text, a number, true, false, null or a mapping"
    problems = [f"{path}: {value!r} is outside its limit: {what}" for value in bad]
    raws = [plain(value) for value in given]
    # To Optuna 1, 1.0 and True are one choice.
    twice = [given[i] for i in range(len(raws)) if raws[i] in raws[:i]]
    problems += [f"{path}: {value!r} is outside its limit: different from the others" for value in twice]
    if problems:
        raise ConfigError(problems)
    return Choice(tuple(given))


_READERS: dict[str, Callable[[str, Any, bool], Kind]] = {
    Whole.key: _whole,
    Real.key: _real,
    OneMinus.key: _one_minus,
    PowersOfTwo.key: _powers_of_two,
    Choice.key: _choice,
}
_WITH_LOG = (Whole.key, Real.key, OneMinus.key)
