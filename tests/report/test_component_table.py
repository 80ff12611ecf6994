"""The component table in its formats, and its caption."""

from __future__ import annotations

import csv
import dataclasses
import io
import math

import pytest
from rich.console import Console

from gckd.config import apply, preset
from gckd.report.captions import caption
from gckd.report.component_table import cells, header, marks, to_csv, to_markdown
from gckd.report.screen_table import to_screen
from gckd.report.summary import summarise
from tests.report.records import failed, record
from tests.report.test_queries import queries_of_run

RUNS = [record("full", 0, 70), record("full", 1, 72), record("-gmp", 0, 69), record("-gmp", 1, 69.5), failed("-gmp", 2)]
ROWS = summarise(RUNS)
RANK_1 = 2  # its column


def test_cells_show_mean_and_half_width() -> None:
    assert header(ROWS)[:3] == ["row", "runs", "Rank-1"]
    assert header(ROWS)[-4:] == ["Δ Rank-1 (full - row)", "p", "Δ mAP (full - row)", "p"]
    full, without = cells(ROWS)
    assert full == ["full", "2", "71.0 ± 12.7", "80.0 ± 0.0", "90.0 ± 0.0", "66.0 ± 12.7", "40.0 ± 0.0", *[""] * 4]
    # differences 1 and 2.5: mean 1.75, s = 1.0607, half width 12.706 x 0.75 = 9.53
    assert without[1:3] == ["2 (1 of 3 failed)", "69.2 ± 3.2"]
    # t = 1.75 / 0.75 with one degree of freedom, where p = 1 - 2 / pi x arctan(t)
    assert without[-4:] == ["+1.8 ± 9.5", "0.258"] * 2


def test_one_seed_has_no_interval() -> None:
    assert cells(summarise([record("full", 0, 70)]))[0][2] == "70.0 ± n/a"


def test_published_numbers_have_a_column() -> None:
    real = "icfg-pedes -> rstpreid"
    rows = summarise([record("full", 0, 60, published=real), record("-cmkd", 0, 60, published=real)])
    assert header(rows)[-1] == "published Rank-1"
    assert [line[-1] for line in cells(rows)] == ["59.95", ""]
    assert "published" not in " ".join(header(ROWS))


def test_csv_has_numbers() -> None:
    full, without = csv.DictReader(io.StringIO(to_csv(ROWS)))
    assert (full["row"], full["runs"], float(full["rank_1"]), full["full_minus_row_map"]) == ("full", "2", 71.0, "")
    assert (without["failed"], float(without["full_minus_row_rank_1"])) == ("1", 1.75)
    assert abs(float(without["full_minus_row_rank_1_half_width"]) - 9.5297) < 1e-3
    assert abs(float(without["p_rank_1"]) - (1 - 2 / math.pi * math.atan(1.75 / 0.75))) < 1e-6
    assert full["p_rank_1"] == ""
    assert float(full["rank_1_std"]) == pytest.approx(2**0.5, rel=1e-5)
    assert full["full_minus_row_rank_1_std"] == ""
    assert float(without["full_minus_row_rank_1_std"]) == pytest.approx(1.5 / 2**0.5, rel=1e-5)
    assert (full["rank_1_over_seeds_low"], full["rank_1_over_queries_high"]) == ("", "")  # two seeds, no queries
    assert "subtable" not in full and "rank_5_over_queries_low" not in full


def test_csv_has_both_ends_of_the_intervals() -> None:
    runs = [record(row, s, v + s) for row, v in (("full", 70.0), ("-gmp", 68.0)) for s in range(3)]
    rows = summarise(runs, {(row, s): queries_of_run(s) for row in ("full", "-gmp") for s in range(3)})
    full, without = csv.DictReader(io.StringIO(to_csv(rows)))
    assert [float(full[f"rank_1_over_seeds_{end}"]) for end in ("low", "high")] == [70.0, 72.0]
    assert [float(without[f"full_minus_row_map_over_queries_{end}"]) for end in ("low", "high")] == [0.0, 0.0]
    assert 0 < float(full["map_over_queries_low"]) < float(full["map_over_queries_high"]) < 100


