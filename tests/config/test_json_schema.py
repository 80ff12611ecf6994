"""The JSON schema accepts what the config accepts, and refuses what an editor can see to be wrong."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from gckd.cli.main import cli
from gckd.config import PRESETS, Config, encode, from_yaml, preset, to_yaml
from gckd.config.fields import Limits
from gckd.config.json_schema import json_schema
from gckd.config.serialization import load_yaml
from gckd.config.tree import walk
from tests.cli.test_commands import status_of

VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def paths_of_errors(config: Any) -> list[str]:
    return [".".join(map(str, error.absolute_path)) for error in VALIDATOR.iter_errors(config)]


def test_it_is_a_schema_of_the_draft_it_names() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    assert json.loads(json.dumps(json_schema())) == json_schema()


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_accepted(name: str) -> None:
    assert paths_of_errors(load_yaml(to_yaml(preset(name)))) == []


@pytest.mark.parametrize(
    "text",
    [
        "graph: {propagate: none}",
        "graph: {propagate: }",
        "distill: {targets: {kind: soft, sharpen: 1}}",
        "adapt: {steps: 0}",
        "{}",
    ],
)
def test_a_file_that_the_config_accepts_is_accepted(text: str) -> None:
    assert from_yaml(Config, text)
    assert paths_of_errors(load_yaml(text)) == []


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("adapt: {stepz: 1}", "adapt"),
        ("adapt: {steps: -1}", "adapt.steps"),
        ("adapt: {lr: 0}", "adapt.lr"),
        ("adapt: {steps: many}", "adapt.steps"),
        ("evaluate: {below: best}", "evaluate.below"),
        ("centre: 1", "centre"),
        ("graph: {propagate: gnm}", "graph.propagate"),
        ("graph: {propagate: {kind: gnn, kk: 3}}", "graph.propagate"),
        ("graph: {propagate: {kind: gnn, k: 0}}", "graph.propagate"),
        ("graph: {propagate: {k: 3}}", "graph.propagate"),
    ],
)
def test_a_misspelt_field_and_a_value_out_of_range_are_refused(text: str, path: str) -> None:
    assert paths_of_errors(load_yaml(text)) == [path]


def test_every_field_has_its_type_default_description_unit_and_limits() -> None:
    words = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
    types = {int: "integer", float: "number", bool: "boolean", str: "string"}
    for path, value, hint, limits in walk(Config()):
        field = schema_at(path, Config())
        assert field["type"] == types[hint], path
        assert field["default"] == value, path
        assert field["description"].startswith(limits.doc), path
        assert field.get("unit", "") == limits.unit, path
        assert limits_in(field, words) == limits_of_field(limits, words), path


def schema_at(path: str, config: Config) -> dict[str, Any]:
    """Schema of the field at a path; of a component's alternatives, the one that the config has."""
    schema, encoded = json_schema(), encode(config)
    for name in path.split("."):
        schema, encoded = schema["properties"][name], encoded[name]
        if "oneOf" in schema:
            mappings = [alternative for alternative in schema["oneOf"] if "properties" in alternative]
            (schema,) = [m for m in mappings if m["properties"]["kind"]["const"] == encoded["kind"]]
    return schema


def limits_in(field: dict[str, Any], words: dict[str, str]) -> dict[str, Any]:
    return {name: field.get(word) for name, word in words.items()} | {"choices": tuple(field.get("enum", ()))}


def limits_of_field(limits: Limits, words: dict[str, str]) -> dict[str, Any]:
    return {name: getattr(limits, name) for name in [*words, "choices"]}


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(cli, "config", "--schema") == 0
    assert json.loads(capsys.readouterr().out) == json_schema()
