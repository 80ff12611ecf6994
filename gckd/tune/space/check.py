"""Check of a space against the config that is searched around, before the first trial."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gckd.config import Config, ConfigError
from gckd.config.edit import configure, encoded_at, value_problems
from gckd.config.stages import NO_SEARCH_BY_LABELS
from gckd.printable import brief
from gckd.tune.space.choice import kind_or_value
from gckd.tune.space.parameter import Parameter, allows
from gckd.tune.space.range_type import RangeType

CAPACITY = "graph.memory.capacity"
_BATCH = "adapt.batch"

Edits = dict[str, Any]


def check_parameters(
    parameters: Sequence[Parameter], config: Config, capacity_limit: int
) -> tuple[tuple[Parameter, ...], list[str]]:
    """See `gckd.tune.space.space.Space.check`. Each parameter comes after those it needs, also in the result."""
    problems: list[str] = []
    searched, notes = _searched_around(parameters, config, problems)
    for place, parameter in enumerate(searched):
        if parameter.path == CAPACITY:
            batch = 1 if any(p.path == _BATCH for p in searched) else config.adapt.batch
            searched[place], cap_notes = _capped(parameter, capacity_limit, batch, problems)
            notes += cap_notes
    notes += _check_edge_values(searched, config, problems)
    if not searched and not problems:
        problems = [*notes, "the space is empty; add a path that applies to this config"]
    if problems:
        raise ConfigError(problems)
    return tuple(searched), notes


def _searched_around(
    parameters: Sequence[Parameter], config: Config, problems: list[str]
) -> tuple[list[Parameter], list[str]]:
    """Parameters that may apply, without conditions that `config` decides, and a note for each of the others."""
    searched: dict[str, Parameter] = {}
    skipped: dict[str, str] = {}
    for parameter in parameters:
        when, condition_problems, reason = _open_conditions(parameter, searched, skipped, config)
        problems += condition_problems
        if reason:
            skipped[parameter.path] = reason
        elif not condition_problems:
            searched[parameter.path] = Parameter(parameter.path, _range_around(parameter, config), when)
    return list(searched.values()), [f"{path}: not searched, as {reason}" for path, reason in skipped.items()]


def _open_conditions(
    parameter: Parameter, searched: Mapping[str, Parameter], skipped: Mapping[str, str], config: Config
) -> tuple[dict[str, tuple[Any, ...]], list[str], str]:
    """Conditions on searched paths, problems, and the reason why the parameter never applies ("": it may)."""
    when: dict[str, tuple[Any, ...]] = {}
    for path, values in parameter.when.items():
        where = f"{parameter.path}.when.{path}"
        if path in searched:
            if problems := _unreachable(where, values, searched[path].range):
                return {}, problems, ""
            when[path] = values
        elif outer := next((p for p in searched if path.startswith(p + ".")), None):
            return {}, [f"{where}: it belongs to {outer}, which is searched; name {outer} instead"], ""
        elif path in skipped:
            return {}, [], f"{path} is not"
        elif lines := [line for value in values for line in value_problems(config, path, value)]:
            return {}, [f"{parameter.path}.when: {line}" for line in dict.fromkeys(lines)], ""
        elif not allows(values, present := encoded_at(config, path)):
            return {}, [], f"{path} is {kind_or_value(present)}"
    return when, [], ""


def _unreachable(where: str, values: tuple[Any, ...], searched: RangeType) -> list[str]:
    if searched.continuous:
        return [f"{where}: it is searched over real numbers; a condition needs a path with separate values"]
    outside = [value for value in values if not searched.contains(value)]
    return [f"{where}: {brief(value)} is outside the searched range: {searched.text()}" for value in outside]


def _range_around(parameter: Parameter, config: Config) -> RangeType:
    if value_problems(config, parameter.path, parameter.range.edge_values[0]):
        return parameter.range  # `config` has no such path; another choice may bring it
    return parameter.range.around(encoded_at(config, parameter.path))


def _capped(parameter: Parameter, limit: int, batch: int, problems: list[str]) -> tuple[Parameter, list[str]]:
    """C from the batch size, below which the config refuses it, to a power of two that holds all entries."""
    whole, sufficient = parameter.range, 1 << (limit - 1).bit_length()
    part = whole.clipped(batch, sufficient)
    if part is None:
        reason = f"no value is between adapt.batch = {batch} and {sufficient}, enough for all {limit} entries"
        problems.append(f"{parameter.path}: {whole.text()}: {reason}; give other values in a file for --space")
        return parameter, []
    (low, *_, high), (low_part, *_, high_part) = whole.edge_values, part.edge_values
    notes = []
    if high_part != high:
        notes.append(f"{parameter.path}: up to {high_part}, not {high}: a bank then holds all {limit} entries")
    if low_part != low:
        notes.append(f"{parameter.path}: from {low_part}, not {low}: adapt.batch is {batch}")
    return dataclasses.replace(parameter, range=part), notes


def _check_edge_values(parameters: Sequence[Parameter], config: Config, problems: list[str]) -> list[str]:
    """Tries every edge value where it applies, with the other parameters as in `config`, all low and all high.

    A value that the config refuses in all three cases is a problem; one that it refuses in some is a note.
    """
    refused: dict[str, None] = {}
    notes: dict[str, None] = {}
    for parameter in parameters:
        for context in _contexts(parameter, parameters, config):
            where = " and ".join(f"{path} is {kind_or_value(value)}" for path, value in context.items())
            for value in parameter.range.edge_values:
                fixed = {**context, parameter.path: value}
                cases = [_refusals(config, _corner(parameters, config, fixed, at)) for at in (None, 0, -1)]
                if all(cases):
                    refused |= dict.fromkeys(_explained(parameter, line, where) for line in cases[0])
                else:
                    notes |= dict.fromkeys(line for lines in cases for line in lines)
    problems += refused
    return [f"combinations like this one are refused, and drawn again: {line}" for line in notes]


def _refusals(config: Config, edits: Edits) -> list[str]:
    try:
        configured = configure(config, edits)
    except ConfigError as error:
        return error.problems
    return [NO_SEARCH_BY_LABELS] if configured.adapt.labels == "target" else []


def _explained(parameter: Parameter, line: str, where: str) -> str:
    """A refusal with its context, and the remedy where the component lacks the field."""
    lacks_field = line.startswith(f"{parameter.path}: ") and " field" in line
    remedy = "; limit it with `when`" if lacks_field else ""
    return line + (f" (where {where})" if where else "") + remedy


def _corner(parameters: Sequence[Parameter], config: Config, fixed: Edits, at: int | None) -> Edits:
    """Edits with `fixed`; other parameters at their edge value `at` (0: first, -1: last), categorical ones unedited.

    at: None leaves all other parameters unedited.
    """
    edits: Edits = {}
    values: Edits = {}  # also of unedited paths
    for parameter in parameters:
        path = parameter.path
        if not parameter.applies(values):
            continue
        if path in fixed:
            edits[path] = values[path] = fixed[path]
        elif at is not None and not parameter.range.categorical:
            edits[path] = values[path] = parameter.range.edge_values[at]
        elif not value_problems(config, path, parameter.range.edge_values[0]):
            values[path] = encoded_at(config, path)
    return edits


def _contexts(parameter: Parameter, parameters: Sequence[Parameter], config: Config) -> Iterator[Edits]:
    """All edits of the parameters that this one depends on, under which it applies."""
    family = [parameter]
    for other in reversed(parameters):
        if any(member.needs(other.path) for member in family):
            family.append(other)
    above = family[:0:-1]
    for values in itertools.product(*(_deciding_values(other, family) for other in above)):
        given = {other.path: value for other, value in zip(above, values, strict=True) if value is not _ABSENT}
        trial = _corner(parameters, config, {**given, parameter.path: parameter.range.edge_values[0]}, None)
        if trial.keys() >= {*given, parameter.path} and not any(o.path in trial for o in above if o.path not in given):
            yield given


_ABSENT = object()


def _deciding_values(other: Parameter, family: Sequence[Parameter]) -> list[Any]:
    """Values of `other` that make a difference to its family."""
    named = [value for member in family for value in member.when.get(other.path, ())]
    values = list(other.range.edge_values) if other.range.categorical else named
    return [*values, _ABSENT] if other.when else values
