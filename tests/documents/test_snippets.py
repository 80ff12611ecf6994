"""Python, YAML, JSON and TOML in the documents: each snippet runs or is read by the code that reads it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from gckd.ablations import spec as spec_module
from gckd.ablations.spec import load_spec
from gckd.config import preset
from gckd.data.plain_folder import read_plain_folder
from gckd.data.readers import RstpReidReader
from gckd.tune.space.space import load_space
from tests.documents.blocks import DOCUMENTS, ROOT, blocks, blocks_of


def test_every_snippet_is_tested() -> None:
    """The languages and documents of the tests below, of test_readme.py and of test_components.py."""
    python = {block.document for block in blocks("python")}
    assert python == {"README.md", "docs/components.md", "docs/equations.md", "docs/tutorial.md"}
    others = {(block.document, block.language) for document in DOCUMENTS for block in blocks_of(document)}
    data = {("docs/data.md", language) for language in ("csv", "json", "jsonl")}
    tested = {("docs/specs.md", "yaml"), ("docs/components.md", "toml"), *data}
    assert {(name, language) for name, language in others if language not in ("", "sh", "python", "text")} == tested


def test_equations_example() -> None:
    (block,) = [block for block in blocks("python") if block.document == "docs/equations.md"]
    names: dict[str, Any] = {}
    exec(block.text, names)
    assert names["labels"].shape == (32, 1000)
    assert names["labels"].sum(1).tolist() == pytest.approx([1.0] * 32, abs=1e-5)


def test_the_spec_makes_the_rows_that_it_describes(tmp_path: Path) -> None:
    spec, _ = (block.text for block in blocks("yaml"))
    file = tmp_path / "my_question.yaml"
    file.write_text(spec)
    loaded = load_spec(str(file))
    rows = loaded.all_rows(loaded.full_config(preset("tiny"), {}))
    assert list(rows) == ["graph.propagate.k=5", "graph.propagate.k=20", "one-layer"]


def test_every_key_of_a_spec_is_described() -> None:
    table = (ROOT / "docs" / "specs.md").read_text(encoding="utf-8").split("| key |")[1].split("\n\n")[0]
    described = {name.strip("` ") for line in table.splitlines()[2:] for name in line.split("|")[1].split(",")}
    assert described == spec_module._KEYS.keys()


def test_the_space_is_the_default_one() -> None:
    _, space = (block.text for block in blocks("yaml"))
    assert yaml.safe_load(space) == yaml.safe_load((ROOT / "tune" / "spaces" / "default.yaml").read_text())
    assert load_space(ROOT / "tune" / "spaces" / "default.yaml")


def test_the_annotation_file_is_read(tmp_path: Path) -> None:
    (block,) = blocks("json")
    file = tmp_path / "data_captions.json"
    file.write_text(block.text)
    records = list(RstpReidReader().read(file))
    assert [record.split for record in records] == [entry["split"] for entry in json.loads(block.text)]
    assert records[0].captions == ("A man in a red coat.", "He carries a bag.")


@pytest.mark.parametrize(("language", "images"), [("csv", 3), ("jsonl", 2)])
def test_the_plain_folder_is_read(language: str, images: int, tmp_path: Path) -> None:
    (block,) = blocks(language)
    file = tmp_path / f"captions.{language}"
    file.write_text(block.text)
    records, _ = read_plain_folder(file)
    assert len({record.image for record in records}) == images


def test_the_entry_point_has_the_group_of_plugins() -> None:
    (block,) = blocks("toml")
    assert list(tomllib.loads(block.text)["project"]["entry-points"]) == ["gckd.plugins"]
