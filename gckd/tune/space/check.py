"""A space held against the config it is searched around, before the first trial."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gckd.config import Config, ConfigError
from gckd.config.edit import configure, plain_at, value_problems
from gckd.tune.space.distributions import Choice, Kind, PowersOfTwo, Real, Whole
from gckd.tune.space.parameter import Parameter, allows, label

CAPACITY = "graph.memory.capacity"
_BATCH = "adapt.batch"

Edits = dict[str, Any]


def check_parameters(
    parameters: Sequence[Parameter], config: Config, capacity_limit: int
) -> tuple[tuple[Parameter, ...], list[str]]:
    """See `gckd.tune.space.space.Space.check`. Each parameter comes after those it needs, and does so in the result."""
    problems: list[str] = []
    kept, notes = _settled(parameters, config, problems)
    for place, parameter in enumerate(kept):
        if parameter.path == CAPACITY:
            batch = 1 if any(other.path == _BATCH for other in kept) else config.adapt.batch
            kept[place], capped = _capped(parameter, capacity_limit, batch, problems)
            notes += capped
    notes += _try_ends(kept, config, problems)
    if not kept and not problems:
        problems = [*notes, "nothing is left to search"]
    if problems:
        raise ConfigError(problems)
    return tuple(kept), notes


def _settled(parameters: Sequence[Parameter], config: Config, problems: list[str]) -> tuple[list[Parameter], list[str]]:
    """Without conditions on what is not searched, and without the parameters for which those do not hold."""
    kept: dict[str, Parameter] = {}
    dropped: dict[str, str] = {}
    for parameter in parameters:
        when, found, reason = _settle(parameter, kept, dropped, config)
        problems += found
        if reason:
            dropped[parameter.path] = reason
        elif not found:
            kept[parameter.path] = Parameter(parameter.path, _with_own(parameter, config), when)
    return list(kept.values()), [f"{path}: not searched, as {reason}" for path, reason in dropped.items()]


def _settle(
    parameter: Parameter, kept: Mapping[str, Parameter], dropped: Mapping[str, str], config: Config
) -> tuple[dict[str, tuple[Any, ...]], list[str], str]:
    """The conditions that are left, problems, and the reason where the parameter never applies."""
    when: dict[str, tuple[Any, ...]] = {}
    for other, values in parameter.when.items():
        where = f"{parameter.path}.when.{other}"
        if other in kept:
            if lost := _unreachable(where, values, kept[other].kind):
                return {}, lost, ""
            when[other] = values
        elif outer := next((path for path in kept if other.startswith(path + ".")), None):
            return {}, [f"{where}: {outer}, which it is inside, is searched; name that instead"], ""
        elif other in dropped:
            return {}, [], f"{other} is not"
        elif lines := [line for value in values for line in value_problems(config, other, value)]:
            return {}, [f"{parameter.path}.when: {line}" for line in dict.fromkeys(lines)], ""
        elif not allows(values, present := plain_at(config, other)):
            return {}, [], f"{other} is {label(present)}"
    return when, [], ""


def _unreachable(where: str, values: tuple[Any, ...], kind: Kind) -> list[str]:
    if isinstance(kind, Real):
        return [f"{where}: it is searched over a range of numbers, and a condition needs single values"]
    lost = [value for value in values if not _reaches(kind, value)]
    return [f"{where}: {value!r} is outside what is searched: {kind.text()}" for value in lost]


def _reaches(kind: Kind, value: Any) -> bool:
    if isinstance(kind, Choice):
        return any(allows((value,), option) for option in kind.values)
    try:
        kind.raw(value)
    except ValueError:
        return False
    return True


def _with_own(parameter: Parameter, config: Config) -> Kind:
    """A choice that knows which component `config` has at its path."""
    kind = parameter.kind
    if not isinstance(kind, Choice) or value_problems(config, parameter.path, kind.options[0]):
        return kind
    present = plain_at(config, parameter.path)
    own = {present["kind"]: present} if isinstance(present, Mapping) and "kind" in present else {}
    return dataclasses.replace(kind, own=own)


def _capped(parameter: Parameter, limit: int, batch: int, problems: list[str]) -> tuple[Parameter, list[str]]:
    """C between a batch, below which the config refuses it, and what the datasets can fill."""
    kind = parameter.kind
    if not isinstance(kind, (PowersOfTwo, Whole)):
        return parameter, []
    floor, ceiling, what = batch, limit, "number"
    if isinstance(kind, PowersOfTwo):
        floor, ceiling, what = 1 << (batch - 1).bit_length(), 1 << (limit.bit_length() - 1), "power of two"
    low, high = max(kind.low, floor), min(kind.high, ceiling)
    if low > high:
        few = f"none lies between adapt.batch = {batch} and the {limit} entries that the datasets have"
        problems.append(f"{parameter.path}: {kind.text()}, of which {few}")
        return parameter, []
    notes = []
    if high < kind.high:
        notes.append(f"{parameter.path}: up to {high}, not {kind.high}: the largest {what} in {limit} entries")
    if low > kind.low:
        notes.append(f"{parameter.path}: from {low}, not {kind.low}: adapt.batch is {batch}")
    return dataclasses.replace(parameter, kind=dataclasses.replace(kind, low=low, high=high)), notes


def _try_ends(parameters: Sequence[Parameter], config: Config, problems: list[str]) -> list[str]:
    """Every end and choice, wherever it applies, with the others as they are in `config`, all low and all high.

    An end that fits none of the three is a problem; of one that does not fit all, a note is made.
    """
    bad: dict[str, None] = {}
    notes: dict[str, None] = {}
    for parameter in parameters:
        for context in _contexts(parameter, parameters, config):
            where = " and ".join(f"{path} is {label(value)}" for path, value in context.items())
            for end in parameter.kind.values:
                fixed = {**context, parameter.path: end}
                refused = [_refusals(config, _corner(parameters, config, fixed, at)) for at in (None, 0, -1)]
                if all(refused):
                    bad |= dict.fromkeys(_explained(parameter, line, where) for line in refused[0])
                else:
                    notes |= dict.fromkeys(line for lines in refused for line in lines)
    problems += bad
    return [f"combinations like this one are refused, and drawn again: {line}" for line in notes]


def _refusals(config: Config, edits: Edits) -> list[str]:
    try:
        configure(config, edits)
    except ConfigError as error:
        return error.problems
    return []


def _explained(parameter: Parameter, line: str, where: str) -> str:
    advice = "; say with `when` where it applies" if line.startswith(f"{parameter.path}: there is no ") else ""
    return line + (f" (where {where})" if where else "") + advice


def _corner(parameters: Sequence[Parameter], config: Config, fixed: Edits, at: int | None) -> Edits:
    """Edits with `fixed`; the others at their first (0) or last (-1) value, or with None, and if choices, unedited."""
    edits: Edits = {}
    known: Edits = {}
    for parameter in parameters:
        path = parameter.path
        if not parameter.applies(known):
            continue
        if path in fixed:
            edits[path] = known[path] = fixed[path]
        elif at is not None and not isinstance(parameter.kind, Choice):
            edits[path] = known[path] = parameter.kind.values[at]
        elif not value_problems(config, path, parameter.kind.values[0]):
            known[path] = plain_at(config, path)
    return edits


def _contexts(parameter: Parameter, parameters: Sequence[Parameter], config: Config) -> Iterator[Edits]:
    """All edits of what decides if and where a parameter applies, under which it does."""
    family = [parameter]
    for other in reversed(parameters):
        if any(member.needs(other.path) for member in family):
            family.append(other)
    above = family[:0:-1]
    for values in itertools.product(*(_deciding(other, family) for other in above)):
        given = {other.path: value for other, value in zip(above, values, strict=True) if value is not _ABSENT}
        trial = _corner(parameters, config, {**given, parameter.path: parameter.kind.values[0]}, None)
        if trial.keys() >= {*given, parameter.path} and not any(o.path in trial for o in above if o.path not in given):
            yield given


_ABSENT = object()


def _deciding(other: Parameter, family: Sequence[Parameter]) -> list[Any]:
    """The values of `other` that make a difference to its family."""
    named = [value for member in family for value in member.when.get(other.path, ())]
    values = list(other.kind.values) if isinstance(other.kind, Choice) else named
    return [*values, _ABSENT] if other.when else values
