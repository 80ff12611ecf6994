"""Few configs that together contain every component and every option with a list of values."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from gckd.config import Config, ConfigError, apply
from gckd.config.component import Component
from gckd.config.tree import slots, walk

SMALL = {"k": 2, "hidden": 4, "neighbours": 2, "size": 8, "queue": 9}  # options that fit a batch of 4 and C = 7


class Edit(NamedTuple):
    """Edit of a config, with a name for the test's id."""

    name: str
    path: str
    value: Any


class Case(NamedTuple):
    """Edits of a config that can be made together, and the names of those that the case is for."""

    edits: dict[str, Any]
    names: tuple[str, ...]


def component_edits(config: Config, sizes: Mapping[type[Component], Mapping[str, Any]]) -> Iterator[Edit]:
    """One edit for each component of each slot. `sizes`: fields of components beside `SMALL`."""
    for path, slot in slots(config):
        for choice in slot.choices():
            yield Edit(f"{path}={choice.kind}", path, small(choice, sizes))


def option_edits(config: Config, sizes: Mapping[type[Component], Mapping[str, Any]]) -> Iterator[Edit]:
    """One edit for each value of each option that has a list of values, in every component and outside components."""
    components = tuple(slots(config))
    for path, slot in components:
        for choice in slot.choices():
            node = small(choice, sizes)
            for field, value in _other_values(node):
                yield Edit(f"{path}={choice.kind}.{field}={value}", path, apply(node, {field: value}))
    for path, value in _other_values(config):
        if not any(path.startswith(f"{slot}.") for slot, _ in components):
            yield Edit(f"{path}={value}", path, value)


def small(choice: type[Component], sizes: Mapping[type[Component], Mapping[str, Any]]) -> Component:
    """The component with small sizes."""
    names = {field.name for field in dataclasses.fields(choice)}
    fitting = {name: value for name, value in SMALL.items() if name in names}
    return choice(**fitting | dict(sizes.get(choice, {})))


def _other_values(node: Any) -> Iterator[tuple[str, Any]]:
    for path, value, hint, limits in walk(node):
        values: tuple[Any, ...] = (True, False) if hint is bool else limits.choices
        yield from ((path, other) for other in values if other != value)


def covering_cases(full: Config, edits: Iterable[Edit], bases: Sequence[Mapping[str, Any]]) -> Iterator[Case]:
    """Cases that contain every edit at least once, each with as many edits as can be made together.

    Args:
        bases: edits to start a case from, beside none; for edits that no case could hold otherwise.

    Raises:
        ValueError: an edit can be made from no base.
    """
    waiting = list(edits)
    while waiting:
        cases = (_largest_case(full, waiting, base) for base in ({}, *bases))
        case = next((case for case in cases if case.names), None)
        if case is None:
            raise ValueError(f"no base allows {[edit.name for edit in waiting]}; add one, or the fields that they need")
        waiting = [edit for edit in waiting if edit.name not in case.names]
        yield case


def _largest_case(full: Config, waiting: Sequence[Edit], base: Mapping[str, Any]) -> Case:
    made, names = dict(base), list[str]()
    unchanged: list[Edit] = []
    for edit in waiting:
        if names and edit.path in made:
            continue
        try:
            apply(full, made | {edit.path: edit.value})
        except ConfigError as error:
            if any("is already" in problem for problem in error.problems):
                unchanged.append(edit)
            continue
        made[edit.path] = edit.value
        names.append(edit.name)
    names += [edit.name for edit in unchanged if edit.path not in made]
    return Case(made, tuple(names))
