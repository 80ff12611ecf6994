"""Searched config path, with the conditions under which it is searched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gckd.tune.space.choice import kind_or_value, same

if TYPE_CHECKING:
    from gckd.tune.space.range_type import RangeType


@dataclass(frozen=True)
class Parameter:
    """A path that is searched over `range` where each path in `when` has one of its values (a component: kinds)."""

    path: str
    range: RangeType
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def needs(self, path: str) -> bool:
        """Whether the value at `path` decides if this parameter applies, or replaces the component it belongs to."""
        return path in self.when or any(dependent.startswith(path + ".") for dependent in (self.path, *self.when))

    def applies(self, edits: Mapping[str, Any]) -> bool:
        """Whether the parameter is searched in a config with `edits`, which hold every path that `when` names."""
        return all(path in edits and allows(values, edits[path]) for path, values in self.when.items())

    def spec(self) -> dict[str, Any]:
        """The YAML of the parameter as a dict."""
        when = {path: list(values) for path, values in self.when.items()}
        return {**self.range.spec(), **({"when": when} if when else {})}

    def text(self) -> str:
        """Description in words."""
        conditions = " and ".join(f"{path} is {' or '.join(map(str, values))}" for path, values in self.when.items())
        return f"{self.path}: {self.range.text()}{', where ' + conditions if conditions else ''}"


def allows(values: tuple[Any, ...], value: Any) -> bool:
    """Whether a condition that lists `values` holds for `value`."""
    return any(same(kind_or_value(allowed), kind_or_value(value)) for allowed in values)
