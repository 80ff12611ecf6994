"""A searched config path and the conditions under which it is searched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gckd.tune.space.distributions import same

if TYPE_CHECKING:
    from gckd.tune.space.distributions import Kind


@dataclass(frozen=True)
class Parameter:
    """A searched path, and where it applies: where each path in `when` has one of its values (a component: kinds)."""

    path: str
    kind: Kind
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def needs(self, path: str) -> bool:
        """Whether what stands at `path` decides if this one applies, or replaces what it is a field of."""
        return path in self.when or any(other.startswith(path + ".") for other in (self.path, *self.when))

    def applies(self, edits: Mapping[str, Any]) -> bool:
        """Whether it does in a config with these edits, which hold every path that `when` names."""
        return all(other in edits and allows(values, edits[other]) for other, values in self.when.items())

    def spec(self) -> dict[str, Any]:
        """As it stands in the YAML."""
        when = {other: list(values) for other, values in self.when.items()}
        return {**self.kind.spec(), **({"when": when} if when else {})}

    def text(self) -> str:
        """In words."""
        where = " and ".join(f"{other} is {' or '.join(map(str, values))}" for other, values in self.when.items())
        return f"{self.path}: {self.kind.text()}{', where ' + where if where else ''}"


def label(value: Any) -> Any:
    """What a condition compares: of a component, given by kind or as a mapping, the kind."""
    return "none" if value is None else value.get("kind") if isinstance(value, Mapping) else value


def allows(values: tuple[Any, ...], value: Any) -> bool:
    """Whether a condition with `values` holds for `value`."""
    return any(same(label(allowed), label(value)) for allowed in values)