def test_a_row_without_a_finished_run_is_in_every_format() -> None:
    rows = summarise([*RUNS, failed("-cmkd", 0), failed("-cmkd", 1)])
    shown = Console(width=200, record=True, file=io.StringIO())
    shown.print(to_screen(rows, 200))
    for text in (shown.export_text(), to_markdown(rows, [])):
        (line,) = (line for line in text.splitlines() if "-cmkd" in line)
        assert "0 (2 of 2 failed)" in line
    *_, line = csv.DictReader(io.StringIO(to_csv(rows)))
    assert (line["row"], line["runs"], line["failed"], line["rank_1"]) == ("-cmkd", "0", "2", "")


def test_a_marked_row_has_its_mark_in_every_format() -> None:
    rows = [dataclasses.replace(row, marked=row.row != "full") for row in ROWS]
    assert [line[0] for line in cells(rows)] == ["full", "-gmp †"]
    assert [line["marked"] for line in csv.DictReader(io.StringIO(to_csv(rows)))] == ["0", "1"]


def test_the_caption_names_rows_with_another_source_model() -> None:
    edits = {"full": "{}", "-gmp": '{"graph.propagate": {"kind": "none"}}', "clip": '{"backbone": {"kind": "clip"}}'}
    runs = [record(row, 0, 70, edits=text) for row, text in edits.items()]
    text = " ".join(caption(runs, summarise(runs), preset("tiny")))
    assert "pairs). Exceptions: another source model in clip." in text
    assert "Exceptions" not in " ".join(caption(runs[:2], summarise(runs[:2]), preset("tiny")))


def test_markdown_is_a_table_and_its_caption() -> None:
    lines = to_markdown(ROWS, ["One.", "Two."]).splitlines()
    assert [c.strip() for c in lines[0].strip("|").split("|")] == header(ROWS)
    assert set(lines[1]) <= set("|:-")
    assert [c.strip() for c in lines[3].strip("|").split("|")] == cells(ROWS)[1]
    assert [line.strip() for line in lines[-2:]] == ["One.", "Two."]


def test_the_screen_shows_the_same_cells() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(to_screen(ROWS, 200))
    shown = console.export_text()
    assert all(cell in shown for line in cells(ROWS) for cell in line)


def test_a_long_row_name_is_folded_not_cut() -> None:
    name = "graph.propagate.k=10,distill.matching.delta=0.95"
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(to_screen(summarise([record("full", 0, 70.0), record(name, 0, 69.0)]), 120))
    lines = [line.strip("┃│").split("│") for line in console.export_text().splitlines() if line.startswith("│")]
    assert "".join(line[0].strip() for line in lines) == f"full{name}"


def test_the_caption_lists_what_the_numbers_depend_on() -> None:
    config = apply(preset("tiny"), {"adapt.steps": 123, "evaluate.k_test": 128, "adapt.batch": 32})
    text = " ".join(caption(RUNS, ROWS, config))
    for part in (
        "street/ICFG-PEDES (labelled) → street/RSTPReid (unlabelled)",
        "3000 queries, 1500 gallery images",
        "Seeds: 0, 1.",
        "123 adaptation steps",
        "32 pairs per domain and step",
        "that of the last step; nothing is selected",
        "read once, at the end of a run",
        "top 128 re-ranked",
        "source val was flat",
    ):
        assert part in text, part
    assert text.count("source val was flat") == 1
    assert "published" not in text


def test_notes_of_some_seeds_name_the_seeds() -> None:
    runs = [record(row, s, 70, notes=f'["all", "flat {s}"]') for row in ("full", "-gmp") for s in (0, 1)]
    assert caption(runs, summarise(runs), preset("tiny"))[-3:] == ["all", "Seed 0: flat 0", "Seed 1: flat 1"]


@pytest.mark.parametrize("centre", [True, False])
def test_the_caption_states_the_inference_settings(centre: bool) -> None:
    config = dataclasses.replace(preset("tiny"), centre=centre)
    words = "embeddings centred by the target-train mean" if centre else "embeddings not centred"
    assert f"{words}, no re-ranking" in " ".join(caption(RUNS, ROWS, config))


