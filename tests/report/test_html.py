"""report.html of a table: its text, and its layout in a browser."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from playwright.sync_api import Browser
from rich.console import Console

from gckd.config import preset, to_yaml
from gckd.report.question import Question
from gckd.report.table_report import make_report, write_report
from gckd.runs.records import Records
from tests.browser import CELLS, DESK, FOLDED, PAPER, PHONE, check_layout, opened
from tests.report.records import failed, record

QUESTION = "Does <b>anything</b> matter & why?"
OFF = {"kind": "none"}
EDITS = {
    "full": {},
    "-gmp": {"graph.propagate": OFF},
    "-cmkd": {"distill.teacher": OFF, "distill.targets": {"kind": "mutual"}, "distill.matching": OFF},
    "-gmp-cmkd": {"graph.propagate": OFF, "distill.teacher": OFF, "distill.targets": OFF, "distill.matching": OFF},
    "graph.propagate.k=3,distill.matching.delta=0.9": {"graph.propagate.k": 3, "distill.matching.delta": 0.9},
}
DROPPED = {"-gmp": ["gmp"], "-cmkd": ["cmkd"], "-gmp-cmkd": ["gmp", "cmkd"]}
LABELS_WARNING = "Uses labels of the target"


def fill(folder: Path) -> Path:
    """A table with everything that a page can show: 5 rows with 2 seeds, and a failed run."""
    records = Records(folder)
    for place, (row, edits) in enumerate(EDITS.items()):
        for seed in (0, 1):
            curve = [
                {"stage": stage, "step": step, "name": name, "value": 50 + step * seed + place}
                for stage in ("pretrain", "adapt")
                for name in ("target_val_rank_1", "source_val_map", "loss", "audit_target_precision")
                for step in range(4)
            ]
            facts = {"edits": json.dumps(edits), "git_revision": "1a2b" * 10, "pretrain_seconds": 60.0 + seed}
            run = record(row, seed, 60 + 2 * seed - place * (1 + 0.25 * seed), seconds=10.0 * (place + 1), **facts)
            records.add(run, curve)
    broken = {"edits": json.dumps(EDITS["-gmp"]), "git_revision": "1a2b" * 10, "seconds": 1.5}
    records.add(failed("-gmp", 2) | broken | {"error": "FloatingPointError: <loss> is not finite"})
    (folder / "config.yaml").write_text(to_yaml(preset("tiny")))
    Question(QUESTION, DROPPED).save(folder)
    figure(folder, "edges", labels=False)
    figure(folder, "gain", labels=True)
    examples(folder)
    launches = [{"begun": "2026-11-23 07:00 UTC", "command": "python ablations/run.py --drop gmp", "torch": "2.13.0"}]
    (folder / "launches.json").write_text(json.dumps(launches))
    return folder


def figure(folder: Path, name: str, *, labels: bool) -> None:
    figures = folder / "figures"
    figures.mkdir(exist_ok=True)
    note = {
        "title": f"About {name}",
        "key": "Line: mean.",
        "sentences": [f"{name} one.", "Two.", "Three."],
        "uses_target_labels": labels,
    }
    (figures / f"{name}.json").write_text(json.dumps(note))
    drawing = '<svg xmlns="http://www.w3.org/2000/svg" width="900" height="300"><circle cx="9" cy="9" r="5"/></svg>'
    (figures / f"{name}.svg").write_text(drawing)
    Image.new("RGB", (90, 30)).save(figures / f"{name}.png")


def examples(folder: Path) -> None:
    lines = [
        {"query": query, "caption": f"a <coat> {query}", "kind": kind, "row": row, "rank": 2, "ap": 0.5}
        | {"images": [jpeg(60 * place + 5) for place in range(4)], "hits": [False, True, False, False]}
        for query, kind in ((7, "drawn from all"), (3, "full right, -gmp wrong"))
        for row in ("full", "-gmp")
    ]
    about = {"seed": 0, "against": "-gmp", "random": 4, "each": 2, "queries": 30, "better": 11, "worse": 5}
    table = pa.Table.from_pylist(lines)
    pq.write_table(table.replace_schema_metadata({"about": json.dumps(about)}), folder / "examples.parquet")


def jpeg(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (48, 96), (shade, 120, 90)).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    filled = fill(tmp_path_factory.mktemp("table"))
    write_report(filled, Console(file=io.StringIO()))
    return filled


@pytest.fixture(scope="module")
def text(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def expected(line: dict[str, str], name: str, sign: str = "") -> str:
    """Text of a cell, computed from the numbers of table.csv."""
    if not line[name]:
        return ""
    return f"{float(line[name]):{sign}.1f} ± {float(line[name + '_half_width']):.1f}"


def test_chromium_shows_the_numbers_of_the_csv(chromium: Browser, folder: Path) -> None:
    with opened(chromium, folder / "report.html", DESK) as page:
        (table,) = page.eval_on_selector_all("#s1 table", CELLS)
        marks = {
            tag: page.eval_on_selector_all(f"#s1 td:nth-child(3) {tag}", "marks => marks.map(m => m.textContent)")
            for tag in ("strong", "u")
        }
    lines = list(csv.DictReader((folder / "table.csv").open()))
    head, *body = table
    assert len(body) == len(lines) == len(EDITS)
    for line, cells in zip(lines, body, strict=True):
        shown = dict(zip(head, cells, strict=False))
        assert shown["row"] == line["row"]
        assert shown["runs"] == ("2 (1 of 3 failed)" if line["failed"] == "1" else "2")
        for name, key in (("Rank-1", "rank_1"), ("Rank-5", "rank_5"), ("mAP", "map"), ("mINP", "minp")):
            assert shown[name] == expected(line, key)
        assert shown["Δ Rank-1 (full - row)"] == expected(line, "full_minus_row_rank_1", "+")
        assert shown["Δ mAP (full - row)"] == expected(line, "full_minus_row_map", "+")
    # Means fall by 1.125 from row to row; two seeds support none of the differences.
    assert marks == {"strong": [], "u": [expected(lines[0], "rank_1")]}


def test_the_page_fits_a_phone_a_desk_and_paper(chromium: Browser, folder: Path) -> None:
    check_layout(chromium, folder / "report.html")
    with opened(chromium, folder / "report.html", PAPER) as page:
        page.emulate_media(media="print")
        assert page.evaluate(FOLDED) == []
        heights = page.evaluate("[...document.querySelectorAll('.example')].map(e => e.offsetHeight)")
        assert heights and max(heights) < PAPER["height"] / 2  # two on a page


def test_a_screenshot_is_not_empty(chromium: Browser, folder: Path, tmp_path: Path) -> None:
    with opened(chromium, folder / "report.html", PHONE) as page:
        page.screenshot(path=tmp_path / "phone.png", full_page=True)
        page.pdf(path=tmp_path / "paper.pdf", format="A4")
    with Image.open(tmp_path / "phone.png") as picture:
        assert picture.width == PHONE["width"] and picture.height > 2 * PHONE["height"]
        assert len(set(picture.convert("RGB").get_flattened_data())) > 100
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF")


def test_the_page_needs_no_other_file_and_escapes_texts(text: str) -> None:
    assert not re.search(r"https?:|<script|<link|url\(|@import", text)
    assert "<b>anything" not in text and "<loss>" not in text and "<coat>" not in text


def test_all_sections_are_there_in_order(text: str) -> None:
    titles = re.findall("<h2>(.*?)</h2>", text)
    assert titles == [
        "Results",
        "Warnings",
        "Over seeds",
        "Shapley values",
        "Conditions of the runs",
        "Failed runs",
        "About edges",
        "About gain",
        "Examples",
        "Rank-1 and mAP during training",
        "All other curves",
        "Changes of each row",
        "Config of the full row",
        "Experimental setup",
        "Runs",
        "Time",
        "Command",
        "Code, versions and machine",
    ]


def parts(text: str) -> dict[str, str]:
    """Title of each section -> its HTML."""
    return dict(re.findall(r"<h2>(.*?)</h2>(.*?)</section>", text, re.DOTALL))


def cells_of(part: str) -> list[list[str]]:
    rows = re.findall("<tr.*?</tr>", part)
    return [[re.sub("<[^>]*>", "", cell) for cell in re.findall("<t[hd].*?</t[hd]>", row)] for row in rows]


def test_a_figure_that_used_labels_has_a_warning(text: str) -> None:
    part = parts(text)
    assert LABELS_WARNING in part["About gain"] and LABELS_WARNING not in part["About edges"]
    assert "gain one." in part["About gain"]
    assert "Rank-1 on target val" in part["Rank-1 and mAP during training"].partition("<div")[0]
    assert "audit target precision" in part["All other curves"].partition("<div")[0]


def test_changes_of_each_row(text: str) -> None:
    cells = cells_of(parts(text)["Changes of each row"])
    k, delta = preset("tiny").graph.propagate.k, preset("tiny").distill.matching.delta  # type: ignore[union-attr]
    swept = "graph.propagate.k=3,distill.matching.delta=0.9"
    assert [swept, "graph.propagate.k", str(k), "3"] in cells
    assert [swept, "distill.matching.delta", str(delta), "0.9"] in cells
    (gmp,) = [line for line in cells if line[0] == "-gmp"]
    assert gmp[2].startswith(f"{preset('tiny').graph.propagate.kind} (") and f"k {k}" in gmp[2] and gmp[3] == "none"


def test_failed_runs_come_first_with_their_errors(text: str) -> None:
    part = parts(text)
    error = "FloatingPointError: &lt;loss&gt; is not finite"
    assert cells_of(part["Failed runs"])[1:] == [["-gmp", "2", error, "1.5 s"]]
    assert cells_of(part["Runs"])[1][:4] == ["-gmp", "2", "failed", "-"]
    assert len(cells_of(part["Runs"])) == 1 + 11
    assert "1 of 11 runs failed" in text and 'class="labels alert"' in text


def test_time_counts_each_source_model_once(text: str) -> None:
    part = parts(text)["Time"]
    assert f"{(60.0 + 61.0) / 60:.1f} min" in part
    cells = {line[0]: line[1:] for line in cells_of(part)}
    assert cells["-gmp"] == ["3", f"{41.5 / 3:.1f} s", "41.5 s"]
    assert cells["all"][0] == "11" and cells["all"][2] == f"{301.5 / 60:.1f} min"


def test_examples_frame_the_hits(text: str) -> None:
    part = parts(text)["Examples"]
    assert part.count("<article") == 2 and part.count("<img") == 16 and part.count("<li class=hit>") == 4
    assert "2 of the 11 queries whose first image is a hit in full but not in -gmp" in part
    assert "first hit at rank 2, AP 50 %" in part


def test_sections_without_files_are_left_out(tmp_path: Path) -> None:
    fill(tmp_path)
    for gone in ("examples.parquet", "launches.json", "question.json", "figures"):
        (tmp_path / gone).rename(tmp_path / f"no-{gone}")
    write_report(tmp_path, Console(file=io.StringIO()))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    titles = re.findall("<h2>(.*?)</h2>", text)
    assert titles[:5] == ["Results", "Warnings", "Over seeds", "Conditions of the runs", "Failed runs"]
    assert not {"Examples", "Command", "About edges"} & set(titles)
    assert "1a2b1a2b1a2b" in parts(text)["Code and versions"]


def test_two_datasets_are_subtables_one_below_the_other(tmp_path: Path) -> None:
    for place, name in enumerate(("one", "two")):
        records = Records(tmp_path / name)
        for row, edits in list(EDITS.items())[:2]:
            facts = {"edits": json.dumps(edits), "git_revision": "1a2b", "source": f"a/{name}", "target": f"b/{name}"}
            digests = {"source_digest": name, "target_digest": name}
            records.add(record(row, 0, 60 - (row != "full") - 3 * place, **facts, **digests))
        (tmp_path / name / "config.yaml").write_text(to_yaml(preset("tiny")))
        figure(tmp_path / name, "edges", labels=False)
    make_report([tmp_path / "one", tmp_path / "two"], Console(file=io.StringIO()), out=tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    cells = cells_of(parts(text)["Results"])
    assert [line[0] for line in cells] == ["row", "a/one → b/one", "full", "-gmp", "a/two → b/two", "full", "-gmp"]
    assert text.count("<u>60.0<small>") == 1 and text.count("<u>57.0<small>") == 1
    titles = re.findall("<h2>(.*?)</h2>", text)
    assert [title for title in titles if "edges" in title] == [f"About edges: a/{n} → b/{n}" for n in ("one", "two")]


def test_a_single_run_has_a_page(tmp_path: Path) -> None:
    facts: dict[str, Any] = {"edits": "{}", "git_revision": "unknown", "seconds": 1.0, "pretrain_seconds": 2.0}
    Records(tmp_path).add(record("full", 0, 50, **facts))
    (tmp_path / "config.yaml").write_text(to_yaml(preset("tiny")))
    write_report(tmp_path, Console(file=io.StringIO()))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "1 row: full. Finished." in text
    assert "No row changes the full config." in text and "<strong>50.0" not in text


def test_plugins_are_listed_with_digest_and_rows(tmp_path: Path) -> None:
    records = Records(tmp_path)
    plugins = {"full": "{}", "huber": json.dumps({"my_losses.py": "0123456789abcdef"})}
    for row, text in plugins.items():
        records.add(record(row, 0, 50, git_revision="gckd 1.0", plugins=text))
    (tmp_path / "config.yaml").write_text(to_yaml(preset("tiny")))
    write_report(tmp_path, Console(file=io.StringIO()))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    lines = cells_of(parts(text)["Plugins"])
    assert lines == [["file", "digest", "rows"], ["my_losses.py", "0123456789abcdef", "huber"]]
