"""Learning rates of `--tuned-rows`: candidates, choice and refusals, by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from gckd.ablations.components import drop_edits
from gckd.ablations.reference_rows import with_reference_rows
from gckd.ablations.tuned_rows import (
    candidate_runs,
    check_resumable,
    check_tunable,
    choose_rates,
    discard_outdated,
    with_rates,
)
from gckd.config import ConfigError, apply, preset
from gckd.errors import InputError
from gckd.report.tuned_rates import TunedRate
from gckd.runs.plan import Run, plan
from gckd.runs.provenance import Provenance
from gckd.runs.records import Records, failed_record, write_table
from gckd.runs.tuning_records import TuningRecords
from gckd.storage.run_tables import TUNING, TUNING_FILE
from gckd.training.scored_run import ScoredRun

if TYPE_CHECKING:
    from collections.abc import Sequence

FULL = apply(preset("tiny"), {"adapt.lr": 0.001, "adapt.evaluations": 2, "seed": 7})
DROPPED = {"-gmp": drop_edits(frozenset({"gmp"}), FULL), "fast": {"distill.teacher.m": 0.5, "adapt.lr": 0.02}}
ROWS = with_reference_rows(DROPPED, FULL, ceiling=True)
OUT = Path("out")
CODE = Provenance("1a2b", "a", "b", "", {})


def test_candidates_are_multiples_of_the_own_rate_of_each_row_that_adapts_without_target_labels() -> None:
    candidates = candidate_runs(FULL, ROWS, OUT)
    assert {row: [run.config.adapt.lr for run in runs] for row, runs in candidates.items()} == {
        "full": [0.001, 0.0003, 0.003],
        "-gmp": [0.001, 0.0003, 0.003],
        "fast": [0.02, 0.006, 0.06],
    }
    assert {"source-model", "supervised"} <= ROWS.keys()


def test_a_candidate_differs_from_its_row_in_rate_seed_and_evaluations_alone() -> None:
    for row, runs in candidate_runs(FULL, ROWS, OUT).items():
        for run in runs:
            changes = {"seed": 1007, "adapt.evaluations": 1}
            configured, rate = apply(FULL, ROWS.get(row, {})), run.config.adapt.lr
            changed_rate = {} if rate == configured.adapt.lr else {"adapt.lr": rate}
            assert run.config == apply(configured, changes | changed_rate)
    first = candidate_runs(FULL, ROWS, OUT)["-gmp"][1]
    assert first.folder == OUT / "tuning" / "without-gmp,adapt.lr=0.0003" / "seed-1007"
    assert 1007 not in range(FULL.seed, FULL.seed + 1000)  # the seeds of the largest table


def recorded(folder: Path, runs: Sequence[Run], columns: Sequence[Sequence[float] | None]) -> TuningRecords:
    """Records with (im, rank_me) of each run; None: it failed. The source model has rank 4."""
    records = TuningRecords(folder)
    for run, values in zip(runs, columns, strict=True):
        if values is None:
            records.add(failed_record(run, "FloatingPointError: loss", 1.0, CODE))
        else:
            last = dict(zip(("im", "rank_me"), values, strict=True))
            start = {"im": 0.5, "rank_me": 4.0}
            records.finish(run, ScoredRun(start, last, 2.0), CODE)
    return TuningRecords(folder)


@pytest.mark.parametrize(
    ("columns", "chosen", "failed"),
    [
        ([(0.1, 4), (0.2, 4), (0.3, 4)], 0.003, ()),
        # The best has collapsed: rank 1.9 is below half of the source model's 4.
        ([(0.2, 4), (0.1, 4), (0.3, 1.9)], 0.001, (),),
        ([(0.1, 4), (0.1, 4), (0.1, 4)], 0.001, ()),
        ([(0.2, 4), (0.1, 4), None], 0.001, (0.003,)),
        ([None, (0.1, 4), (0.2, 4)], 0.003, (0.001,)),
        ([None, None, None], 0.001, (0.0003, 0.001, 0.003)),
    ],
    ids=["gain", "collapse", "tie", "failure", "configured rate failed", "all failed"],
)  # fmt: skip
def test_the_largest_gain_is_chosen(
    tmp_path: Path, columns: list[Any], chosen: float, failed: tuple[float, ...]
) -> None:
    runs = candidate_runs(FULL, {}, tmp_path)["full"]
    rates = choose_rates({"full": runs}, recorded(tmp_path, runs, columns))
    assert rates == {"full": TunedRate(chosen, 0.001, (0.0003, 0.001, 0.003), failed, "default", 1007)}


def test_records_of_another_config_do_not_count(tmp_path: Path) -> None:
    (runs,) = candidate_runs(FULL, {}, tmp_path).values()
    records = recorded(tmp_path, runs, [(0.1, 4), None, None])
    assert [records.finished(run) for run in runs] == [True, False, False]
    shorter = candidate_runs(apply(FULL, {"adapt.steps": 5}), {}, tmp_path)["full"]
    assert not any(records.finished(run) for run in shorter)


def test_the_runs_of_the_table_have_the_chosen_rates(tmp_path: Path) -> None:
    rates = {
        row: TunedRate(chosen, 0.001, (0.0003, 0.001, 0.003), (), "default", 1007)
        for row, chosen in {"full": 0.003, "-gmp": 0.001, "fast": 0.006}.items()
    }
    tuned = with_rates(FULL, ROWS, rates)
    runs = plan(FULL, tuned, 2, tmp_path, full_edits=tuned.pop("full"))
    assert [(run.row, run.seed, run.config.adapt.lr) for run in runs] == [
        (row, seed, rate)
        for row, rate in (
            ("full", 0.003), ("source-model", 0.001), ("-gmp", 0.001), ("fast", 0.006), ("supervised", 0.001)
        )
        for seed in (7, 8)
    ]  # fmt: skip
    edits = {run.row: json.loads(run.edits_text) for run in runs}
    assert edits["full"] == {"adapt.lr": 0.003}
    assert edits["-gmp"] == {"graph.propagate": {"kind": "none"}}
    assert edits["fast"] == {"distill.teacher.m": 0.5, "adapt.lr": 0.006}


def test_a_record_with_another_rate_than_the_chosen_one_is_discarded_with_its_curves(tmp_path: Path) -> None:
    """The recorded runs have the rates 0.003 (full), 0.001 (-gmp, as configured) and 0.001 (source-model, untuned)."""
    edits = {"full": {"adapt.lr": 0.003}, "-gmp": DROPPED["-gmp"], "source-model": {"adapt.steps": 0}}
    rows = {row: apply(FULL, row_edits) for row, row_edits in edits.items()}
    records = Records(tmp_path)
    for row, config in rows.items():
        run = Run(row, config, edits[row], tmp_path / row)
        records.add(failed_record(run, "error", 1.0, CODE), [{"stage": "adapt", "step": 1, "name": "loss", "value": 1}])
    for chosen, removed, remaining in (
        ({"full": 0.003, "-gmp": 0.001}, {}, ["full", "-gmp", "source-model"]),
        ({"full": 0.003, "-gmp": 0.0003}, {"-gmp": 1}, ["full", "source-model"]),
        ({"full": 0.001, "-gmp": 0.0003}, {"full": 1}, ["source-model"]),
    ):
        rates = {
            row: TunedRate(rate, 0.001, (0.0003, 0.001, 0.003), (), "default", 1007) for row, rate in chosen.items()
        }
        assert discard_outdated(FULL, rates, records) == removed
        for stored in (records, Records(tmp_path)):
            assert [record["row"] for record in stored.runs] == [point["row"] for point in stored.curves] == remaining


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ({"start": None}, "row 0: no value in start"),
        ({"last": "[1"}, "row 0: last: not JSON"),
        ({"last": '{"rank_me": 1}'}, "row 0: last: content lacks im"),
        (
            {"start": '{"im": 1, "rank_me": 0}'},
            "row 0: start: rank_me is outside its",
        ),
        ({"status": "unknown"}, "row 0: status is neither done nor failed"),
    ],
)
def test_damaged_tuning_records_are_refused(tmp_path: Path, damage: dict[str, Any], problem: str) -> None:
    (runs,) = candidate_runs(FULL, {}, tmp_path).values()
    (row, *others) = recorded(tmp_path, runs, [(0.1, 4), None, None]).runs
    write_table(tmp_path / TUNING_FILE, pa.Table.from_pylist([row | damage, *others], schema=TUNING))
    with pytest.raises(InputError, match=rf"tuning.parquet: damaged \({problem}"):
        TuningRecords(tmp_path)


@pytest.mark.parametrize(
    ("rows", "full", "seeds", "problem"),
    [
        ({}, {"adapt.steps": 0}, 3, "--tuned-rows: adapt.steps is 0, so no row has a learning rate; set it to >= 1"),
        ({}, {}, 1001, "--seeds: 1001 is outside its limit: <= 1000 with --tuned-rows"),
        (
            {"slow": {"adapt.lr": 0.0001}},
            {},
            3,
            "--tuned-rows: row slow differs from row full only in adapt.lr, which the option chooses; remove one of "
            "the two rows",
        ),
        (
            {"free": {"adapt.source": "none", "distill.matching": "none"}},
            {},
            3,
            "--tuned-rows: row free has adapt.source = none, so no source val split, which the score needs; remove the "
            "row or --tuned-rows",
        ),
    ],
)
def test_tables_that_cannot_be_tuned_are_refused(
    rows: dict[str, Any], full: dict[str, Any], seeds: int, problem: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_tunable(apply(FULL, full), rows, seeds)
    assert caught.value.problems == [problem]
    check_tunable(FULL, ROWS, 1000)


def test_a_candidate_outside_the_limits_of_the_rate_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        candidate_runs(apply(FULL, {"adapt.lr": 0.5}), {}, OUT)
    assert caught.value.problems == [
        "--tuned-rows: row full,adapt.lr=1.5: adapt.lr: 1.5 is outside its limit: > 0 and <= 1"
    ]


def test_a_folder_has_tuned_rows_or_others(tmp_path: Path) -> None:
    empty = TuningRecords(tmp_path / "empty")
    runs = candidate_runs(FULL, {}, tmp_path)["full"]
    tuned = recorded(tmp_path, runs, [None, None, None])
    for records, tuned_rows in ((empty, False), (empty, True), (tuned, True)):
        check_resumable(records, [], tuned=tuned_rows)
    check_resumable(tuned, [{"row": "full"}], tuned=True)
    with pytest.raises(InputError, match=r"--resume: .* has tuned rows; add --tuned-rows, or choose another --out"):
        check_resumable(tuned, [], tuned=False)
    with pytest.raises(InputError, match=r"--tuned-rows: .*empty has runs without tuned rows; choose another --out"):
        check_resumable(empty, [{"row": "full"}], tuned=True)
