"""An installed wheel runs every command without a checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gckd.config import to_yaml
from tests.toy import make_toy
from tests.training.micro import micro

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds nothing but the files of the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    for name in ("ablations", "gckd", "tune"):  # a copy: setuptools would leave a build folder in the checkout
        shutil.copytree(ROOT / name, folder / "checkout" / name, symlinks=True)
    for name in ("LICENSE", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / "checkout")
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(folder), str(folder / "checkout")], check=True, timeout=240)
    (wheel,) = folder.glob("gckd-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(folder / "site"), str(wheel)], check=True)
    return folder / "site"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with two toy datasets and a config."""
    config = micro(make_toy(tmp_path / "source"), make_toy(tmp_path / "target", shade=120))
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    return tmp_path


def gckd(site: Path, folder: Path, *arguments: str) -> str:
    """Standard output of the command, which sees the wheel and not the checkout."""
    environment = os.environ | {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "gckd", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_the_wheel_that_runs(site: Path, folder: Path) -> None:
    command = [sys.executable, "-c", "import gckd; print(gckd.__file__)"]
    environment = os.environ | {"PYTHONPATH": str(site)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == site / "gckd" / "__init__.py"


def test_ablate(site: Path, folder: Path) -> None:
    shared = ["--config", "config.yaml", "--cache", "cache", "--seeds", "1"]
    table = gckd(site, folder, "ablate", "--drop", "gmp", *shared, "--out", "table")
    assert "full" in table
    assert "-gmp" in table
    assert (folder / "table" / "report.html").exists()


def test_specs_and_spaces_are_in_the_wheel(site: Path, folder: Path) -> None:
    assert "table4" in gckd(site, folder, "ablate", "--help")
    for place, checkout in (("ablations/specs", "ablations/specs"), ("tune/spaces", "tune/spaces")):
        shipped = {file.name: file.read_text() for file in (site / "gckd" / place).glob("*.yaml")}
        assert shipped == {file.name: file.read_text() for file in (ROOT / checkout).glob("*.yaml")}


def test_tune(site: Path, folder: Path) -> None:
    (folder / "space.yaml").write_text("graph.propagate.k: {int: [1, 4]}\n")
    shared = ["--config", "config.yaml", "--cache", "cache", "--space", "space.yaml"]
    gckd(site, folder, "tune", "--trials", "2", "--confirm-seeds", "0", *shared, "--out", "search")
    assert (folder / "search" / "best.yaml").exists()
