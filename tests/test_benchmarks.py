"""Every benchmark runs at a tiny size; for those that start whole searches, their arithmetic is tested."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
import numpy as np
import optuna
import pytest
from click.testing import CliRunner
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from torch import nn

from benchmarks import (
    fullsize,
    fuzz,
    gallery,
    growth,
    kill,
    peak,
    propagation,
    retrieval,
    rungs,
    samplers,
    scale,
    search,
    selection,
    step,
    workers,
)
from benchmarks.hollow import REPORTED, STARTED
from gckd.config import preset
from gckd.training.trainer import Stage
from gckd.tune.storage import open_storage
from gckd.validators.audit import AuditRow, Correlation
from tests.tune.search_process import processes_of

BATCHES = ["--set", "adapt.batch=8", "--set", "adapt.fusion_every=1"]
SMALL = [*BATCHES, "--set", "graph.memory.capacity=64", "--rounds", "1"]
COMMANDS: dict[str, tuple[click.Command, list[str], list[str]]] = {
    "propagation": (propagation.main, ["--capacity", "64", "--rounds", "1"], ["two-hop", "lists"]),
    "neighbour searches": (
        propagation.main,
        ["--searches", "--capacity", "64", "--capacity", "300", "--full-limit", "64", "--rounds", "1"],
        ["updated", "faiss ivf", "recall@10", "updated: CPU time grows with C^"],
    ),
    "step": (
        step.main,
        [*SMALL, "--ids", "24", "--periods", "1", "--set", "pretrain.batch=16", "--set", "pretrain.fusion_every=1"],
        ["pre-training", "full"],
    ),
    "fullsize": (fullsize.main, [*SMALL, "--preset", "tiny", "--steps", "2"], ["images/s", "share of teacher"]),
    "growth": (
        growth.main,
        ["--trials", "12", "--trials", "10", "--concurrent", "3"],
        ["10 ", "12 ", "journal, MiB", "3 trials at a time"],
    ),
    "retrieval": (retrieval.main, ["--preset", "tiny", "--rounds", "1"], ["CPU seconds", "2 threads"]),
    "gallery": (gallery.main, ["--count", "5000", "--width", "16", "--queries", "9"], ["exact", "IvfPq", "recall@10"]),
    "workers": (
        workers.main,
        ["--ids", "24", "--steps", "2", *BATCHES[:2], "--set", "pretrain.batch=9", "--set", "pretrain.steps=2"],
        ["largest difference of a loss term", "1 worker and 2"],
    ),
    "fuzz": (
        fuzz.main,
        ["--inputs", "60", "--reader", "--set", "--reader", "image", "--reader", "label"],
        ["image", "60 inputs, 0 tracebacks"],
    ),
    "peak": (peak.main, ["--", "true"], ["true: exit status 0", "GiB"]),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_runs(name: str) -> None:
    command, arguments, expected = COMMANDS[name]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert all(part in result.output for part in expected)


def test_the_public_model_is_compared_at_its_own_sizes_alone(tmp_path: Path) -> None:
    arguments = ["--preset", "tiny", "--public", str(tmp_path)]
    result = CliRunner().invoke(retrieval.main, arguments)
    assert result.exit_code == 2 and "sizes of --preset base" in result.output


PUBLIC_ALBEF = """
from timm.models.layers import DropPath, trunc_normal_
from timm.models.registry import register_model
from timm.models.vision_transformer import PatchEmbed, _cfg
from torch import nn
from transformers.file_utils import ModelOutput, add_start_docstrings, replace_return_docstrings
from transformers.modeling_utils import PreTrainedModel, apply_chunking_to_forward, prune_linear_layer

class ALBEF(nn.Module):
    def __init__(self, text_encoder, tokenizer, config):
        super().__init__()
        width = config["embed_dim"]
        self.patches = PatchEmbed(img_size=config["image_res"], patch_size=16, in_chans=3, embed_dim=width)

    def forward(self, image, text, alpha, idx):
        return self.patches(image).square().mean(), text.input_ids.float().mean() * alpha
"""


def test_a_step_of_a_public_checkout_trains_its_model(tmp_path: Path) -> None:
    """Of a made-up checkout that imports names of timm and of an old transformers."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model_retrieval.py").write_text(PUBLIC_ALBEF)
    modules = set(sys.modules)
    step = retrieval.PublicStep(tmp_path, 32, 2)
    patches: Any = step.model.patches
    before = patches.proj.weight.detach().clone()
    step()
    assert not before.equal(patches.proj.weight)
    assert patches.num_patches == 4 and patches(step.images).shape == (2, 4, 256)
    assert "timm" not in sys.modules and "models" not in set(sys.modules) - modules  # the replacements are gone


