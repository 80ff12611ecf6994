"""Config <-> plain dict, YAML and JSON; and the digest that names runs, checkpoints and rows."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from gckd.config.component import Component
from gckd.config.fields import ConfigError
from gckd.config.tree import hints, variants
from gckd.errors import reason_of
from gckd.plugins import plugin_of


class _Loader(yaml.SafeLoader):
    """Reads 1e-05 as the number it is in JSON and YAML 1.2; to YAML 1.1 it is a text."""


class _Dumper(yaml.SafeDumper):
    """Quotes a text that `_Loader` would read as a number."""


for _side in (_Loader, _Dumper):
    _side.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
    )


def encode(value: Any) -> Any:
    """A config node as plain dicts; a component carries its `kind`."""
    if not dataclasses.is_dataclass(value):
        return value
    body = {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    kind = getattr(value, "kind", None)
    return {"kind": kind, **body} if kind is not None else body


def decode(hint: Any, data: Any, path: str = "config") -> Any:
    """The config node of type `hint` that `encode` made `data` from; absent fields take their defaults.

    Raises:
        ConfigError: unknown or misspelt fields, unknown kinds, a scalar where a node belongs; all of them listed.
    """
    options = variants(hint)
    if not options:
        return data
    if (isinstance(data, str) or data is None) and all(hasattr(o, "kind") for o in options):
        data = {"kind": data or "none"}
    if not isinstance(data, dict):
        raise ConfigError([f"{path}: {data!r} is not a mapping of fields"])
    body = dict(data)
    node = _choose(options, body, path)
    types_of, problems, values = hints(node), [], {}
    for key, item in body.items():
        if key not in types_of or key == "kind":
            names = ", ".join(f.name for f in dataclasses.fields(node))
            problems.append(f"{path}.{key}: there is no such field; the fields are {names or '(none)'}")
            continue
        try:
            values[key] = decode(types_of[key], item, f"{path}.{key}")
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    # JSON and YAML write 1.0 as 1 in places: the field's type decides, so that the digest stays.
    return node(**{k: float(v) if types_of[k] is float and type(v) is int else v for k, v in values.items()})


def _choose(options: tuple[type, ...], body: dict[str, Any], path: str) -> type:
    kinds = {getattr(o, "kind", None): o for o in options}
    if None in kinds:
        return options[0]
    kind = body.pop("kind", None)
    if kind not in kinds:
        raise ConfigError([f"{path}: {kind!r} is no kind of it; the kinds are {', '.join(map(str, kinds))}"])
    return kinds[kind]


def to_yaml(config: Any) -> str:
    """A config node as YAML, fields in their order."""
    return yaml.dump(encode(config), Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def from_yaml(hint: Any, text: str) -> Any:
    """Inverse of `to_yaml`; JSON is YAML, so this reads both.

    Raises:
        ConfigError: the text is not YAML, or `decode` refuses it.
    """
    try:
        data = load_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError([f"config: not YAML or JSON ({reason_of(error)})"]) from error
    return decode(hint, data)


def load_yaml(text: str) -> Any:
    """Plain values from YAML or JSON.

    Raises:
        yaml.YAMLError: it is neither.
    """
    return yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader)


def digest(*values: Any) -> str:
    """16 hex digits of values and config nodes; key order, process and platform do not matter.

    They cover the text of the plugin files that define components among `values`.
    """
    texts = sorted({text for value in values for text in _plugin_texts(value)})
    text = json.dumps([*map(encode, values), *texts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plugin_texts(value: Any) -> Iterator[str]:
    if not dataclasses.is_dataclass(value):
        return
    if isinstance(value, Component) and (plugin := plugin_of(type(value).__module__)):
        yield plugin.text
    for field in dataclasses.fields(value):
        yield from _plugin_texts(getattr(value, field.name))


def differences(old: Any, new: Any) -> list[str]:
    """`path: old -> new` for each leaf in which two encoded configs differ."""
    return [f"{path}: {before!r} -> {after!r}" for path, before, after in differing(old, new)]


def differing(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Path, old and new value of each leaf in which two encoded nodes differ; None where one has no such leaf."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = dict.fromkeys([*old, *new])
        inner = (differing(old.get(k), new.get(k), f"{path}.{k}" if path else k) for k in keys)
        return [leaf for leaves in inner for leaf in leaves]
    return [] if old == new else [(path, old, new)]
