"""Pages of the site that are generated, and the links between documents."""

from __future__ import annotations

import dataclasses
import functools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import gckd
from docs.site.config_reference import config_reference
from docs.site.hooks import ROOT_DOCUMENTS, linked_files, rewrite_links
from docs.site.result_tables import RESULTS, results_page
from gckd.config import Config, preset
from gckd.config.component import Component
from gckd.config.json_schema import json_schema
from tests.documents.blocks import DOCUMENTS, ROOT

MENU: list[Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]


@functools.cache
def reference() -> str:
    """The page, made when the tests run: other tests register components after this module is imported."""
    return config_reference()


def schema_fields(node: dict[str, Any], prefix: str = "") -> set[str]:
    """Paths of all fields in a JSON schema of the config."""
    paths = set()
    for name, field in node.get("properties", {}).items():
        if name != "kind":
            paths |= {prefix + name}
        for inner in (field, *field.get("oneOf", ())):
            paths |= schema_fields(inner, f"{prefix}{name}.")
    return paths


def test_every_field_of_every_kind_is_in_the_reference() -> None:
    """The JSON schema walks the config by other code."""
    rows = re.findall(r"^\| `([\w.]+)` \|", reference(), re.MULTILINE)
    assert set(rows) == schema_fields(json_schema())
    assert len(rows) > 150


@pytest.mark.parametrize("slot", [slot for slot in Component.__subclasses__() if slot.__module__.startswith("gckd.")])
def test_every_kind_has_a_section_with_its_fields(slot: type[Component]) -> None:
    for kind in slot.choices():
        sections = re.findall(rf"^### `[\w.]+={kind.kind}`\n(.*?)(?=^##|\Z)", reference(), re.DOTALL | re.MULTILINE)
        names = {field.name for field in dataclasses.fields(kind)}
        assert any(set(re.findall(r"^\| `[\w.]+\.(\w+)` \|", text, re.MULTILINE)) == names for text in sections)


@pytest.mark.parametrize(
    ("path", "default", "tiny", "base"),
    [
        ("seed", Config().seed, preset("tiny").seed, preset("base").seed),
        ("centre", "false", "true", "false"),
        ("graph.memory.capacity", 65536, preset("tiny").graph.memory.capacity, 65536),
        ("distill.teacher.m", 0.999, 0.97, 0.999),
    ],
)
def test_a_row_has_the_default_and_the_values_of_the_presets(path: str, default: Any, tiny: Any, base: Any) -> None:
    (row,) = re.findall(rf"^\| `{re.escape(path)}` \| .*", reference(), re.MULTILINE)
    assert f" | `{default}` | `{tiny}` | `{base}` | " in row


def test_every_public_name_is_in_the_api_reference() -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^::: [\w.]+\.(\w+)$", text, re.MULTILINE)) == sorted(gckd.__all__)


def test_every_page_is_in_the_menu() -> None:
    listed = re.findall(r"[\w-]+\.md", str(MENU))
    pages = {file.name for file in (ROOT / "docs").glob("*.md")} | ROOT_DOCUMENTS.keys() | {"config.md", "results.md"}
    assert sorted(listed) == sorted(pages)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_linked_file_exists(document: Path) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8")):
        if "://" not in link:
            assert (document.parent / link).exists() or f"docs/{link}" == "docs/config.md", link


def test_links_become_links_of_the_site() -> None:
    text = "[a](docs/data.md#check-it) [b](PAPER.md) [c](LICENSE) [d](https://example.org/x)"
    assert rewrite_links(text, "README.md") == "[a](data.md#check-it) [b](paper.md) [c](files/LICENSE) " + text[-26:]
    assert rewrite_links("[b](../PAPER.md) [e](faq.md)", "docs/data.md") == "[b](paper.md) [e](faq.md)"
    assert "LICENSE" in linked_files("README.md")


def test_the_results_are_parts_of_the_log() -> None:
    log = (ROOT / "LOG.md").read_text(encoding="utf-8")
    page = results_page(log)
    assert re.findall(r"^## (.+)", page, re.MULTILINE) == [title for title, _, _ in RESULTS]
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    assert len(lines) > 10
    assert all(line in log for line in lines)
    with pytest.raises(LookupError, match="averaging"):
        results_page("## 2026-11-29: nothing\n")