@pytest.mark.slow
@pytest.mark.cluster
def test_runs_on_nodes_and_leaves_none(tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path):  # the nodes and all that they start inherit this working folder
        result = CliRunner().invoke(scale.main, ["--nodes", "2", "--trials", "5"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert all(part in result.output for part in ("CPU, ms", "GCS MiB"))
    assert processes_of(tmp_path) == []


def test_timed_steps_leave_no_checkpoint(tmp_path: Path) -> None:
    layer = nn.Linear(1, 1)
    stage = Stage(
        name="adapt",
        digest="",
        seed=0,
        schedule=preset("tiny").adapt,
        modules={"layer": layer},
        terms=lambda number: {"loss": layer.weight.sum()},
        weights={"loss": 1.0},
        monitor=lambda done: {},
    )
    assert step.seconds_a_step(stage, 2, tmp_path) > 0
    assert list(tmp_path.iterdir()) == []


def test_delays_of_a_trial_by_hand() -> None:
    """Proposed at 100 s, started at 103 s; last of two reports at 110 s, end recorded at 110.5 s."""
    proposed, ended = (datetime.fromtimestamp(seconds) for seconds in (100, 110.5))
    stored = {
        f"epoch/{n}": {STARTED: 103.0, REPORTED: now, "seconds": 1.0, "value": 0.5}
        for n, now in ((1, 105.0), (2, 110.0))
    }
    trial = optuna.trial.create_trial(value=0.5, user_attrs=stored)
    trial.datetime_start, trial.datetime_complete = proposed, ended
    assert scale.delays(trial) == (3.0, 0.5)


def test_overhead_excludes_training() -> None:
    """By hand: the first trial counts from its own start, later ones from the end before; failed ones are left out."""
    begun = datetime(2026, 1, 1)
    study = optuna.create_study()
    for number, (start, end, seconds, state) in enumerate(
        [(0, 10, 6.0, TrialState.COMPLETE), (10, 11, 0.5, TrialState.FAIL), (11, 17, 4.5, TrialState.COMPLETE)]
    ):
        trial = FrozenTrial(
            number=number,
            trial_id=number,
            state=state,
            value=1.0 if state == TrialState.COMPLETE else None,
            datetime_start=begun + timedelta(seconds=start),
            datetime_complete=begun + timedelta(seconds=end),
            params={},
            distributions={},
            user_attrs={"seconds": seconds},
            system_attrs={},
            intermediate_values={},
        )
        study.add_trial(trial)
    assert search.overheads(study) == [4.0, 2.5]


def test_replayed_rungs_by_hand() -> None:
    """Two epochs, better half at the first rung: a trial survives if it is in the better half of those before it."""
    values = np.array([[0.1, 0.1], [0.4, 0.9], [0.5, 0.2], [0.3, 0.3]])
    for seed in range(10):
        order = np.random.default_rng(seed).permutation(4)
        first, survivors = values[order, 0], []
        for place, trial in enumerate(order):
            if not place or first[place] >= np.median(first[:place]):
                survivors.append(trial)
        share = (4 + len(survivors)) / 8
        assert rungs.replay(values, 1, 2, seed) == (1 in survivors, 0.9 - values[survivors].max(), share)


@pytest.fixture
def searched(tmp_path: Path) -> Path:
    """Folder of a search of 24 trials whose score grows with log m and does not depend on K."""
    folder = tmp_path / "searched"
    folder.mkdir()
    study = optuna.create_study(storage=open_storage(None, folder), study_name="searched", direction="maximize")
    random = np.random.default_rng(0)
    for _ in range(24):
        k, m = int(random.integers(2, 51)), float(10 ** random.uniform(-4, -1))
        ranges = {"k": IntDistribution(2, 50), "m": FloatDistribution(1e-4, 1e-1, log=True)}
        study.add_trial(create_trial(params={"k": k, "m": m}, distributions=ranges, value=np.log10(m)))
    study.add_trial(create_trial(state=TrialState.PRUNED, params={}, distributions={}))
    return folder


def test_a_surrogate_has_the_shape_of_the_scores(searched: Path) -> None:
    trials = samplers.finished_trials(searched)
    assert len(trials) == 24
    surrogate = samplers.Surrogate(trials)
    assert surrogate.features({"k": 7, "m": 0.01}) == [7.0, pytest.approx(np.log(0.01))]
    assert surrogate.r2 > 0.8
    best = np.mean(sorted(t.values[0] for t in trials)[-3:])  # a forest averages over leaves of several trials
    assert surrogate.best == pytest.approx(best, abs=0.2)
    assert surrogate.middle == pytest.approx(-2.5, abs=0.3)  # the median of log m


def test_samplers_are_compared_on_the_same_seeds(searched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samplers, "BUDGETS", (4, 14))
    surrogate = samplers.Surrogate(samplers.finished_trials(searched))
    tpe, random = (surrogate.search(name, 1) for name in ("tpe", "random"))
    assert tpe[:10] == random[:10] and tpe[10:] != random[10:]  # the first ten trials of TPE are random
    assert max(random) <= 101 and surrogate.search("random", 2) != random
    result = CliRunner().invoke(samplers.main, [str(searched), "--repeats", "3"], catch_exceptions=False)
    assert "surrogate of 24 trials" in result.output
    rows = [line.split("│") for line in result.output.splitlines() if line.startswith("│")]
    assert [row[1].strip() for row in rows] == ["4", "14"]
    best = [max(surrogate.search("random", seed)) for seed in range(3)]
    assert rows[1][3].split()[0] == f"{np.mean(best):.1f}"
    assert rows[0][4].strip() == "0.0 ± 0.0"
    assert "warning" not in result.output
    monkeypatch.setattr(samplers, "LEAST_R2", 1.0)
    result = CliRunner().invoke(samplers.main, [str(searched), "--repeats", "2"], catch_exceptions=False)
    assert "the surrogate of 24 trials explains their scores badly (R2 0." in result.output


def test_few_trials_make_no_surrogate(tmp_path: Path) -> None:
    optuna.create_study(storage=open_storage(None, tmp_path), study_name=tmp_path.name)
    result = CliRunner().invoke(samplers.main, [str(tmp_path)])
    assert result.exit_code and "0 finished trials are too few for a surrogate; limit: >= 4" in result.output


@pytest.mark.parametrize(
    ("names", "scores", "reason"),
    [
        (["m", "m", "m", "k"], [1.0, 2.0, 3.0, 4.0], "differ in their hyperparameters"),
        (["m"] * 4, [1.0] * 4, "same score"),
    ],
)
def test_trials_without_a_common_space_or_a_spread_make_no_surrogate(
    names: list[str], scores: list[float], reason: str, tmp_path: Path
) -> None:
    study = optuna.create_study(storage=open_storage(None, tmp_path), study_name=tmp_path.name)
    for number, (name, score) in enumerate(zip(names, scores, strict=True)):
        study.add_trial(
            create_trial(params={name: float(number)}, distributions={name: FloatDistribution(0, 9)}, value=score)
        )
    result = CliRunner().invoke(samplers.main, [str(tmp_path)])
    assert result.exit_code and reason in result.output


def test_comparison_of_scores_by_hand() -> None:
    def row(select: str, rho: float | None, regret: float) -> AuditRow:
        value = None if rho is None else Correlation(rho, -1, 1)
        return AuditRow(select, 0, {"rank_1": value, "map": value}, {"rank_1": regret, "map": 2 * regret})

    audits = [[row("im", 0.6, 1.0), row("snd", None, 2.0)], [row("im", 0.8, 3.0), row("snd", 0.5, 2.0)]]
    # t(0.975, 1) = 12.706, times the standard deviation / sqrt 2
    assert selection.cells("im", audits) == ["im", "0.70 ± 1.27", "0.70 ± 1.27", "2.00 ± 12.71", "4.00 ± 25.41"]
    assert selection.cells("snd", audits)[:3] == ["snd", "0.50", "0.50"]  # undefined in the first search


def test_command_that_ends_before_its_kill_is_not_counted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = iter(["", None, "the results differ", None, ""])
    monkeypatch.setattr(kill, "survive", lambda *_: next(outcomes))
    lost = kill.kill_repeatedly(kill.Command("search", (), ()), {}, tmp_path, iter([1.0, 9.0, 2.0, 8.0, 3.0]), kills=3)
    assert lost == ["search 1, 2.00 s: the results differ"]
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 5
    assert sum("not counted" in line for line in printed) == 2


def test_fuzz_names_the_extra_that_it_needs() -> None:
    """hypothesis comes with the extra `dev` alone."""
    script = "import runpy, sys; sys.modules['hypothesis'] = None; runpy.run_path(sys.argv[1], run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", script, fuzz.__file__, "--help"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: hypothesis is missing; pip install -c constraints.txt -e '.[dev]'\n"
