"""Edits as a search makes them: of whole components and of fields inside them, whether or not they change anything."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from gckd.config.codec import decode, encode
from gckd.config.edit import apply
from gckd.config.fields import ConfigError, hints, range_problems, variants
from gckd.config.schema import Config


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
