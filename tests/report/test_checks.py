"""Checks on invented records and curves: their sentences agree with the numbers."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from gckd.config import preset, to_yaml
from gckd.report.checks import CHECKS, CheckInput
from gckd.report.checks.graph_picture import layout
from gckd.report.checks.sensitivity import near_best, scores
from gckd.report.checks.transfer import gains, rank_correlation
from gckd.report.question import Question
from gckd.report.table_report import write_report
from gckd.runs.records import Records
from tests.report.records import failed, record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONFIG = preset("tiny")  # K = 5, delta = 0.8, diffusion
NO_TARGETS = {"distill.targets": {"kind": "none"}}


def curves(row: str, seed: int, **ends: tuple[float, float]) -> list[dict[str, Any]]:
    """Curves from step 0 to 80 of the adaptation."""
    return [
        {"row": row, "seed": seed, "stage": "adapt", "step": step, "name": name, "value": value}
        for name, pair in ends.items()
        for step, value in zip((0, 80), pair, strict=True)
    ]


def run(row: str, seed: int, rank_1: float, edits: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {**record(row, seed, rank_1), "edits": json.dumps(edits or {}, sort_keys=True)}


def check_input(records: list[dict[str, Any]], points: list[dict[str, Any]], folder: Path) -> CheckInput:
    return CheckInput(records, points, CONFIG, folder)


def read_figure(folder: Path, name: str) -> dict[str, Any]:
    """JSON of a figure, after a check of the three files."""
    with Image.open(folder / "figures" / f"{name}.png") as picture:
        assert min(picture.size) > 300
        assert len(set(picture.convert("RGB").get_flattened_data())) > 20
    assert (folder / "figures" / f"{name}.svg").read_text().rstrip().endswith("</svg>")
    note: dict[str, Any] = json.loads((folder / "figures" / f"{name}.json").read_text())
    assert set(note) == {"title", "key", "sentences", "uses_target_labels"}
    assert len(note["sentences"]) == 3 and all(sentence.endswith(".") for sentence in note["sentences"])
    assert "nan" not in " ".join(note["sentences"])
    return note


def draw(check: str, given: CheckInput) -> dict[str, dict[str, Any]]:
    for result in CHECKS[check](given):
        result.write(given.folder)
    return {
        file.stem: read_figure(given.folder, file.stem) for file in sorted((given.folder / "figures").glob("*.json"))
    }


# Connectivity


def test_connectivity_by_hand(tmp_path: Path) -> None:
    points = []
    for seed, share in ((0, 0.1), (1, 0.3)):
        ends = {"cross_edges_image": (0.9, share), "cross_edges_text": (0.9, 0.5), "components_image": (9.0, 3.0)}
        ends |= {"components_text": (9.0, 1.0), "hubness_image": (9.0, 2.0 + seed)}
        ends |= {"audit_same_identity_image": (0.0, 0.4), "audit_same_identity_text": (0.0, 0.25)}
        points += curves("full", seed, **ends) + curves("k=2", seed, hubness_image=(0.0, 1.0))
    records = [run("full", s, 50.0 + s) for s in (0, 1)] + [run("k=2", s, 60.0 + s) for s in (0, 1)]
    (note,) = draw("graph_connectivity", check_input(records, points, tmp_path)).values()
    crossing, same, best = note["sentences"]
    assert note["uses_target_labels"]
    assert "20.0 % of the edges of target images and 50.0 % of the edges of target captions" in crossing
    assert "n = 2); the image graph has 3 connected components, the caption graph 1." in crossing
    assert "40 % and 25 % in row full." in same and "k=2" not in same
    assert "Row k=2 has the highest Rank-1 on target test, 60.5 (full: 50.5)" in best
    assert "highest in row full (2.5) and lowest in row k=2 (1.0; 0: no hubs)" in best


def test_connectivity_without_a_graph_or_an_audit_is_not_measured(tmp_path: Path) -> None:
    (note,) = draw("graph_connectivity", check_input([run("full", 0, 50.0)], [], tmp_path)).values()
    assert "has no source nodes" in note["sentences"][0]
    assert "was not measured" in note["sentences"][1]
    assert "hubness was not measured" in note["sentences"][2]


def test_the_picture_counts_the_edges_that_cross(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for modality, edges in (("image", [[0, 1], [1, 2], [2, 3]]), ("text", [[0, 3], [3, 0]])):
        arrays[f"{modality}_nodes"] = random.normal(size=(4, 6)).astype(np.float32)
        arrays[f"{modality}_target"] = np.array([False, False, True, True])
        arrays[f"{modality}_edges"] = np.array(edges, dtype=np.int32)
    (tmp_path / "full" / "seed-1").mkdir(parents=True)
    np.savez(tmp_path / "full" / "seed-1" / "graph.npz", **arrays)
    notes = draw("graph_connectivity", check_input([run("full", s, 50.0) for s in (0, 1)], [], tmp_path))
    sentences = notes["graph_picture"]["sentences"]
    assert "2 source and 2 target nodes" in sentences[0]
    assert "1 of 3 (33 %) in row full, images; 2 of 2 (100 %) in row full, captions" in sentences[1]
    assert not notes["graph_picture"]["uses_target_labels"]


def test_the_layout_draws_neighbours_close_together() -> None:
    """Two rings of ten nodes: the nodes of a ring are closer to each other than to those of the other ring."""
    edges = np.array([[10 * ring + i, 10 * ring + (i + 1) % 10] for ring in (0, 1) for i in range(10)], dtype=np.int32)
    places = layout(np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32), edges)
    assert places.shape == (20, 2) and np.isfinite(places).all()
    distance = np.linalg.norm(places[:, None] - places[None], axis=-1)
    assert distance[:10, :10].mean() < distance[:10, 10:].mean()
    assert np.array_equal(places, layout(np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32), edges))


# Transfer


def test_gains_are_over_the_row_that_learns_nothing_from_the_target(tmp_path: Path) -> None:
    records = [run("full", 0, 55.0), run("full", 1, 57.0), failed("m", 0), run("none", 0, 50.0, NO_TARGETS)]
    gain_of, reference = gains(check_input(records, [], tmp_path))
    assert gain_of == {("full", 0): 5.0}  # seed 1 has no baseline
    assert reference == "target test, over row none"


def test_without_such_a_row_gains_are_over_the_source_model(tmp_path: Path) -> None:
    points = curves("full", 0, target_val_rank_1=(40.0, 44.5)) + curves("full", 1, target_val_rank_1=(41.0, 40.0))
    gain_of, reference = gains(check_input([run("full", s, 55.0) for s in (0, 1)], points, tmp_path))
    assert gain_of == {("full", 0): 4.5, ("full", 1): -1.0}
    assert reference == "target val, over the source model before adaptation"


def test_transfer_by_hand(tmp_path: Path) -> None:
    records, points = [run("baseline", s, 50.0, NO_TARGETS) for s in (0, 1)], []
    for row, gain in (("full", 4.0), ("-soft-targets", 1.0)):
        for seed in (0, 1):
            records.append(run(row, seed, 50.0 + gain + seed))
            ends = {"accepted_share": (0.0, 0.25), "confidence_10": (0.1, 0.2), "confidence_90": (0.8, 0.9)}
            ends |= {"confidence_50": (0.4, 0.5), "target_entropy": (3.0, 2.0 - gain / 10 - seed / 100)}
            ends |= {"audit_target_precision": (0.5, (gain + seed) / 10), "audit_accepted_precision": (0.6, 0.8)}
            points += curves(row, seed, **ends)
    (note,) = draw("teacher_transfer", check_input(records, points, tmp_path)).values()
    acceptance, precision, correlations = note["sentences"]
    assert note["uses_target_labels"]
    assert "25.0 % of the target pairs pass delta" in acceptance
    assert "median of 0.50, and its middle 80 % are between 0.20 and 0.90" in acceptance
    assert "60 % of the accepted pairs at the first evaluation and 80 % at the last" in precision
    assert "50 % of the pseudo targets at the first evaluation and 45 % at the last" in precision
    assert "precision of the pseudo targets +1.00 (n = 4); entropy of the pseudo targets -1.00 (n = 4)." in correlations
    assert "over row baseline" in correlations


def test_transfer_without_a_teacher(tmp_path: Path) -> None:
    (note,) = draw("teacher_transfer", check_input([run("full", 0, 50.0)], [], tmp_path)).values()
    assert "no confidence to report" in note["sentences"][0]
    assert "too few for a correlation" in note["sentences"][2]


def test_rank_correlation_by_hand() -> None:
    assert rank_correlation([1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0, 5.0, 4.0]) == pytest.approx(0.9)
    assert rank_correlation([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]) is None
    assert rank_correlation([1.0] * 4, [1.0, 2.0, 3.0, 4.0]) is None


# Sensitivity

K, DELTA = "graph.propagate.k", "distill.matching.delta"


def swept() -> list[dict[str, Any]]:
    """K = 2, 5, 10, delta = 0.3, 0.8, 0.95 alone, and K x delta = 2, 5 x 0.3, 0.8. Two seeds, one point apart."""
    means = {"full": (60.0, {}), "a": (50.0, {K: 2}), "b": (59.5, {K: 10}), "c": (58.0, {DELTA: 0.3})}
    means |= {"d": (57.0, {DELTA: 0.95}), "e": (61.0, {K: 2, DELTA: 0.3})}
    return [run(row, s, m + s - 0.5, edits) for row, (m, edits) in means.items() for s in (0, 1)]


def test_scores_complete_the_edits_with_values_of_the_full_config(tmp_path: Path) -> None:
    given = check_input(swept(), [], tmp_path)
    assert scores(given, (K,)) == {(2,): [49.5, 50.5], (5,): [59.5, 60.5], (10,): [59.0, 60.0]}
    both = scores(given, (K, DELTA))
    assert list(both) == [(2, 0.3), (2, 0.8), (5, 0.3), (5, 0.8)]  # K = 10 and delta = 0.95 are never combined
    assert both[2, 0.3] == [60.5, 61.5] and both[2, 0.8] == [49.5, 50.5] and both[5, 0.3] == [57.5, 58.5]


def test_values_within_one_deviation_of_the_best() -> None:
    best, deviation, near = near_best({(1,): [60.0, 62.0], (2,): [59.6, 59.7], (3,): [59.0, 59.0]})
    assert (best, near) == ((1,), {(1,), (2,)})  # 61 - sqrt(2) = 59.59
    assert deviation == pytest.approx(2**0.5)
    assert near_best({(1,): [60.0], (2,): [60.0]}) == ((1,), None, {(1,)})


def test_sensitivity_by_hand(tmp_path: Path) -> None:
    (note,) = draw("sensitivity", check_input(swept(), [], tmp_path)).values()
    spread, plateaus, grid = note["sentences"]
    assert (
        "depends most on K: 50.0 at 2 and 60.0 at 5, a difference of 10.0 points. It depends least on delta: 3.0 "
        "points" in spread
    )
    assert "K = 5, 10 (SD 0.7 points); delta = 0.8 (SD 0.7 points)" in plateaus
    assert "Of 4 combinations of K and delta, K = 2 and delta = 0.3 is best (61.0)." in grid
    assert "itself included: 1; the full method is not one of them." in grid
    assert not note["uses_target_labels"]


def test_the_colours_of_a_heat_map_span_at_least_two_deviations(tmp_path: Path) -> None:
    """Otherwise the noise of the seeds would span the whole colour scale."""
    (result,) = CHECKS["sensitivity"](check_input(swept(), [], tmp_path))
    (map_,) = [image for axis in result.figure.axes for image in axis.images]
    assert map_.get_clim() == (50.0, 61.0)  # range of the cells; two deviations are 1.4
    equal_means = [{**r, "rank_1": 50.0 + r["seed"]} for r in swept()]
    (result,) = CHECKS["sensitivity"](check_input(equal_means, [], tmp_path))
    (map_,) = [image for axis in result.figure.axes for image in axis.images]
    assert map_.get_clim() == pytest.approx((50.5 - 2 * 0.5**0.5, 50.5))


def test_components_can_be_swept_with_one_seed(tmp_path: Path) -> None:
    kinds = [run(k, 0, v, {"graph.propagate": {"kind": k}}) for k, v in (("none", 40.0), ("gnn", 45.0))]
    (note,) = draw("sensitivity", check_input([run("full", 0, 50.0), *kinds], [], tmp_path)).values()
    assert "40.0 at none and 50.0 at diffusion" in note["sentences"][0]
    assert note["sentences"][2] == "No two parameters were changed together."


def test_a_table_without_a_swept_parameter_has_no_figure(tmp_path: Path) -> None:
    assert list(CHECKS["sensitivity"](check_input([run("full", 0, 50.0), run("-gmp", 0, 40.0)], [], tmp_path))) == []


# The report


def test_the_report_draws_the_checks_of_the_question_and_a_second_one_is_identical(tmp_path: Path) -> None:
    records = Records(tmp_path)
    for record_ in swept():
        records.add(record_, [{"stage": "adapt", "step": 80, "name": "accepted_share", "value": 1.0}])
    (tmp_path / "config.yaml").write_text(to_yaml(CONFIG))
    Question("", {}, ["sensitivity"]).save(tmp_path)
    write_report(tmp_path, Console(file=io.StringIO()))
    files = {file.name: file.read_bytes() for file in (tmp_path / "figures").iterdir()}
    assert set(files) == {f"sensitivity.{suffix}" for suffix in ("png", "svg", "pdf", "json")}
    page = (tmp_path / "report.html").read_text().replace("<wbr>", "")
    assert all(sentence in page for sentence in json.loads(files["sensitivity.json"])["sentences"])
    write_report(tmp_path, Console(file=io.StringIO()))
    assert {file.name: file.read_bytes() for file in (tmp_path / "figures").iterdir()} == files


def test_warnings_and_label_use_are_in_the_caption(tmp_path: Path) -> None:
    records = Records(tmp_path)
    points = curves("full", 0, accepted_share=(0.5, 0.0), audit_target_precision=(0.5, 0.5))
    records.add(run("full", 0, 50.0), [{k: p[k] for k in ("stage", "step", "name", "value")} for p in points])
    (tmp_path / "config.yaml").write_text(to_yaml(CONFIG))
    out = io.StringIO()
    write_report(tmp_path, Console(file=out, width=300))
    text = (tmp_path / "table.md").read_text()
    assert "WARNING, row full, seed 0: 0.00" in text and "Uses target labels" in text
    paper = (tmp_path / "table_full.tex").read_text()
    assert "Uses target labels" in paper and "WARNING" not in paper
    grouped = "warning: cross-domain matching learns from almost nothing in full; remedy: lower distill.matching.delta"
    assert grouped in out.getvalue() and "Uses target labels" in out.getvalue()
