"""`--tuned-rows` with real runs of the micro config."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from gckd.config import config_text
from tests.toy import make_toy, shuffle_labels
from tests.training.micro import micro

ROOT = Path(__file__).resolve().parents[2]


def make_table(folder: Path, *arguments: str) -> pd.DataFrame:
    """Records of a table in `folder`, whose rows are full, source-model and -gmp."""
    fixed = ["--config", "micro.yaml", "--drop", "gmp", "--tuned-rows", "--out", "out", "--cache", "cache"]
    process = subprocess.run(
        [sys.executable, ROOT / "ablations" / "run.py", *fixed, "--workers", "2", "--threads", "1", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return pd.read_parquet(folder / "out" / "runs.parquet")


def rates_by_hand(folder: Path) -> dict[str, float]:
    """Row -> candidate with the largest im, from tuning.parquet. No candidate collapses."""
    tuning = pd.read_parquet(folder / "out" / "tuning.parquet")
    assert set(tuning["seed"]) == {1003}
    tuning[["row", "rate"]] = tuning["row"].str.split(",adapt.lr=", expand=True)
    best = {}
    for row, runs in tuning.groupby("row"):
        last = pd.DataFrame([json.loads(text) for text in runs["last"]], index=runs["rate"].astype(float))
        start = json.loads(runs["start"].iloc[0])
        assert (last["rank_me"] >= 0.5 * start["rank_me"]).all()
        candidates = sorted(zip(-last["im"], abs(last.index - 0.001) > 1e-9, last.index, strict=True))
        best[str(row)] = candidates[0][2]
    return best


@pytest.mark.slow
def test_rates_are_chosen_without_target_labels_and_used_by_the_runs(tmp_path: Path) -> None:
    tables = {}
    for name in ("original", "shuffled"):
        folder = tmp_path / name
        folder.mkdir()
        target = make_toy(folder / "target", shade=120)
        if name == "shuffled":
            shuffle_labels(target, ["train", "val", "test"])
        config = micro(make_toy(folder / "source"), target)
        (folder / "micro.yaml").write_text(config_text(config))
        tables[name] = make_table(folder, "--seeds", "1")
    original, shuffled = (json.loads((tmp_path / name / "out" / "tuned_rates.json").read_text()) for name in tables)
    assert original == shuffled
    chosen = {row: rate["chosen"] for row, rate in original.items()}
    assert chosen == rates_by_hand(tmp_path / "original")
    edits = {r.row: json.loads(r.edits) for r in tables["original"].itertuples()}
    assert {row: edits[row].get("adapt.lr", 0.001) for row in edits} == {**chosen, "source-model": 0.001}
    assert not list((tmp_path / "original" / "out" / "tuning").rglob("checkpoint.pt"))

    before = (tmp_path / "original" / "out" / "tuning.parquet").stat().st_mtime_ns
    extended = make_table(tmp_path / "original", "--seeds", "2", "--resume")
    assert (tmp_path / "original" / "out" / "tuning.parquet").stat().st_mtime_ns == before
    assert sorted(zip(extended["row"], extended["seed"], strict=True)) == [
        (row, seed) for row in ("-gmp", "full", "source-model") for seed in (3, 4)
    ]
