"""Rows of a table. Each has a label and the edits that turn the full config into its own."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

from gckd.ablations.components import ADDED, check_names, drop_edits, label, parse_names
from gckd.ablations.reserved_labels import BASELINE, label_problem
from gckd.config import Config, ConfigError, apply
from gckd.config.edit import effective_edits
from gckd.config.yaml_text import YamlError, load_yaml
from gckd.errors import InputError, unknown_choice
from gckd.printable import brief, shortened
from gckd.runs.plan import FULL
from gckd.storage.label import Label

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MAX_ROWS = 1_000  # of a table
Rows = dict[str, dict[str, Any]]


def drop_rows(drops: Iterable[str], config: Config) -> Rows:
    """One row for each `--drop` text: the full method without these components.

    Raises:
        InputError: two texts give the same row, or `parse_names` or `drop_edits` refuses one.
    """
    dropped = [parse_names(text) for text in drops]
    return merge_rows(*({label(names): drop_edits(names, config)} for names in dropped))


def add_rows(adds: Sequence[str], config: Config) -> Rows:
    """The baseline, and one row for each `--add` text: the baseline with these components of `ADDED`.

    A text with all of them gives no row: that is the full method, which every table has.

    Raises:
        InputError: two texts give the same row, a name cannot be added, or `parse_names` or `drop_edits` refuses it.
    """
    rows: list[Rows] = [{BASELINE: drop_edits(frozenset(ADDED), config)}] if adds else []
    for text in adds:
        names = parse_names(text, "--add")
        unknown = sorted(names - set(ADDED))
        if unknown:
            raise InputError(f"--add: {unknown_choice('component', unknown[0], ADDED)}")
        if names < set(ADDED):
            row = "".join(f"+{name}" for name in ADDED if name in names)
            rows.append({row: drop_edits(frozenset(ADDED) - names, config)})
    return merge_rows(*rows)


def factorial_rows(text: str, config: Config) -> Rows:
    """One row without each non-empty combination of the components in `text`: 2^n - 1 rows.

    Raises:
        InputError: `parse_names` or `drop_edits` refuses a combination.
    """
    return {name: drop_edits(frozenset(dropped), config) for name, dropped in combinations(text, config).items()}


def combinations(text: str, config: Config) -> dict[str, tuple[str, ...]]:
    """Label -> dropped components, for the rows of `factorial_rows`.

    Raises:
        InputError: `parse_names` or `check_names` refuses the text, or it has too many components.
    """
    names = list(check_names(parse_names(text, "--factorial"), config, "--factorial"))
    _check_rows(f"--factorial: {len(names)} components", 2 ** len(names) - 1)
    subsets = (subset for size in range(1, len(names) + 1) for subset in itertools.combinations(names, size))
    return {label(subset): subset for subset in subsets}


def sweep_rows(text: str, config: Config) -> Rows:
    """One row for each value of `PATH=V1,V2,...` except that of the full config.

    Raises:
        InputError: the text has another form, or values are refused; all refused values are listed.
    """
    path, equals, listed = text.partition("=")
    if not equals or not all(value.strip() for value in listed.split(",")):
        raise InputError(f"--sweep: {brief(text)} is not PATH=VALUE,VALUE, for example graph.propagate.k=2,5,20")
    try:
        values = [load_yaml(value) for value in listed.split(",")]
    except YamlError as error:
        raise InputError(f"--sweep: {brief(text)} has a value that is not YAML") from error
    return grid_rows({path: values}, config)


def grid_rows(values: Mapping[str, list[Any]], config: Config) -> Rows:
    """One row for each combination of values of config paths, except that of the full config.

    Raises:
        ConfigError: combinations are refused; the problems of all of them are listed.
        InputError: there are too many.
    """
    sizes = " x ".join(f"{len(listed)} values of {path:.40}" for path, listed in values.items())
    _check_rows(f"sweep or grid: {sizes}", math.prod(map(len, values.values())))
    rows: Rows = {}
    texts: dict[str, str] = {}
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
            text = ",".join(f"{path}={value}" for path, value in edits.items())
            problems += _add_row(rows, texts, text, effective)
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return rows


def named_rows(rows: Mapping[str, Mapping[str, Any]], config: Config) -> Rows:
    """The rows of a spec's key `rows`: name -> edits.

    Raises:
        ConfigError: a name or an edit is refused; the message names its row.
    """
    checked: Rows = {}
    texts: dict[str, str] = {}
    problems: list[str] = []
    for name, edits in rows.items():
        effective = effective_edits(config, edits)
        try:
            apply(config, effective)
        except ConfigError as error:
            problems += [f"rows.{shortened(str(name))}: {problem}" for problem in error.problems]
        else:
            problems += filter(None, [label_problem(name, effective, config)])
        problems += _add_row(checked, texts, name, effective)
    if problems:
        raise ConfigError(problems)
    return checked


def _add_row(rows: Rows, texts: dict[str, str], text: str, edits: dict[str, Any]) -> list[str]:
    """Add a row under the label of its text, or return the problem that it has with the label.

    Args:
        texts: label -> text of the rows that were added; extended.
    """
    try:
        name = Label.of(str(text))
    except InputError as error:
        return [f"row {brief(text)}: {error}"]
    if name == FULL:
        return [f"row {text}: {FULL!r} is the label of the full method; choose another name"]
    if name in rows:
        return [f"row {text}: has the same label {name!r} as row {texts[name]}; rename one"]
    rows[name], texts[name] = edits, text
    return []


def merge_rows(*several: Rows) -> Rows:
    """All rows, in their order.

    Raises:
        InputError: two have the same name, or there are more than `MAX_ROWS`.
    """
    _check_rows("rows", sum(map(len, several)))
    rows: Rows = {}
    for name, edits in itertools.chain.from_iterable(part.items() for part in several):
        if name in rows:
            raise InputError(f"row {name}: given twice; remove one of the two")
        rows[name] = edits
    return rows


def _check_rows(origin: str, number: int) -> None:
    if number > MAX_ROWS:
        raise InputError(f"{origin}: {number:,} rows are outside the limit of a table: <= {MAX_ROWS:,}")


def labels(key: str, names: Iterable[str]) -> dict[str, Label]:
    """Name of a subtable -> its label.

    Args:
        key: of the spec, or option, that has the names.

    Raises:
        ConfigError: a name gives no label, or two give the same; all problems are listed.
    """
    by_name: dict[str, Label] = {}
    problems: list[str] = []
    for name in names:
        try:
            subtable = Label.of(str(name))
        except InputError as error:
            problems.append(f"{key}: {error}")
            continue
        same = [earlier for earlier, other in by_name.items() if subtable == other]
        problems += [f"{key}: {name!r} and {earlier!r} both have the label {subtable}; rename one" for earlier in same]
        by_name[name] = subtable
    if problems:
        raise ConfigError(problems)
    return by_name
