"""Configs as plain dicts, YAML and JSON, and the digest that names runs, checkpoints and rows."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from gckd.config.component import Component
from gckd.config.fields import IN_DIGEST, ConfigError
from gckd.config.tree import hints, unknown_field, variants
from gckd.config.yaml_text import YamlError, dump_yaml, load_yaml
from gckd.errors import unknown_choice
from gckd.plugins import plugin_of
from gckd.printable import brief, shortened


def encode(value: Any) -> Any:
    """A config node as plain dicts; a component has its `kind` among its fields."""
    if not dataclasses.is_dataclass(value):
        return value
    body = {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    kind = getattr(value, "kind", None)
    return {"kind": kind, **body} if kind is not None else body


def decode(hint: Any, data: Any, path: str = "config") -> Any:
    """The config node of type `hint` that `encode` made `data` from. Absent fields take their defaults.

    Args:
        data: for a component also its kind alone; null is the kind `none`.
        path: name of the node in error messages.

    Raises:
        ConfigError: unknown fields, unknown kinds, or a single value where a node belongs; all of them are listed.
    """
    choices = variants(hint)
    if not choices:
        return data
    if (isinstance(data, str) or data is None) and hasattr(choices[0], "kind"):
        data = {"kind": data or "none"}
    if not isinstance(data, dict):
        problem = "is empty" if data is None else f"{brief(data)} is not a mapping of fields"
        raise ConfigError([f"{path}: {problem}; expected fields and their values"])
    body = dict(data)
    node = _choose(choices, body, path)
    types, problems, values = hints(node), [], {}
    for name, item in body.items():
        if name not in {field.name for field in dataclasses.fields(node)}:
            problems.append(unknown_field(f"{path}.{shortened(str(name))}", name, node))
            continue
        try:
            values[name] = decode(types[name], item, f"{path}.{name}")
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    # JSON and YAML may write 1.0 as 1. The digest must not depend on that, so the field's type decides.
    return node(**{k: float(v) if types[k] is float and type(v) is int else v for k, v in values.items()})


def _choose(choices: tuple[type, ...], body: dict[str, Any], path: str) -> type:
    """The class that `body` describes; its kind is taken out of `body`."""
    kinds = {getattr(choice, "kind", None): choice for choice in choices}
    if None in kinds:
        return choices[0]
    kind = body.pop("kind", None)
    if not isinstance(kind, str) or kind not in kinds:
        raise ConfigError([f"{path}: {unknown_choice('kind', kind, map(str, kinds))}"])
    return kinds[kind]


def to_yaml(config: Any) -> str:
    """A config node as YAML, fields in their order."""
    return dump_yaml(encode(config))


def from_yaml(hint: Any, text: str) -> Any:
    """The config node of type `hint` in a YAML or JSON text.

    Raises:
        ConfigError: the text is neither, or `decode` refuses it.
    """
    try:
        data = load_yaml(text)
    except YamlError as error:
        raise ConfigError([f"config: not YAML or JSON that is read here: {error}"]) from error
    return decode(hint, data)


def digest(*values: Any) -> str:
    """SHA-256 of values and config nodes, as 16 hex digits. Key order, process and platform do not matter.
    Fields that are declared with `in_digest=False` are left out.

    A changed plugin is a different run: the text of the plugins that define components among `values` counts as well.
    """
    texts = sorted({text for value in values for text in _plugin_texts(value)})
    text = json.dumps([*map(_identity, values), *texts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _identity(value: Any) -> Any:
    """The encoded value without those of its own fields on which no result depends."""
    if not dataclasses.is_dataclass(value):
        return value
    left_out = {field.name for field in dataclasses.fields(value) if not field.metadata.get(IN_DIGEST, True)}
    return {name: item for name, item in encode(value).items() if name not in left_out}


def _plugin_texts(value: Any) -> Iterator[str]:
    if not dataclasses.is_dataclass(value):
        return
    if isinstance(value, Component) and (plugin := plugin_of(type(value).__module__)):
        yield plugin.text
    for field in dataclasses.fields(value):
        yield from _plugin_texts(getattr(value, field.name))


def differences(old: Any, new: Any) -> list[str]:
    """A line `path: old -> new` for each leaf that differs between two encoded configs."""
    return [f"{path}: {brief(before)} -> {brief(after)}" for path, before, after in differing(old, new)]


def differing(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Path, old and new value of each leaf that differs between two encoded nodes; None where a leaf is absent."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = dict.fromkeys([*old, *new])
        inner = (differing(old.get(k), new.get(k), f"{path}.{k}" if path else k) for k in keys)
        return [leaf for leaves in inner for leaf in leaves]
    return [] if old == new else [(path, old, new)]
