"""Reference of the config as Markdown: every field of every kind of every slot, from the dataclasses."""

from __future__ import annotations

import dataclasses
from typing import Any

from gckd.config import Config, preset
from gckd.config.component import Component
from gckd.config.fields import limits_of
from gckd.config.tree import hints, variants

_PRESETS = ("tiny", "base")
_INTRODUCTION = """# Config

Every field of a run's config, generated from the code. Set a field with `--set PATH=VALUE`, or write it in a YAML file
for `--config`; `gckd config --yaml` prints a complete file, and `gckd config --schema` a JSON schema for editors.

The column "default" is that of a bare config, which has the paper's values; `tiny` and `base` are the presets. A slot
holds one of several components: `--set graph.propagate=gnn` chooses a kind with the defaults of its fields, and
`--set graph.propagate.k=20` then sets one of them. The value of a preset is given only if the preset has that kind. A
plugin may add a kind to a slot ([Your own components](components.md)).

<style>
.md-typeset :is(td, th) > code { white-space: nowrap }
.md-typeset td:nth-child(2) { min-width: 11rem !important }
</style>
"""


def config_reference() -> str:
    """Markdown of the page."""
    sections = [_INTRODUCTION, "## Fields of the whole run\n\n" + _table(Config, "")]
    sections += [_section(path, node, kinds) for (path, node), kinds in _nodes(Config).items()]
    return "\n".join(sections)


def _nodes(node: type[Any], prefix: str = "", kind: str = "") -> dict[tuple[str, type[Any]], list[str]]:
    """(path, class) of every config node within a class -> kinds of the component that has it, which may be none."""
    nodes: dict[tuple[str, type[Any]], list[str]] = {}
    for field in dataclasses.fields(node):
        hint, path = hints(node)[field.name], f"{prefix}{field.name}"
        if not variants(hint):
            continue
        nodes.setdefault((path, hint), []).extend([kind] * bool(kind))
        for choice in variants(hint):
            for key, kinds in _nodes(choice, f"{path}.", getattr(choice, "kind", "")).items():
                nodes.setdefault(key, []).extend(kinds)
    return nodes


def _section(path: str, hint: type[Any], kinds: list[str]) -> str:
    """Section of a config node; of a slot, with all of its kinds."""
    title = f"`{path}`" + (f" of {', '.join(kinds)}" if kinds else "")
    summary = (hint.__doc__ or "").strip().partition("\n")[0]
    if not issubclass(hint, Component):
        return f"## {title}\n\n{summary}\n\n{_table(hint, f'{path}.')}"
    present = ", ".join(f"`{_kind_in(name, path)}` in `{name}`" for name in _PRESETS if _kind_in(name, path))
    sections = "\n".join(_kind(path, kind) for kind in variants(hint))
    return f"## {title}\n\nSlot. {summary} {f'Kind: {present}.' if present else ''}\n\n{sections}"


def _kind(path: str, kind: type[Component]) -> str:
    summary = (kind.__doc__ or "").strip().partition("\n\n")[0].replace("\n", " ")
    fields = dataclasses.fields(kind)
    table = _table(kind, f"{path}.") if fields else "No fields.\n"
    return f"### `{path}={kind.kind}`\n\n{' '.join(summary.split())}\n\n{table}"


def _table(node: type[Any], prefix: str) -> str:
    lines = [
        "| field | meaning | default | " + " | ".join(f"`{name}`" for name in _PRESETS) + " | limit |",
        "|---|---|---|" + "---|" * len(_PRESETS) + "---|",
    ]
    for field in dataclasses.fields(node):
        hint, limits, path = hints(node)[field.name], limits_of(field), f"{prefix}{field.name}"
        if variants(hint):
            kinds = [choice.kind for choice in variants(hint) if issubclass(choice, Component)]
            limit = "one of " + ", ".join(kinds) if kinds else ""
            default = _shown(_default(field)) if kinds else "fields below"
            values = [_shown(_lookup(name, path)) if kinds and _kind_in(name, path) else "" for name in _PRESETS]
        else:
            limit, default = limits.text(), _shown(_default(field))
            values = [_value_in(name, path, node) for name in _PRESETS]
        meaning = f"{limits.doc} [{limits.unit}]" if limits.unit else limits.doc
        lines.append("| " + " | ".join(map(_cell, (f"`{path}`", meaning, default, *values, limit))) + " |")
    return "\n".join(lines) + "\n"


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    assert field.default_factory is not dataclasses.MISSING
    return field.default_factory()


def _shown(value: Any) -> str:
    """A value as `--set` takes it."""
    if isinstance(value, Component):
        return f"`{value.kind}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return "empty" if value == "" else f"`{value}`"


def _kind_in(name: str, path: str) -> str:
    """Kind of a slot in a preset; empty if the preset has no such slot."""
    value = _lookup(name, path)
    return value.kind if isinstance(value, Component) else ""


def _value_in(name: str, path: str, node: type[Any]) -> str:
    """Value of a field in a preset; empty if the preset has another kind of component there."""
    parent = _lookup(name, path.rpartition(".")[0]) if "." in path else preset(name)
    return _shown(_lookup(name, path)) if type(parent) is node else ""


def _lookup(name: str, path: str) -> Any:
    node: Any = preset(name)
    for part in path.split("."):
        node = getattr(node, part, None)
    return node


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
