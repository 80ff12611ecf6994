"""Edits `{path: value}` of a config, which `--set`, ablation rows and search trials are made of.

`apply` takes edits as a person writes them and is strict: an edit that changes nothing, or that another edit overrides,
is a mistake. `configure` takes edits as specs and searches combine them, where both are normal.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, TypeVar

from gckd.config.fields import ConfigError
from gckd.config.schema import Config
from gckd.config.serialization import decode, encode
from gckd.config.tree import field_at, range_problems, value_at, variants
from gckd.config.yaml_text import YamlError, load_yaml
from gckd.printable import brief, shortened

Node = TypeVar("Node")


def apply(config: Node, edits: Mapping[str, Any]) -> Node:
    """A new, checked config with `edits` made.

    Args:
        config: any config node; it does not change.
        edits: dotted path -> value. A component is given as a node, by its kind (`"none"`), or as a mapping with a
            `kind`. A folder or file may be a `Path`.

    Raises:
        ConfigError: a path is unknown, one edited path lies inside another, an edit changes nothing, or the result is
            out of range; every problem is listed.
    """
    edits = {path: str(value) if isinstance(value, PurePath) else value for path, value in edits.items()}
    problems = [
        f"{inner}: conflicts with the edit of {outer}, which replaces it"
        for outer in edits
        for inner in edits
        if inner.startswith(outer + ".")
    ]
    edited = config
    for path, value in edits.items():
        try:
            if is_present(edited, path, value):
                problems.append(f"{path}: is already {brief(value)}, so this edit changes nothing; remove it")
            edited = _with(edited, path, _typed(edited, path, value))
        except ConfigError as error:
            problems += error.problems
    problems = problems or check_problems(edited)
    if problems:
        raise ConfigError(problems)
    return edited


def configure(config: Config, edits: Mapping[str, Any]) -> Config:
    """A new, checked config with the edits of a spec or a search made; see `effective_edits`.

    Raises:
        ConfigError: a path is unknown, or the result is out of range; every problem is listed.
    """
    return apply(config, effective_edits(config, edits))


def effective_edits(config: Config, edits: Mapping[str, Any]) -> dict[str, Any]:
    """The same edits as `apply` accepts them.

    An edit inside a component that another edit replaces becomes part of the new component, and an edit to the present
    value is dropped.
    """
    merged: dict[str, Any] = {}
    for path in sorted(edits, key=lambda path: path.count(".")):
        outer = next((replaced for replaced in merged if path.startswith(replaced + ".")), None)
        if outer is None:
            merged[path] = edits[path]
        else:
            inner = path.removeprefix(outer + ".").split(".")
            merged[outer] = _with_entry(merged[outer], inner, edits[path])
    return {path: value for path, value in merged.items() if not _is_certainly_present(config, path, value)}


def edits_between(old: Node, new: Node, head: str = "") -> dict[str, Any]:
    """Edits that turn `old` into `new`, a node of the same type. A component of another kind is replaced as a whole.

    Args:
        head: path of the nodes with a dot at its end; empty for a whole config.
    """
    edits: dict[str, Any] = {}
    for field in dataclasses.fields(old):  # type: ignore[arg-type]
        before, after = getattr(old, field.name), getattr(new, field.name)
        if dataclasses.is_dataclass(before) and type(before) is type(after):
            edits |= edits_between(before, after, f"{head}{field.name}.")
        elif before != after:
            edits[head + field.name] = after
    return edits


def is_present(config: Any, path: str, value: Any) -> bool:
    """Whether a config has this value at a path.

    Raises:
        ConfigError: the path is unknown, or the value is no component of it.
    """
    new, old = _typed(config, path, value), value_at(config, path)
    return bool(new == old) and type(new) is type(old)


def encoded_at(config: Config, path: str) -> Any:
    """The value at a dotted path as YAML has it; a component as a mapping.

    Raises:
        ConfigError: the path is unknown.
    """
    return encode(field_at(config, path).value)


def value_problems(config: Config, path: str, value: Any) -> list[str]:
    """Problems of a value at a path by itself (type, range, kind), whatever the rest of the config."""
    try:
        field, typed = field_at(config, path), _typed(config, path, value)
    except ConfigError as error:
        return error.problems
    outer = path.removesuffix(field.name)
    lines = range_problems(dataclasses.replace(field.node, **{field.name: typed}))
    return [outer + line for line in lines if line.startswith((f"{field.name}:", f"{field.name}."))]


def check(config: Node) -> Node:
    """The config, if it is sound.

    Raises:
        ConfigError: it is not; every problem is listed.
    """
    if problems := check_problems(config):
        raise ConfigError(problems)
    return config


def check_problems(config: Any) -> list[str]:
    """Problems of single fields; if there are none, those between several fields."""
    problems = range_problems(config)
    return list(config.cross_problems()) if isinstance(config, Config) and not problems else problems


def parse_edits(assignments: Sequence[str]) -> dict[str, Any]:
    """Edits from texts such as `adapt.steps=100`; the values are YAML.

    Raises:
        ConfigError: an assignment has no `=`, a path is set twice, or a value is not YAML.
    """
    edits: dict[str, Any] = {}
    problems = []
    for text in assignments:
        path, equals, value = text.partition("=")
        if not equals or not path:
            problems.append(f"--set {brief(text)}: expected PATH=VALUE, for example --set adapt.steps=100")
        elif path in edits:
            problems.append(f"--set {path}: given twice; give each field once")
        else:
            try:
                edits[path] = load_yaml(value)
            except YamlError as error:
                problems.append(f"--set {shortened(path)}: {brief(value)} is not a YAML value: {error}")
    if problems:
        raise ConfigError(problems)
    return edits


def _typed(config: Any, path: str, value: Any) -> Any:
    """The value as the field at `path` holds it: a component as a node, a whole number in a float field as a float."""
    hint = field_at(config, path).hint
    if hint is float and type(value) is int:
        return float(value)
    return value if dataclasses.is_dataclass(value) or not variants(hint) else decode(hint, value, path)


def _with(node: Any, path: str, value: Any) -> Any:
    name, _, rest = path.partition(".")
    return dataclasses.replace(node, **{name: _with(getattr(node, name), rest, value) if rest else value})


def _with_entry(component: Any, keys: list[str], value: Any) -> dict[str, Any]:
    """A copy of an encoded component (or its kind) with one entry, or one entry of a mapping inside it, set."""
    body = dict(component) if isinstance(component, Mapping) else {"kind": component}
    body[keys[0]] = value if len(keys) == 1 else _with_entry(body.get(keys[0], {}), keys[1:], value)
    return body


def _is_certainly_present(config: Config, path: str, value: Any) -> bool:
    try:
        return is_present(config, path, value)
    except ConfigError:
        return False  # left for `apply` to refuse
