"""Spec: a question as a YAML file, with the rows that answer it, their full config and the number of seeds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

from gckd.ablations.rows import Rows, add_rows, drop_rows, factorial_rows, grid_rows, merge_rows, named_rows
from gckd.config import Config, ConfigError
from gckd.config.edit import configure
from gckd.config.yaml_text import MAX_CHARACTERS, YamlError, load_yaml
from gckd.errors import InputError, unknown_choice
from gckd.printable import brief, shortened
from gckd.report.checks import CHECKS
from gckd.storage.text_file import read_text

SPECS = Path(__file__).parent / "specs"
_NAMES = {"type": "array", "items": {"type": "string"}, "minItems": 1}
_VALUES = {"type": "object", "additionalProperties": {"type": "array", "minItems": 1}, "minProperties": 1}
_EDITS = {"type": "object", "minProperties": 1}
_ROW_KEYS = {
    "drop": _NAMES,
    "add": _NAMES,
    "factorial": {"type": "string"},
    "sweep": _VALUES,
    "grid": _VALUES,
    "rows": {"type": "object", "additionalProperties": _EDITS, "minProperties": 1},
    "rows_of": {"type": "string"},
}
_SUBTABLE_KEYS = {
    "pairs": {"const": "all"},
    "shift": {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}, "minItems": 2, "maxItems": 100},
    "each": {"type": "object", "additionalProperties": {"type": "object"}, "minProperties": 2, "maxProperties": 100},
}
_KEYS = {
    "question": {"type": "string"},
    "seeds": {"type": "integer", "minimum": 1},
    "set": _EDITS,
    "checks": {"type": "array", "items": {"enum": list(CHECKS)}},
    **_ROW_KEYS,
    "ceiling": {"type": "boolean"},
    **_SUBTABLE_KEYS,
}


@dataclass(frozen=True)
class Spec:
    """Contents of a spec file.

    question: first line of the table's caption. seeds: number of seeds. set: edits of the full config. checks: names in
    `gckd.report.checks.CHECKS`, whose figures the report ends with.

    Rows, at least one of: drop, add, factorial, sweep: as the options of that name. grid: path -> values, one row for
    each combination that is not a row of a sweep. rows: name -> edits of the full config. rows_of: another spec, whose
    rows are added. ceiling: as the option of that name.

    Subtables, at most one of: pairs: "all", one for each ordered pair of datasets. shift: one for each domain gap of
    the generated benchmark. each: name -> edits of the full config, one subtable for each.
    """

    question: str = ""
    seeds: int | None = None
    set: Mapping[str, Any] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    add: tuple[str, ...] = ()
    factorial: str = ""
    sweep: Mapping[str, list[Any]] = field(default_factory=dict)
    grid: Mapping[str, list[Any]] = field(default_factory=dict)
    rows: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    rows_of: str = ""
    ceiling: bool = False
    checks: tuple[str, ...] = ()
    pairs: str = ""
    shift: tuple[float, ...] = ()
    each: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def full_config(self, config: Config, user_edits: Mapping[str, Any]) -> Config:
        """The full config: the user's `config` with the edits in `set`. An edit by the user wins over one of the spec.

        Args:
            user_edits: edits that are already made in `config`.

        Raises:
            ConfigError: an edit is refused.
        """
        replaced = [path for path in self.set if any(f"{path}.".startswith(f"{given}.") for given in user_edits)]
        with_spec = configure(config, {path: value for path, value in self.set.items() if path not in replaced})
        # Again: the spec may have replaced the component whose field the user edits.
        return configure(with_spec, user_edits)

    def all_rows(self, config: Config) -> Rows:
        """Every row except the full one and the reference rows.

        Args:
            config: checked full config.

        Raises:
            InputError: a row is refused, or two have the same name.
        """
        parts = [add_rows(self.add, config), drop_rows(self.drop, config)]
        parts += [factorial_rows(self.factorial, config)] if self.factorial else []
        parts += [grid_rows({path: values}, config) for path, values in self.sweep.items()]
        swept = merge_rows(*parts)
        grid = grid_rows(self.grid, config) if self.grid else {}
        # A combination with one changed value may be a row of a sweep already.
        new = {name: edits for name, edits in grid.items() if edits not in swept.values()}
        included = self._included_rows(config)
        return merge_rows(swept, new, included, named_rows(self.rows, config))

    def _included_rows(self, config: Config) -> Rows:
        """Rows of the spec in `rows_of`, which must not include another one: it could include itself."""
        if not self.rows_of:
            return {}
        included = load_spec(self.rows_of)
        if included.rows_of:
            raise ConfigError([f"rows_of: {self.rows_of} has the key rows_of too; write its rows out"])
        return included.all_rows(config)


def spec_names() -> list[str]:
    """Names of the specs in the package."""
    return sorted(path.stem for path in SPECS.glob("*.yaml"))


def load_spec(name: str) -> Spec:
    """The spec of this name in the package, or the spec in the file `name`.

    Raises:
        InputError: there is none, it cannot be read, or its contents are wrong; all problems are listed.
    """
    file = SPECS / f"{name}.yaml"
    if not os.path.isfile(file):
        file = Path(name)
    if not os.path.isfile(file):
        raise InputError(f"--spec: {unknown_choice('spec', name, spec_names())}; or give a YAML file that exists")
    try:
        data = load_yaml(read_text(file, MAX_CHARACTERS, f"--spec: {file}"))
    except YamlError as error:
        raise InputError(f"--spec: {name}: cannot be read as YAML: {error}") from error
    problems = list(_problems(data))
    if problems:
        raise ConfigError([f"--spec {name}: {problem}" for problem in problems])
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    return Spec(**fields)


def _problems(data: Any) -> Iterator[str]:
    if not isinstance(data, dict):
        yield f"not a mapping of keys to values; the keys are {', '.join(_KEYS)}"
        return
    yield from (unknown_choice("key", key, _KEYS) for key in data if key not in _KEYS)
    if not data.keys() & _ROW_KEYS.keys():
        yield f"no rows; give at least one of {', '.join(_ROW_KEYS)}"
    subtables = [key for key in _SUBTABLE_KEYS if key in data]
    if len(subtables) > 1:
        yield f"{' and '.join(subtables)} exclude each other; keep one of them"
    validator = Draft202012Validator({"type": "object", "properties": _KEYS})
    yield from map(_message, sorted(validator.iter_errors(data), key=lambda error: list(map(str, error.path))))


_FORMS = {
    "drop": "[gmp, 'gmp,cmkd']",
    "add": "[gmp, cmkd]",
    "factorial": "gmp,cmkd",
    "sweep": "{graph.propagate.k: [2, 5]}",
    "grid": "{graph.propagate.k: [2, 5], distill.matching.delta: [0.7, 0.9]}",
    "rows": "{my-row: {graph.propagate.k: 5}}",
    "set": "{adapt.lr: 0.001}",
    "each": "{one: {graph.propagate.k: 5}, two: {graph.propagate.k: 20}}",
    "shift": "[0.2, 0.8]",
    "pairs": "all",
}


def _form(error: ValidationError) -> str:
    """`, such as drop: [gmp]` for a key of `_FORMS`."""
    key = str(error.path[0]) if error.path else ""
    return f", such as {key}: {_FORMS[key]}" if key in _FORMS else ""


_TYPE_NAMES = {"array": "list", "object": "mapping", "string": "text", "integer": "whole number"}  # of JSON schema


def _message(error: ValidationError) -> str:
    path = ".".join(map(str, error.path))
    if error.validator == "enum":
        return f"{path}: {unknown_choice('value', error.instance, error.validator_value)}"
    if error.validator == "type":
        types = [error.validator_value] if isinstance(error.validator_value, str) else error.validator_value
        names = " or a ".join(_TYPE_NAMES.get(name, name) for name in types)
        return f"{path}: {brief(error.instance)} is not a {names}{_form(error)}"
    if error.validator in ("maxItems", "maxProperties"):
        return f"{path}: {len(error.instance):,} entries are outside their limit: <= {error.validator_value}"
    if error.validator == "minimum":
        return f"{path}: {brief(error.instance)} is outside its limit: >= {error.validator_value}"
    if error.validator in ("minItems", "minProperties"):
        return f"{path}: has {len(error.instance)} entries; at least {error.validator_value} needed{_form(error)}"
    if error.validator == "const":
        return f"{path}: unknown value {brief(error.instance)}; choose from {error.validator_value}"
    return f"{path}: {shortened(error.message)}"
