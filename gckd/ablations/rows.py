"""The rows of a table, each a label and its edits of the full config: leave out, add in, every combination, a sweep."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

import yaml

from gckd.ablations.components import ADDED, COMPONENTS, check_names, drop_edits, label, parse_names
from gckd.config import Config, ConfigError, apply
from gckd.config.edit import effective_edits
from gckd.config.serialization import load_yaml
from gckd.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

BASELINE = "baseline"
Rows = dict[str, dict[str, Any]]
_UNSAFE = re.compile(r"[^\w.+=,-]+")  # in a label, which names a folder


def drop_rows(drops: Iterable[str], config: Config) -> Rows:
    """A row for each `--drop` text: the full method without these components.

    Raises:
        InputError: two of them are the same row, or `parse_names` or `drop_edits` refuses one.
    """
    dropped = [parse_names(text) for text in drops]
    return joined(*({label(names): drop_edits(names, config)} for names in dropped))


def add_rows(adds: Sequence[str], config: Config) -> Rows:
    """The baseline, and a row for each `--add` text: the baseline with these components, all others of `ADDED` out.

    With all of them it is the full method, which is a row of every table.

    Raises:
        InputError: two of them are the same row, a name cannot be added, or `parse_names` or `drop_edits` refuses it.
    """
    rows: list[Rows] = [{BASELINE: drop_edits(frozenset(ADDED), config)}] if adds else []
    for text in adds:
        names = parse_names(text, "--add")
        wrong = sorted(names - set(ADDED))
        if wrong:
            raise InputError(f"--add: {wrong[0]!r} cannot be added to the baseline; what can is {', '.join(ADDED)}")
        if names < set(ADDED):
            row = "".join(f"+{name}" for name in ADDED if name in names)
            rows.append({row: drop_edits(frozenset(ADDED) - names, config)})
    return joined(*rows)


def factorial_rows(text: str, config: Config) -> Rows:
    """A row without each combination of the components in `text`, but none of them: 2^n - 1 rows.

    Raises:
        InputError: `parse_names` or `drop_edits` refuses a combination.
    """
    return {name: drop_edits(frozenset(dropped), config) for name, dropped in combinations(text).items()}


def combinations(text: str) -> dict[str, tuple[str, ...]]:
    """The rows of `factorial_rows`: label -> the components that are out.

    Raises:
        InputError: `parse_names` or `check_names` refuses it.
    """
    chosen = parse_names(text, "--factorial")
    check_names(chosen, "--factorial")
    names = [name for name in COMPONENTS if name in chosen]
    subsets = (some for size in range(1, len(names) + 1) for some in itertools.combinations(names, size))
    return {label(out): out for out in subsets}


def sweep_rows(text: str, config: Config) -> Rows:
    """A row for each value of `PATH=V1,V2,...` but the one that the full config has.

    Raises:
        InputError: it is not of that form, or a value is refused; all of them are listed.
    """
    path, equals, listed = text.partition("=")
    if not equals or not all(value.strip() for value in listed.split(",")):
        raise InputError(f"--sweep: {text!r}: write it as PATH=VALUE,VALUE")
    try:
        values = [load_yaml(value) for value in listed.split(",")]
    except yaml.YAMLError as error:
        raise InputError(f"--sweep: {text!r} holds a value that is not YAML") from error
    return grid_rows({path: values}, config)


def grid_rows(values: Mapping[str, list[Any]], config: Config) -> Rows:
    """A row for every combination of values of config paths but the one that the full config has.

    Raises:
        ConfigError: a combination is refused; all that are wrong with any of them is listed.
    """
    rows: Rows = {}
    problems: list[str] = []
    for combination in itertools.product(*values.values()):
        edits = dict(zip(values, combination, strict=True))
        effective = effective_edits(config, edits)
        try:
            apply(config, effective)
        except ConfigError as error:
            problems += error.problems
            continue
        if effective:
            rows[row_name(",".join(f"{path}={value}" for path, value in edits.items()))] = effective
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return rows


def joined(*several: Rows) -> Rows:
    """All rows, in their order.

    Raises:
        InputError: two have the same name.
    """
    rows: Rows = {}
    for name, edits in itertools.chain.from_iterable(part.items() for part in several):
        if name in rows:
            raise InputError(f"row {name}: it is asked for twice")
        rows[name] = edits
    return rows


def row_name(text: str) -> str:
    """A label that can name a folder."""
    return _UNSAFE.sub("_", text)