def test_the_caption_states_that_test_items_are_propagated() -> None:
    words = "each test item separately propagated on the graph over the banks of its run"
    config = apply(preset("tiny"), {"graph.propagate": "gnn"})
    assert words not in " ".join(caption(RUNS, ROWS, config))
    propagated = apply(config, {"evaluate.propagate": True})
    assert f"Inference of every row: embeddings centred by the target-train mean, {words}," in " ".join(
        caption(RUNS, ROWS, propagated)
    )


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ({}, "over KNN graphs of the two target banks (graph.propagate=diffusion; graphs: image and text)."),
        ({"graph.propagate": "gnn"}, "over KNN graphs of the banks (graph.propagate=gnn; graphs: image and text)."),
        ({"graph.propagate": "none"}, None),
    ],
)
def test_the_caption_names_the_graph_that_gmp_is(edits: dict[str, str], expected: str | None) -> None:
    lines = [line for line in caption(RUNS, ROWS, apply(preset("tiny"), edits)) if line.startswith("GMP, which")]
    assert [line.endswith(expected or "") for line in lines] == [True] * (expected is not None)


@pytest.mark.parametrize(("share", "weights"), [(0.25, "0.25 x source model + 0.75 x student"), (0.0, None)])
def test_the_caption_states_that_weights_are_averaged(share: float, weights: str | None) -> None:
    lines = caption(RUNS, ROWS, apply(preset("tiny"), {"adapt.source_share": share}))
    stated = [line for line in lines if line.startswith("Evaluated weights:")]
    assert [str(weights) in line for line in stated] == [True] * (weights is not None)


def test_the_caption_names_rows_with_another_inference() -> None:
    edits = {"full": "{}", "joined": '{"evaluate.propagate": true}', "-gmp": '{"graph.propagate": {"kind": "none"}}'}
    runs = [record(row, 0, 70, edits=text) for row, text in edits.items()]
    text = " ".join(caption(runs, summarise(runs), preset("tiny")))
    assert "Inference of every row except joined (evaluate.propagate = true): embeddings" in text


def test_the_caption_names_plugins_with_their_digests() -> None:
    runs = [record("full", 0, 70), record("huber", 0, 70, plugins='{"my_losses.py": "0123456789abcdef"}')]
    text = " ".join(caption(runs, summarise(runs), preset("tiny")))
    assert "Plugins, code from outside the package: my_losses.py (digest 0123456789abcdef)." in text
    assert "Plugins" not in " ".join(caption(runs[:1], summarise(runs[:1]), preset("tiny")))


def test_a_table_of_one_row_has_no_empty_columns_on_screen() -> None:
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(to_screen(summarise([record("full", 0, 70)]), 200))
    text = console.export_text()
    assert "mINP" in text
    assert "Δ" not in text


@pytest.mark.parametrize("width", [60, 80, 100, 120, 150])
def test_no_number_is_cut_on_a_narrow_console(width: int) -> None:
    runs = [record(row, s, v + s) for row, v in (("full", 70.0), ("graph.propagate.k=25", 68.0)) for s in range(3)]
    rows = summarise(runs)
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(to_screen(rows, width))
    text = console.export_text()
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if line.startswith("│")]
    shown = {cell for line in lines for cell in line[1:] if cell}
    assert shown <= {cell for line in cells(rows) for cell in line}  # each is whole
    assert {"71.0 ± 2.5", "+2.0 ± 0.0"} <= shown
    assert ("Columns left out" in text) == (width < 120)


def test_the_console_names_the_columns_that_do_not_fit() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(to_screen(ROWS, 80))
    text = console.export_text()
    assert "Columns left out at 80 characters: Rank-10, Rank-5, mINP" in text
    assert "2 (1 of 3 failed)" not in text


def test_a_best_mean_is_bold_only_where_the_tests_support_it() -> None:
    """-gmp is 5 below full in every seed; -cmkd is as good as full, so that both have the best mean."""
    values = {"full": (65.0, 66.0, 64.5), "-gmp": (60.0, 60.9, 59.3)}
    supported = summarise([record(row, seed, v) for row, line in values.items() for seed, v in enumerate(line)])
    assert marks(supported)[0, RANK_1] == "supported"
    equal = values | {"-cmkd": (66.0, 64.5, 65.0)}
    rows = summarise([record(row, seed, v) for row, line in equal.items() for seed, v in enumerate(line)])
    assert {place: mark for (place, column), mark in marks(rows).items() if column == RANK_1} == {0: "best", 2: "best"}


def test_a_difference_that_rounds_to_zero_has_no_minus() -> None:
    rows = summarise([record("full", seed, 60.0) for seed in (0, 1)] + [record("-gmp", seed, 60.01) for seed in (0, 1)])
    assert cells(rows)[1][7] == "+0.0 ± 0.0"
