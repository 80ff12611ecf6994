"""Promises of an installation: declared dependencies, pins, and a package that works without the cluster's."""

from __future__ import annotations

import ast
import itertools
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from tests.toy import make_toy

ROOT = Path(__file__).resolve().parents[1]
CLUSTER = ("ray", "optuna", "faiss")
NEED_RAY_OR_OPTUNA = (
    *("gckd.tune.", "gckd.cli.tune", "gckd.cluster.trainable"),
    *("gckd.cluster.torch_backend", "gckd.cluster.train_group", "gckd.cluster.worker_tasks"),
)
BLOCK = f"import sys\nfor name in {CLUSTER}:\n    sys.modules[name] = None\n"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def python(code: str) -> str:
    """Standard output of a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


def names(requirements: list[str]) -> set[str]:
    """Normalised names of distributions, without versions and extras."""
    return {re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", text.strip())[0]).lower() for text in requirements}


def imported(file: Path) -> set[str]:
    """Top-level modules that a file imports, anywhere in it."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return {module.split(".")[0] for module in modules}


def files_that_need_the_cluster_extra() -> set[Path]:
    """Modules of the search."""
    return {*(ROOT / "gckd" / "tune").rglob("*.py"), *(ROOT / "gckd" / "cli").glob("tune*.py")}


def test_every_module_imports_without_ray_optuna_and_faiss() -> None:
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "gckd").rglob("*.py")
    }
    names = sorted(name for name in modules if not name.startswith(NEED_RAY_OR_OPTUNA) and name != "gckd.__main__")
    assert len(names) > 150
    load = f"import importlib\nfor name in {names}:\n    importlib.import_module(name)\n    print(name)"
    assert python(BLOCK + load).split() == names


def test_it_trains_without_ray_optuna_and_faiss(tmp_path: Path) -> None:
    source, target = make_toy(tmp_path / "source"), make_toy(tmp_path / "target", shade=120)
    train = f"""
from pathlib import Path
from gckd.training.run import train_run
from tests.training.micro import STEPS, micro
place = Path({str(tmp_path)!r})
result = train_run(micro({str(source)!r}, {str(target)!r}), cache=place / "cache", out=place / "out")
print(max(row["step"] for row in result.curves if row["stage"] == "adapt") == STEPS)
"""
    assert python(BLOCK + train) == "True\n"


def test_what_gckd_imports_is_a_dependency_and_nothing_else_is() -> None:
    files = set((ROOT / "gckd").rglob("*.py")) - files_that_need_the_cluster_extra()
    modules = set.union(*map(imported, files)) - set(sys.stdlib_module_names)
    known = packages_distributions()
    assert names([known[module][0] for module in modules - {"gckd", *CLUSTER}]) == names(PROJECT["dependencies"])


def test_the_wheel_has_every_file_that_is_no_code() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    matches = [(ROOT / name.replace(".", "/")).glob(glob) for name, globs in declared.items() for glob in globs]
    shipped = set(itertools.chain.from_iterable(matches))
    folders = os.walk(ROOT / "gckd", followlinks=True)  # specs and spaces are links
    files = {Path(folder, name) for folder, _, names in folders if "__pycache__" not in folder for name in names}
    assert shipped == {file for file in files if file.suffix != ".py"}


def test_what_the_search_and_the_cluster_import_comes_with_the_cluster_extra() -> None:
    files = files_that_need_the_cluster_extra() | set((ROOT / "gckd" / "cluster").rglob("*.py"))
    modules = set.union(*map(imported, files)) - set(sys.stdlib_module_names)
    known = packages_distributions()
    wanted = names([known[module][0] for module in modules - {"gckd"}])
    extra = names(PROJECT["optional-dependencies"]["cluster"])
    assert wanted <= extra | names(PROJECT["dependencies"])
    assert extra <= wanted


def test_every_direct_dependency_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.match(r"[\w.-]+==[\w.]+(\s+#|$)", pin) for pin in pins)
    direct = [*PROJECT["dependencies"], *(r for extra in PROJECT["optional-dependencies"].values() for r in extra)]
    assert names(direct) - {"gckd"} <= names(pins)
