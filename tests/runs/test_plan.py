"""Plan of rows times seeds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gckd.cluster.worker_resources import WorkerResources, worker_resources
from gckd.config import ConfigError, apply, digest, preset
from gckd.config.graph import NoPropagation
from gckd.runs.plan import Run, plan, preparations

OUT = Path("out")


def test_the_full_row_comes_first_and_every_row_has_every_seed() -> None:
    runs = plan(preset("tiny"), {"-gmp": {"graph.propagate": "none"}}, 3, OUT)
    assert [(r.row, r.seed) for r in runs] == [(row, seed) for row in ("full", "-gmp") for seed in range(3)]
    assert runs[4].folder == OUT / "without-gmp" / "seed-1"
    assert len({r.digest for r in runs}) == 6


def test_seeds_start_with_the_seed_of_the_full_config() -> None:
    runs = plan(apply(preset("tiny"), {"seed": 7}), {}, 2, OUT)
    assert [r.seed for r in runs] == [7, 8]
    assert runs[1].digest == digest(apply(preset("tiny"), {"seed": 8}))


def test_edits_are_recorded_in_full() -> None:
    edits = {"graph.propagate": NoPropagation(), "adapt.steps": 5}
    full, row = plan(preset("tiny"), {"-gmp": edits}, 1, OUT)
    assert json.loads(full.edits_text) == {}
    assert json.loads(row.edits_text) == {"graph.propagate": {"kind": "none"}, "adapt.steps": 5}


def test_edits_of_the_full_row_are_not_in_other_rows() -> None:
    full, row = plan(preset("tiny"), {"-gmp": {"graph.propagate": "none"}}, 1, OUT, full_edits={"adapt.lr": 0.5})
    assert (full.config, json.loads(full.edits_text)) == (apply(preset("tiny"), {"adapt.lr": 0.5}), {"adapt.lr": 0.5})
    assert row.config.adapt.lr == preset("tiny").adapt.lr


def test_a_seed_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError, match="seed: 2147483648 is outside its limit"):
        plan(apply(preset("tiny"), {"seed": 2**31 - 1}), {}, 2, OUT)


def test_more_runs_than_the_limit_are_refused_before_they_are_built() -> None:
    rows = {"-gmp": {"graph.propagate": "none"}}
    with pytest.raises(ConfigError, match="seeds: 1,000,000,000 x 2 rows are 2,000,000,000 runs; the limit is 10,000"):
        plan(preset("tiny"), rows, 10**9, OUT)


def test_all_bad_rows_are_refused_together() -> None:
    rows = {"a": {"nothing": 1}, "b": {"adapt.steps": -1}, "c": {"adapt.steps": 5}, "d": {"adapt.steps": 5}}
    with pytest.raises(ConfigError) as caught:
        plan(preset("tiny"), rows, 1, OUT)
    assert [p[:6] for p in caught.value.problems] == ["row a:", "row b:", "row d:"]
    assert caught.value.problems[2] == "row d: has the same config as row c; remove one"


def test_rows_share_the_preparation_of_their_seed() -> None:
    rows = {"-gmp": {"graph.propagate": "none"}, "-long": {"adapt.steps": 5}, "-pre": {"pretrain.steps": 5}}
    runs = plan(preset("tiny"), rows, 2, OUT)
    first = preparations(runs)
    assert [(r.row, r.seed) for r in first.values()] == [("full", 0), ("full", 1), ("-pre", 0), ("-pre", 1)]
    shared = {r.preparation for r in runs if r.row in ("full", "-gmp", "-long") and r.seed == 1}
    assert len(shared) == 1


def test_a_task_requests_a_gpu_if_there_is_one_and_a_run_may_use_it() -> None:
    any_device = plan(preset("tiny"), {}, 1, OUT)
    on_cpu = plan(apply(preset("tiny"), {"device": "cpu"}), {}, 1, OUT)
    one, none = WorkerResources(1, 2, 1.0), WorkerResources(1, 2, 0.0)
    assert requested(any_device, {"CPU": 8, "GPU": 1}) == one
    assert requested(any_device, {"CPU": 8}) == requested(on_cpu, {"CPU": 8, "GPU": 1}) == none
    assert requested(on_cpu, {"CPU": 8, "GPU": 1}, gpus=0.25) == WorkerResources(1, 2, 0.25)


def requested(runs: list[Run], available: dict[str, float], gpus: float | None = None) -> WorkerResources:
    return worker_resources(available, [run.config.device for run in runs], workers=1, threads=2, gpus=gpus)
