"""Confirmation of a search: its runs, and the verdict from their records."""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from scipy.stats import ttest_rel

from gckd.config import Config, apply, config_text, preset
from gckd.config.edit import edits_between
from gckd.runs.records import Records, write_table
from gckd.storage.mirror import Mirror
from gckd.storage.path import StoragePath
from gckd.storage.run_tables import RUNS, RUNS_FILE
from gckd.tune.confirmation import Confirmation, confirmation_seeds
from gckd.tune.verdict import Verdict, make_verdict
from tests.report.records import failed, record

EDITS: dict[str, Any] = {"graph.propagate": "none", "distill.matching.delta": 0.5, "adapt.stop_after": 90}


@pytest.fixture
def base() -> Config:
    return apply(preset("tiny"), {"data.source": "a", "data.target": "b"})


@pytest.fixture
def confirmation(base: Config, tmp_path: Path) -> Confirmation:
    return Confirmation(base, apply(base, EDITS), confirmation_seeds(base, 2, 3), tmp_path)


def test_edits_between_two_configs_turn_one_into_the_other(base: Config) -> None:
    chosen = apply(base, EDITS)
    assert edits_between(base, chosen).keys() == EDITS.keys()
    assert apply(chosen, edits_between(chosen, base)) == base
    assert edits_between(base, base) == {}


def test_the_rows_have_seeds_that_the_search_did_not_use(confirmation: Confirmation) -> None:
    runs = confirmation.runs()
    assert [(run.row, run.seed) for run in runs] == [
        (row, seed) for row in ("full", "defaults", "source-model") for seed in (2, 3, 4)
    ]
    by_row = {run.row: run.config for run in runs if run.seed == 2}
    assert by_row["full"] == apply(confirmation.chosen, {"seed": 2})
    assert by_row["defaults"].adapt == confirmation.base.adapt
    assert by_row["defaults"].graph == confirmation.base.graph
    assert by_row["source-model"].adapt.steps == 0
    assert len({run.preparation for run in runs}) == 3  # one source model for each seed


def test_the_base_config_has_no_second_row_if_it_was_chosen(base: Config, tmp_path: Path) -> None:
    runs = Confirmation(base, base, range(1, 3), tmp_path).runs()
    assert [run.row for run in runs] == ["full", "full", "source-model", "source-model"]


def test_the_checkpoint_of_an_earlier_choice_is_removed(confirmation: Confirmation, tmp_path: Path) -> None:
    mirror = Mirror.for_output(StoragePath.at(tmp_path))
    full, defaults = (next(run for run in confirmation.runs() if run.row == row) for row in ("full", "defaults"))
    files = [tmp_path / "confirmation" / run.row / "seed-2" / "checkpoint.pt" for run in (full, defaults)]
    for run, file in zip((full, defaults), files, strict=True):
        assert str(run.checkpoint_folder(confirmation.out(mirror)) / "checkpoint.pt") == str(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    earlier = apply(full.config, {"distill.matching.delta": 0.6})
    (full.folder / "config.yaml").write_text(config_text(earlier))
    (defaults.folder / "config.yaml").write_text(config_text(defaults.config))
    confirmation.prepare(mirror)
    assert [file.exists() for file in files] == [False, True]


def verdict_of(confirmation: Confirmation, full: list[float], base: list[float], source: list[float]) -> Verdict:
    """The verdict on recorded Rank-1 by row and seed; a missing value is a failed run."""
    values = {"full": full, "defaults": base, "source-model": source}
    records = []
    for run in confirmation.runs():
        row = values[run.row]
        place = run.seed - confirmation.seeds[0]
        result = record(run.row, run.seed, row[place]) if place < len(row) else failed(run.row, run.seed)
        records.append(result | {"config_digest": run.digest, "edits": run.edits_text})
    folder = confirmation.record_folder
    folder.mkdir(exist_ok=True)
    write_table(folder / RUNS_FILE, pa.Table.from_pylist(records, schema=RUNS))
    made = make_verdict(confirmation.runs(), Records(folder))
    assert made is not None
    return made


def test_a_gain_beyond_chance_is_a_reason_to_use_the_config(confirmation: Confirmation) -> None:
    full, base, source = [60.0, 61.5, 62.0], [50.0, 54.0, 51.5], [40.0, 41.0, 42.0]
    first, second, *rest = verdict_of(confirmation, full, base, source).sentences()
    differences = [a - b for a, b in zip(full, base, strict=True)]
    half = 4.302653 * statistics.stdev(differences) / math.sqrt(3)  # t(0.975) with 2 degrees of freedom
    mean = statistics.fmean(differences)
    p = max(ttest_rel(full, base).pvalue, 2 * ttest_rel(full, source).pvalue)  # Holm: the smaller one counts twice
    assert first == (
        f"Use best.yaml: it beats the defaults by +{mean:.1f} Rank-1 (95 % interval +{mean - half:.1f} to "
        f"+{mean + half:.1f}; p = {p:.3f}, corrected for 2 comparisons) on target test, 3 paired seeds."
    )
    assert second.startswith("Chosen config against the source model: +") and "not shown" not in second
    assert rest == []


@pytest.mark.parametrize(
    ("defaults", "beginning"),
    [
        ([60.0, 62.5, 61.0], "Keep the defaults: the difference of "),
        ([70.0, 71.0, 72.5], "Keep the defaults: best.yaml is worse, -"),
        ([50.0], "Keep the defaults: the difference of +10.0 Rank-1 (one seed, so no interval)"),
        ([], "No verdict: every run of the defaults failed"),
    ],
)
def test_anything_else_keeps_the_defaults(confirmation: Confirmation, defaults: list[float], beginning: str) -> None:
    verdict = verdict_of(confirmation, [60.0, 61.5, 62.0], defaults, [61.0, 61.0, 62.5])
    first, second, *rest = verdict.sentences()
    assert not verdict.better and first.startswith(beginning)
    assert second.endswith("adaptation is not shown to help.")
    assert rest == (
        [f"Runs that failed or are missing: {3 - len(defaults)}; see confirmation/."] if len(defaults) < 3 else []
    )


def test_records_of_an_earlier_choice_do_not_count(confirmation: Confirmation, base: Config) -> None:
    verdict_of(confirmation, [60.0] * 3, [50.0] * 3, [40.0] * 3)
    later = Confirmation(base, apply(base, {"distill.matching.delta": 0.7}), confirmation.seeds, confirmation.folder)
    # Those of the defaults and the source model count, but say nothing about the new choice.
    assert make_verdict(later.runs(), Records(later.record_folder)) is None


def test_without_records_there_is_no_verdict(confirmation: Confirmation) -> None:
    confirmation.record_folder.mkdir()
    assert make_verdict(confirmation.runs(), Records(confirmation.record_folder)) is None
