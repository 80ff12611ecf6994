"""Plugins of every slot, written outside the package, in an ablation and in a search on Ray."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from gckd.config import to_yaml
from tests.toy import make_toy
from tests.training.micro import micro

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "tests" / "plugins"
ROWS = {
    "alignment": {"align": "mean-distance"},
    "augmentation": {"augment": "pixel-noise"},
    "backbone": {"backbone": "bag-of-words", "distill.matching": "none"},
    "matching": {"distill.matching": "nearest-partner"},
    "metric_loss": {"metric": "circle"},
    "neighbour_search": {"graph.propagate.search": "few-dimensions"},
    "objective": {"pretrain.objective": "info-nce"},
    "optimizer": {"adapt.optimizer": "sgd"},
    "propagation": {"graph.propagate": {"kind": "towards-mean", "weight": 0.3}},
    "self_supervision": {"selfsup": "uniformity"},
    "targets": {"distill.targets": {"kind": "confident", "threshold": 0.0}},
    "teacher": {"distill.teacher": "frozen"},
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def gckd(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in `folder`, outside the checkout."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GCKD_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "gckd", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=550)


def csv_toy(folder: Path, shade: int = 0) -> Path:
    """The toy in the format of tests/plugins/reader.py alone."""
    annotations = make_toy(folder, shade=shade) / "data_captions.json"
    with (folder / "people.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "caption", "person", "split"])
        for entry in json.loads(annotations.read_text()):
            writer.writerows([entry["img_path"], text, entry["id"], entry["split"]] for text in entry["captions"])
    annotations.unlink()
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A researcher's folder: two datasets, a config, and the plugin files beside them."""
    for file in EXAMPLES.glob("*.py"):
        shutil.copy(file, tmp_path)
    csv_toy(tmp_path / "source"), csv_toy(tmp_path / "target", shade=120)
    (tmp_path / "config.yaml").write_text(to_yaml(micro(Path("people-csv:source"), Path("people-csv:target"))))
    return tmp_path


def plugin_options(*names: str) -> list[str]:
    return [word for name in names for word in ("--plugin", f"{name}.py")]


def test_an_ablation_runs_a_component_of_every_slot(folder: Path) -> None:
    (folder / "slots.yaml").write_text(yaml.safe_dump({"question": "Do plugins run?", "rows": ROWS}))
    options = plugin_options(*ROWS, "reader")
    command = ["ablate", *options, "--config", "config.yaml", "--spec", "slots.yaml", "--seeds", "1", "--out", "out"]
    done = gckd(folder, *command)
    assert done.returncode == 0, done.stderr
    runs = pd.read_parquet(folder / "out" / "runs.parquet").set_index("row")
    assert sorted(runs.index) == sorted(["full", "source-model", *ROWS])
    assert set(runs.status) == {"done"}
    check_every_row_is_its_own(folder)
    digests = {f"{name}.py": digest_of(name) for name in (*ROWS, "reader")}
    assert [json.loads(text) for text in runs.plugins] == [digests] * len(runs)
    check_evaluation(folder)


def digest_of(name: str) -> str:
    return hashlib.sha256((EXAMPLES / f"{name}.py").read_bytes()).hexdigest()[:16]


def check_every_row_is_its_own(folder: Path) -> None:
    """Each plugin changes the losses of the adaptation."""
    curves = pd.read_parquet(folder / "out" / "curves.parquet")
    adapt = curves[(curves.stage == "adapt") & (curves.row != "source-model")]
    losses = {row: adapt[adapt.row == row].value.tolist() for row in adapt.row.unique()}
    assert len({tuple(values) for values in losses.values()}) == len(ROWS) + 1


def check_evaluation(folder: Path) -> None:
    """A run of a plugin's kind asks for the plugin, and is evaluated with it."""
    checkpoint = "out/alignment/seed-3/checkpoint.pt"
    refused = gckd(folder, "evaluate", checkpoint)
    assert refused.returncode == 2
    assert "--plugin alignment.py" in refused.stderr
    evaluated = gckd(folder, "evaluate", checkpoint, *plugin_options(*ROWS, "reader"))
    assert evaluated.returncode == 0, evaluated.stderr
    rank_1 = pd.read_parquet(folder / "out" / "runs.parquet").set_index("row").rank_1["alignment"]
    assert f"{rank_1:.1f}" in evaluated.stdout


@pytest.mark.parametrize(("workers", "count"), [(1, 2), (2, 1)], ids=["in Tune's actor", "in a nested Train run"])
def test_a_search_runs_a_range_type_and_a_score(folder: Path, workers: int, count: int) -> None:
    (folder / "space.yaml").write_text("graph.propagate.k: {odd: [1, 3]}\n")
    options = plugin_options("range_type", "reader", "alignment", "score")
    command = [
        "tune",
        "--confirm-seeds",
        "0",
        *options,
        "--config",
        "config.yaml",
        "--space",
        "space.yaml",
        "--set",
        "align=mean-distance",
    ]
    command += ["--trials", str(count), "--workers-per-trial", str(workers), "--epochs", "1", "--out", "out"]
    command += ["--select", "nearest_cosine"]
    done = gckd(folder, *command)
    assert done.returncode == 0, done.stderr
    trials = pd.read_parquet(folder / "out" / "trials.parquet")
    assert trials.trial.nunique() == count
    assert trials["score:nearest_cosine"].between(-1, 1).all()
    assert set(trials["edit:graph.propagate.k"]) <= {1, 3}


def test_workers_load_plugins_with_the_code_of_the_driver(folder: Path) -> None:
    """A checkout that is not installed, run as a script beside an installed gckd."""
    for name in ("ablations", "gckd", "tune"):
        shutil.copytree(ROOT / name, folder / "checkout" / name, symlinks=True)
    module = folder / "checkout" / "gckd" / "plugins.py"
    log = folder / "loaded.txt"
    note = f"\n\nwith open({str(log)!r}, 'a') as file:\n    print(__file__, file=file)\n"
    module.write_text(module.read_text() + note)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_") and k != "PYTHONPATH"}
    environment |= {"OMP_NUM_THREADS": "1", "GCKD_CACHE": str(folder / "cache")}
    options = [*plugin_options("alignment", "reader"), "--config", "config.yaml", "--set", "align=mean-distance"]
    command = [sys.executable, "checkout/ablations/run.py", *options, "--drop", "gmp", "--seeds", "1", "--out", "out"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=550)
    assert done.returncode == 0, done.stderr
    loaded = log.read_text().splitlines()
    assert len(loaded) > 1  # the driver, and at least one worker
    assert set(loaded) == {str(module)}
