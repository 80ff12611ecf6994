"""`gckd estimate`, and `--gpu` of dry runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gckd.cli.ablate import ablate
from gckd.cli.estimate import estimate
from gckd.cli.tune import search
from gckd.config import preset
from gckd.estimate.gpus import gpu
from gckd.estimate.run_estimate import run_estimate
from gckd.estimate.trace import run_work
from tests.cli.test_commands import MINIATURE, status_of
from tests.pretended_cuda.marks import needs_pretended_cuda
from tests.toy import make_toy

ROOT = Path(__file__).resolve().parents[2]
SETS = [word for path, value in MINIATURE.items() for word in ("--set", f"{path}={value}")]
# Instance types of the cluster files, by their first GPU.
INSTANCES = {"g6e.2xlarge": "l40s", "a2-ultragpu-1g": "a100"}


@needs_pretended_cuda
def test_the_estimate_has_work_time_memory_and_its_assumptions(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(estimate, *SETS, "--gpu", "h100", "--gpu", "l4", "--gpu", "h100") == 0
    text = capsys.readouterr().out
    for expected in ("kernels", "TFLOP", "GiB of tensors", "H100 SXM", "L4", "Assumed, not measured"):
        assert expected in text
    assert text.count("H100 SXM") == 1 and "A100" not in text


def test_a_config_without_steps_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edits = [
        "--preset",
        "base",
        "--set",
        "pretrain.steps=0",
        "--set",
        "adapt.steps=0",
        "--set",
        f"backbone.weights={tmp_path / 'a.pth'}",
    ]
    assert status_of(estimate, *edits) == 2
    assert "there is no step to estimate" in capsys.readouterr().err


@pytest.mark.parametrize("command", [ablate, search])
def test_a_gpu_needs_a_dry_run(command: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(command, "--gpu", "h100") == 2  # type: ignore[arg-type]
    assert "--gpu: is for estimates alone; add --dry-run" in capsys.readouterr().err
    assert status_of(command, "--dry-run", "--gpu", "h1000") == 2  # type: ignore[arg-type]
    assert "--gpu: unknown GPU 'h1000'" in capsys.readouterr().err


@pytest.mark.slow
@needs_pretended_cuda
@pytest.mark.parametrize("command", [ablate, search])
def test_a_dry_run_estimates_for_a_gpu(
    command: object, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_toy(tmp_path / "a")
    make_toy(tmp_path / "b", shade=200)
    monkeypatch.chdir(tmp_path)
    own = ["--drop", "gmp"] if command is ablate else ["--trials", "4", "--epochs", "1", "--space", "space.yaml"]
    (tmp_path / "space.yaml").write_text("adapt.lr:\n  float: [1.0e-3, 1.0e-2]\n")
    fixed = ["--source", "a", "--target", "b", "--cache", "cache", "--out", "out", "--dry-run", "--gpu", "h100"]
    assert status_of(command, *fixed, *SETS, *own) == 0  # type: ignore[arg-type]
    last, memory = capsys.readouterr().out.splitlines()[-2:]
    assert last.startswith("estimate: ") and "estimated for one H100 SXM, not measured," in last
    assert memory.startswith("GPU memory: about ") and memory.endswith("of 80 GiB of one H100 SXM")


@pytest.mark.slow
@needs_pretended_cuda
def test_base_fits_the_gpus_of_the_cluster_files() -> None:
    work = run_work(preset("base"))
    for file, field in (("cluster.yaml", "InstanceType"), ("clusters/gcp.yaml", "machineType")):
        nodes = yaml.safe_load((ROOT / file).read_text())["available_node_types"]
        machines = {node["node_config"][field] for name, node in nodes.items() if name.startswith("gpu")}
        assert machines and all(run_estimate(work, gpu(INSTANCES[machine])).fits for machine in machines)
