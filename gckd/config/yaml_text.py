"""YAML and JSON texts as plain values, within limits that hold for a text from anybody."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import yaml

from gckd.errors import reason_of
from gckd.printable import brief

MAX_CHARACTERS = 2**17
MAX_NODES = 5_000  # keys, values, lists and mappings, with every alias counted in full
MAX_DEPTH = 32
MAX_NUMBER = 100  # characters
_FLOAT, _TIMESTAMP, _MERGE = (f"tag:yaml.org,2002:{name}" for name in ("float", "timestamp", "merge"))
_TEXT = "tag:yaml.org,2002:str"
_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map", "merge")}
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")  # escapes of YAML can spell them; no file name and no UTF-8 file can


class YamlError(ValueError):
    """A text that is not YAML, or that exceeds a limit. The message is one line."""


class _BoundedLoader(yaml.SafeLoader):
    """Safe loader with limits on aliases, nodes, depth and numbers, without timestamps and repeated keys.

    1e-05 is a number, as in JSON and YAML 1.2; in YAML 1.1 it is text.
    """

    aliases: ClassVar[bool] = False  # whether aliases and merge keys are read; they count in full

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth, self._nodes = 0, 0
        self._sizes: dict[str, int] = {}  # anchor -> nodes below it

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:
        if self.flow_level >= MAX_DEPTH:  # here too: the scanner reads ahead, in quadratic time
            raise YamlError(f"lists and mappings inside each other, more than {MAX_DEPTH} deep (line {self.line + 1})")
        super().fetch_flow_collection_start(TokenClass)

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """Tag of a node. Only the start of a long scalar is compared with the patterns: they need quadratic time."""
        start = value[: MAX_NUMBER + 1] if isinstance(value, str) else value
        return super().resolve(kind, start, implicit)  # type: ignore[no-untyped-call]

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        line = f"line {event.start_mark.line + 1}"
        anchor: str = getattr(event, "anchor", None) or ""
        before, is_alias = self._nodes, isinstance(event, yaml.AliasEvent)
        if is_alias and not self.aliases:
            raise YamlError(f"an alias, *{anchor:.40} ({line}); write the value out")
        if is_alias and anchor not in self._sizes:
            raise YamlError(f"an alias, *{anchor:.40} ({line}), of no value above it")
        self._nodes += self._sizes[anchor] if is_alias else 1
        if self._nodes > MAX_NODES:
            raise YamlError(f"more than {MAX_NODES:,} keys and values ({line})")
        if self._depth >= MAX_DEPTH:
            raise YamlError(f"lists and mappings inside each other, more than {MAX_DEPTH} deep ({line})")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if anchor and not is_alias:
            self._sizes[anchor] = self._nodes - before
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        line = f"line {node.start_mark.line + 1}"
        if node.tag not in _TAGS:
            raise YamlError(f"a value with the tag {node.tag:.80} ({line}); only plain values are read")
        if isinstance(node, yaml.ScalarNode):
            if not node.tag.endswith(":str") and len(node.value) > MAX_NUMBER:
                raise YamlError(f"a number of {len(node.value):,} characters ({line}); the limit is {MAX_NUMBER}")
            if _NOT_TEXT.search(node.value):
                raise YamlError(f"a text with a NUL or half a character ({line})")
        try:
            return super().construct_object(node, deep)
        except (LookupError, ArithmeticError, ValueError) as error:  # of an explicit tag such as `!!int ""`
            if isinstance(error, YamlError):
                raise
            raise YamlError(
                f"{brief(node.value)} is not a value of type {node.tag.rpartition(':')[2]} ({line})"
            ) from error

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        if isinstance(node, yaml.MappingNode) and not any(key.tag == _MERGE for key, _ in node.value):
            self._refuse_repeated_keys(node)
        return super().construct_mapping(node, deep)

    def _refuse_repeated_keys(self, node: yaml.MappingNode) -> None:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise YamlError(f"a list or mapping as a key (line {key.start_mark.line + 1})")
            value = self.construct_object(key)
            if value in seen:
                raise YamlError(
                    f"line {key.start_mark.line + 1}: the key {brief(key.value)} is given twice; remove one"
                )
            seen.add(value)


class _Loader(_BoundedLoader):
    """Loader of configs, specs, search spaces and values of the command line. Keys are texts, as in JSON."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode) and key.tag in _TAGS:
                key.tag = _TEXT
        return super().construct_mapping(node, deep)


class _AliasLoader(_BoundedLoader):
    """Loader of cluster files, which use aliases."""

    aliases = True


class _Dumper(yaml.SafeDumper):
    """Writes what `_Loader` reads: quotes text that looks like a number, and uses no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _without(loader: type[yaml.SafeLoader], tags: set[str]) -> None:
    """Let texts that would be read as a value with one of the tags be texts."""
    loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in tags]
        for first, resolvers in loader.yaml_implicit_resolvers.items()
    }


for _resolver in (_Loader, _AliasLoader, _Dumper):
    _resolver.add_implicit_resolver(_FLOAT, re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789"))
_without(_Loader, {_TIMESTAMP, _MERGE, "tag:yaml.org,2002:value"})
_without(_AliasLoader, {_TIMESTAMP, "tag:yaml.org,2002:value"})


def load_yaml(text: str, *, aliases: bool = False) -> Any:
    """Plain values of a YAML or JSON text: None, bool, int, float, str, list and dict.

    Args:
        aliases: whether to read aliases and merge keys.

    Raises:
        YamlError: the text is neither, has a key twice or an alias, or exceeds a limit.
    """
    if len(text) > MAX_CHARACTERS:
        raise YamlError(f"{len(text):,} characters; the limit is {MAX_CHARACTERS:,}")
    try:
        return yaml.load(text, _AliasLoader if aliases else _Loader)  # noqa: S506 (SafeLoaders)
    except YamlError:
        raise
    except yaml.MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise YamlError(f"{error.problem or error.context}{line}") from error
    except Exception as error:  # escapes, directives and explicit tags make PyYAML raise almost every exception type
        raise YamlError(reason_of(error)) from error


def dump_yaml(value: Any) -> str:
    """Plain values as YAML that `load_yaml` reads, keys in their order."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
