"""Edits `{path: value}`: the one way a search trial, an ablation row and a `--set` change a config."""

from __future__ import annotations

import dataclasses
import difflib
import functools
from collections.abc import Mapping
from typing import Any, TypeVar

import yaml

from gckd.config.fields import ConfigError
from gckd.config.schema import Config
from gckd.config.serialization import decode, encode, load_yaml
from gckd.config.tree import hints, range_problems, variants

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


def configure(config: Config, edits: Mapping[str, Any]) -> Config:
    """A new, checked config with `edits` made.

    Differs from `gckd.config.apply`, which takes what a person wrote and refuses both: an edit inside a component that
    another edit replaces is made in the new component, and an edit to the present value is none.

    Args:
        edits: dotted path -> value; a component is given by its kind, or as a mapping with a kind.

    Raises:
        ConfigError: as `apply`.
    """
    return apply(config, changes(config, edits))


def changes(config: Config, edits: Mapping[str, Any]) -> dict[str, Any]:
    """What `apply` makes of `edits`: one edit for each component that is replaced, none to a present value."""
    whole: dict[str, Any] = {}
    for path in sorted(edits, key=lambda p: p.count(".")):
        outer = next((other for other in whole if path.startswith(other + ".")), None)
        if outer is None:
            whole[path] = edits[path]
        else:
            whole[outer] = _put(whole[outer], path.removeprefix(outer + ".").split("."), edits[path])
    return {path: value for path, value in whole.items() if not _is_present(config, path, value)}


def plain_at(config: Config, path: str) -> Any:
    """The value at a dotted path; a component as a mapping.

    Raises:
        ConfigError: there is no such path.
    """
    parent, name, _ = _field(config, path)
    return encode(getattr(parent, name))


def value_problems(config: Config, path: str, value: Any) -> list[str]:
    """What makes `value` impossible at `path`, whatever the rest of the config: its type, its range, its kind."""
    try:
        parent, name, hint = _field(config, path)
        if variants(hint):
            decode(hint, value, path)
            return []
    except ConfigError as error:
        return error.problems
    outer = path.removesuffix(name)
    lines = range_problems(dataclasses.replace(parent, **{name: value}))
    return [outer + line for line in lines if line.startswith(name + ":")]


def _put(node: Any, keys: list[str], value: Any) -> dict[str, Any]:
    """A copy of the encoded component `node` (or its kind) with a field of it, or of a part of it, set."""
    body = dict(node) if isinstance(node, Mapping) else {"kind": node}
    body[keys[0]] = value if len(keys) == 1 else _put(body.get(keys[0], {}), keys[1:], value)
    return body


def _is_present(config: Config, path: str, value: Any) -> bool:
    try:
        parent, name, hint = _field(config, path)
        new = decode(hint, value, path)
    except ConfigError:
        return False  # `apply` says what is wrong
    old = getattr(parent, name)
    return bool(new == old) and isinstance(new, bool) == isinstance(old, bool)


def _field(config: Config, path: str) -> tuple[Any, str, Any]:
    """Whose field it is, its name and its type."""
    *outer, name = path.split(".")
    try:
        parent = functools.reduce(getattr, outer, config)
    except AttributeError:
        parent = None
    if not dataclasses.is_dataclass(parent) or name not in {f.name for f in dataclasses.fields(parent)}:
        apply(config, {path: None})  # raises what it says of such a path
    return parent, name, hints(type(parent))[name]
