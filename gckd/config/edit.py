"""Edits `{path: value}`: the one way a search trial, an ablation row and a `--set` change a config."""

from __future__ import annotations

import dataclasses
import difflib
import functools
from collections.abc import Mapping
from typing import Any, TypeVar

import yaml

from gckd.config.codec import decode, load_yaml
from gckd.config.fields import ConfigError, hints, variants

Node = TypeVar("Node")


def apply(config: Node, edits: Mapping[str, Any]) -> Node:
    """A new, checked config with `edits` made.

    Args:
        config: any config node; it is not changed.
        edits: dotted path -> value. A component is replaced by another instance, by its kind (`"none"`), or by a
            mapping with a `kind`.

    Raises:
        ConfigError: a path is unknown, two edits conflict (one path lies inside another), an edit changes nothing, or
            the result is out of range; every problem is listed.
    """
    problems = _conflicts(edits)
    edited = config
    for path, value in edits.items():
        try:
            edited = _set(edited, path.split("."), value, path)
        except ConfigError as error:
            problems += error.problems
    if not problems:
        problems = check_problems(edited)
    if problems:
        raise ConfigError(problems)
    return edited


def value_at(config: Any, path: str) -> Any:
    """The value (or node) at a dotted path that is known to exist."""
    return functools.reduce(getattr, path.split("."), config)


def check_problems(config: Any) -> list[str]:
    """Range problems of every field, then the problems that only the whole config can see."""
    from gckd.config.fields import range_problems

    problems = range_problems(config)
    if not problems and hasattr(config, "cross_problems"):
        problems = list(config.cross_problems())
    return problems


def check(config: Node) -> Node:
    """The config itself, if it is sound; otherwise a ConfigError that lists everything that is wrong."""
    problems = check_problems(config)
    if problems:
        raise ConfigError(problems)
    return config


def parse_edits(assignments: list[str] | tuple[str, ...]) -> dict[str, Any]:
    """`["adapt.steps=100", "graph.propagate=none"]` -> edits; values are read as YAML scalars.

    Raises:
        ConfigError: an assignment has no `=`, a path is set twice, or a value is not YAML.
    """
    edits: dict[str, Any] = {}
    problems = []
    for text in assignments:
        path, equals, value = text.partition("=")
        if not equals:
            problems.append(f"--set {text}: write it as path=value")
        elif path in edits:
            problems.append(f"--set {path}: set twice")
        else:
            try:
                edits[path] = load_yaml(value)
            except yaml.YAMLError:
                problems.append(f"--set {path}: {value!r} is not a YAML value")
    if problems:
        raise ConfigError(problems)
    return edits


def _conflicts(edits: Mapping[str, Any]) -> list[str]:
    return [
        f"{inner}: conflicts with the edit of {outer}, which replaces it"
        for outer in edits
        for inner in edits
        if inner.startswith(outer + ".")
    ]


def _set(node: Any, keys: list[str], value: Any, path: str) -> Any:
    names = [f.name for f in dataclasses.fields(node)]
    if keys[0] not in names:
        raise ConfigError([_unknown(path, keys[0], names)])
    old, hint = getattr(node, keys[0]), hints(type(node))[keys[0]]
    if len(keys) > 1:
        if not dataclasses.is_dataclass(old):
            raise ConfigError([f"{path}: {keys[0]} is a single value, it has no field {keys[1]!r}"])
        new = _set(old, keys[1:], value, path)
    else:
        new = value if dataclasses.is_dataclass(value) or not variants(hint) else decode(hint, value, path)
        if isinstance(old, float) and isinstance(new, int) and not isinstance(new, bool):
            new = float(new)
        if new == old and type(new) is type(old):
            raise ConfigError([f"{path}: it is {value!r} already, so this edit changes nothing"])
    return dataclasses.replace(node, **{keys[0]: new})


def _unknown(path: str, key: str, names: list[str]) -> str:
    close = difflib.get_close_matches(key, names, 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{path}: there is no field {key!r} here; {hint}the fields are {', '.join(names) or '(none)'}"
