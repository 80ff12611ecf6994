"""A question as a file: which rows answer it, around which config, over how many seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from gckd.ablations.rows import Rows, add_rows, drop_rows, factorial_rows, grid_rows, joined, row_name
from gckd.config import Config, ConfigError, apply
from gckd.config.edit import effective_edits
from gckd.config.serialization import load_yaml
from gckd.errors import InputError, reason_of
from gckd.report.checks import CHECKS

SPECS = Path(__file__).parent / "specs"
_NAMES = {"type": "array", "items": {"type": "string"}, "minItems": 1}
_VALUES = {"type": "object", "additionalProperties": {"type": "array", "minItems": 1}, "minProperties": 1}
_EDITS = {"type": "object", "minProperties": 1}
_ROWS = {
    "drop": _NAMES,
    "add": _NAMES,
    "factorial": {"type": "string"},
    "sweep": _VALUES,
    "grid": _VALUES,
    "rows": {"type": "object", "additionalProperties": _EDITS, "minProperties": 1},
    "rows_of": {"type": "string"},
}
_BLOCKS = {
    "pairs": {"const": "all"},
    "shift": {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}, "minItems": 2},
    "each": {"type": "object", "additionalProperties": {"type": "object"}, "minProperties": 2},
}
_SCHEMA = {
    "type": "object",
    "properties": {
        "question": {"type": "string"},
        "seeds": {"type": "integer", "minimum": 1},
        "set": _EDITS,
        "checks": {"type": "array", "items": {"enum": list(CHECKS)}},
        **_ROWS,
        **_BLOCKS,
    },
    "additionalProperties": False,
    "anyOf": [{"required": [key]} for key in _ROWS],
    "dependentSchemas": {key: {"not": {"anyOf": [{"required": [o]} for o in _BLOCKS if o != key]}} for key in _BLOCKS},
}


@dataclass(frozen=True)
class Spec:
    """The keys of the file; `drop`, `add`, `factorial` and `sweep` are as the options of their name.

    set: edits of the full config. grid: path -> values, a row for each combination that is no row yet. rows: name ->
    edits of the full config. rows_of: another spec, whose rows are rows of this one too. checks: of
    `gckd.report.checks`, whose figures the table ends in. At most one of the last three, each of which makes several
    tables: pairs: "all", one for each ordered pair of datasets; shift: one for each street of such a gap; each: name ->
    edits of the full config.
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
    checks: tuple[str, ...] = ()
    pairs: str = ""
    shift: tuple[float, ...] = ()
    each: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def full(self, config: Config, given: Mapping[str, Any]) -> Config:
        """The full config of the spec, around the user's.

        Args:
            given: edits that the user made to it.

        Raises:
            ConfigError: an edit is refused, or the user made it too.
        """
        twice = [path for path in self.set if path in given]
        if twice:
            raise ConfigError([f"--set {path}: it conflicts with --spec, which sets it" for path in twice])
        return apply(config, effective_edits(config, self.set))

    def all_rows(self, config: Config) -> Rows:
        """Every row but the full one, of a checked full config.

        Raises:
            InputError: a row is refused, or two have the same name.
        """
        parts = [add_rows(self.add, config), drop_rows(self.drop, config)]
        parts += [factorial_rows(self.factorial, config)] if self.factorial else []
        parts += [grid_rows({path: values}, config) for path, values in self.sweep.items()]
        swept = joined(*parts)
        grid = grid_rows(self.grid, config) if self.grid else {}
        # A combination with one value changed may be a row of a sweep already.
        new = {name: edits for name, edits in grid.items() if edits not in swept.values()}
        others = load_spec(self.rows_of).all_rows(config) if self.rows_of else {}
        return joined(swept, new, others, self._named(config))

    def _named(self, config: Config) -> Rows:
        rows: Rows = {}
        for name, edits in self.rows.items():
            rows[row_name(name)] = effective_edits(config, edits)
            try:
                apply(config, rows[row_name(name)])
            except ConfigError as error:
                raise ConfigError([f"rows.{name}: {problem}" for problem in error.problems]) from error
        return rows


def load_spec(name: str) -> Spec:
    """The spec that ships with the project under this name, or the one in this file.

    Raises:
        InputError: there is none, or it cannot be read; everything that is wrong with it, one line each.
    """
    file = SPECS / f"{name}.yaml"
    if not file.exists():
        file = Path(name)
    try:
        data = load_yaml(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(sorted(path.stem for path in SPECS.glob("*.yaml")))
        raise InputError(f"--spec: {name} is no file that can be read, nor one of {known}") from error
    except yaml.YAMLError as error:
        raise InputError(f"--spec: {name} is not YAML ({reason_of(error)})") from error
    problems = _problems(data)
    if problems:
        raise ConfigError([f"--spec {name}: {problem}" for problem in problems])
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    return Spec(**fields)


def _problems(data: Any) -> list[str]:
    found = sorted(Draft202012Validator(_SCHEMA).iter_errors(data), key=lambda error: list(map(str, error.path)))
    return [f"{'.'.join(map(str, error.path)) or 'it'}: {error.message}" for error in found]
