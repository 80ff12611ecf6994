"""Parser of the YAML of a space. It reports all problems at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gckd.config import ConfigError
from gckd.config.yaml_text import YamlError, load_yaml
from gckd.printable import brief
from gckd.tune.space.parameter import Parameter
from gckd.tune.space.range_type import RANGE_TYPES

_WHEN = "when"


def read_mapping(text: str) -> Mapping[str, Any]:
    """Config path -> its specification.

    Raises:
        ConfigError: the text is not YAML, no mapping of config paths, empty, or has a path twice.
    """
    try:
        data = load_yaml(text)
    except YamlError as error:
        raise ConfigError([f"cannot be read as YAML: {error}"]) from error
    if not isinstance(data, dict) or not data:
        raise ConfigError(
            [f"{brief(data)} is not a mapping of config paths, such as {{graph.propagate.k: {{int: [2, 50]}}}}"]
        )
    return dict(data)


def read_parameter(path: str, spec: Any) -> Parameter:
    """The parameter that a specification describes.

    Raises:
        ConfigError: all problems, one line each.
    """
    if not isinstance(spec, Mapping):
        raise ConfigError([f"{path}: {brief(spec)} is not a mapping such as {{int: [2, 50]}}"])
    problems = _when_problems(f"{path}.{_WHEN}", spec.get(_WHEN, {}))
    keys = [key for key in spec if key in RANGE_TYPES]
    if len(keys) != 1:
        raise ConfigError([*_range_type_problems(path, spec, keys), *problems])
    range_type = RANGE_TYPES[keys[0]]
    others = {key: value for key, value in spec.items() if key not in (range_type.key, _WHEN)}
    allowed = ", ".join((*range_type.options, _WHEN))
    problems += [
        f"{path}: unknown key {brief(key)} with {range_type.key}; choose from {allowed}"
        for key in others
        if key not in range_type.options
    ]
    try:
        searched = range_type.parse(f"{path}.{range_type.key}", spec[range_type.key], others)
    except ConfigError as error:
        raise ConfigError(problems + error.problems) from error
    if problems:
        raise ConfigError(problems)
    return Parameter(path, searched, {other: tuple(values) for other, values in spec.get(_WHEN, {}).items()})


def _range_type_problems(path: str, spec: Mapping[Any, Any], keys: list[str]) -> list[str]:
    """Problems of a specification that does not name exactly one range type."""
    choose = f"choose from {', '.join(RANGE_TYPES)}"
    if keys:
        return [f"{path}: {' and '.join(keys)} are given together; keep one of them"]
    options = {_WHEN, *(option for range_type in RANGE_TYPES.values() for option in range_type.options)}
    unknown = [brief(key) for key in spec if key not in options]
    return [
        f"{path}: unknown range type {' or '.join(unknown)}; {choose}"
        if unknown
        else f"{path}: no range type; {choose}"
    ]


def _when_problems(path: str, when: Any) -> list[str]:
    if not isinstance(when, Mapping):
        return [f"{path}: {brief(when)} is not a mapping such as {{graph.propagate: [gnn, diffusion]}}"]
    return [
        f"{path}.{other}: {brief(values)} is outside its limit: a list of values (of a component: of kinds)"
        for other, values in when.items()
        if not isinstance(values, list) or not values or any(isinstance(v, (list, dict)) for v in values)
    ]
