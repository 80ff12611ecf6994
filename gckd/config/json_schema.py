"""JSON schema (draft 2020-12) of config files, by which an editor completes and checks them."""

from __future__ import annotations

import dataclasses
from typing import Any

from gckd.config.component import Component
from gckd.config.fields import limits_of
from gckd.config.schema import Config
from gckd.config.serialization import encode
from gckd.config.tree import hints, variants

_TYPES = {int: "integer", float: "number", bool: "boolean", str: "string"}
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


def json_schema() -> dict[str, Any]:
    """Schema of a whole config file, with the kinds of every loaded plugin."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "gckd config"}
    return head | _node(Config)


def _node(node: type[Any]) -> dict[str, Any]:
    """Schema of a config node as a mapping; that of a component names its kind."""
    types = hints(node)
    properties = {field.name: _field(field, types[field.name]) for field in dataclasses.fields(node)}
    summary = (node.__doc__ or "").partition("\n")[0]
    schema: dict[str, Any] = {"type": "object", "description": summary, "additionalProperties": False}
    if issubclass(node, Component):
        return schema | {"required": ["kind"], "properties": {"kind": {"const": node.kind}, **properties}}
    return schema | {"properties": properties}


def _field(field: dataclasses.Field[Any], hint: Any) -> dict[str, Any]:
    limits = limits_of(field)
    doc = f"{limits.doc} [{limits.unit}]" if limits.unit else limits.doc
    choices = variants(hint)
    if not choices:
        leaf = {"description": doc, "default": field.default} | ({"type": _TYPES[hint]} if hint in _TYPES else {})
        bounds = {word: getattr(limits, name) for name, word in _BOUNDS.items()}
        leaf |= {word: bound for word, bound in bounds.items() if bound is not None}
        leaf |= {"unit": limits.unit} if limits.unit else {}
        return leaf | ({"enum": list(limits.choices)} if limits.choices else {})
    if not issubclass(hint, Component):
        return _node(choices[0]) | {"description": doc}
    default = encode(field.default_factory()) if callable(field.default_factory) else None
    return {"description": doc, "default": default, "oneOf": [_kinds(choices), *map(_node, choices)]}


def _kinds(choices: tuple[type[Any], ...]) -> dict[str, Any]:
    """A component by its kind alone. Null is the kind `none`."""
    kinds: list[str | None] = [choice.kind for choice in choices]
    return {"description": "Kind, with the defaults of its fields.", "enum": [*kinds, *([None] * ("none" in kinds))]}
