"""Files from somebody else: every reader reads or refuses them, and none runs their code."""

from __future__ import annotations

import ast
import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.fuzz import READERS, FuzzedReader, fuzz, problem_of
from tests.test_english import ROOT

INPUTS = 20  # of each reader; benchmarks/fuzz.py tries more
PICKLES = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
# Messages between a process and its own children, and a description of a pickle's content that does not load it.
ALLOWED = {"gckd/data/street/worker.py", "gckd/data/street/process_pool.py", "gckd/models/file_description.py"}

by_reader = pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)


@by_reader
def test_hostile_input_is_read_or_refused_in_one_line(reader: FuzzedReader) -> None:
    outcome = fuzz(reader, INPUTS, seed=0)
    assert outcome.inputs >= INPUTS
    assert not outcome.causes, "\n".join(text for _, _, text in outcome.causes.values())


class Trap:
    """Object whose pickle writes a file when it is loaded."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (eval, (f"open({str(self.file)!r}, 'w').close()",))


def traps(file: Path) -> dict[str, bytes]:
    """The pickle of a trap, bare and inside the formats that can hold one."""
    checkpoint, array = io.BytesIO(), io.BytesIO()
    torch.save({"model": Trap(file)}, checkpoint)
    np.savez(array, nodes=np.array([Trap(file)], dtype=object), allow_pickle=True)
    return {"pickle": pickle.dumps(Trap(file)), "checkpoint": checkpoint.getvalue(), "npz": array.getvalue()}


def test_the_traps_work(tmp_path: Path) -> None:
    contents = traps(tmp_path / "trap")
    for load in (
        lambda: pickle.loads(contents["pickle"]),
        lambda: torch.load(io.BytesIO(contents["checkpoint"]), weights_only=False),
        lambda: np.load(io.BytesIO(contents["npz"]), allow_pickle=True)["nodes"],
    ):
        load()
        (tmp_path / "trap").unlink()


@by_reader
def test_no_reader_runs_the_code_in_a_pickle(reader: FuzzedReader, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    reader.seeds(tmp_path / "folder")
    for content in traps(tmp_path / "trap").values():
        assert problem_of(reader, content, tmp_path / "folder") is None
        assert not (tmp_path / "trap").exists()


def unsafe_calls(tree: ast.Module) -> list[str]:
    """Calls that run code from a file, with their lines."""
    unsafe = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name, keywords = ast.unparse(node.func), {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        module, _, function = name.rpartition(".")
        if (
            (module in PICKLES and function in ("load", "loads", "Unpickler", "open"))
            or name in ("eval", "exec", "tune.Tuner.restore", "Tuner.restore", "pd.read_pickle")
            or (name == "torch.load" and keywords.get("weights_only") != "True")
            or keywords.get("allow_pickle") == "True"
            or (module == "yaml" and function in ("unsafe_load", "full_load", "load_all", "unsafe_load_all"))
        ):
            unsafe.append(f"{node.lineno}: {name}")
    return unsafe


def test_unsafe_calls_are_recognised() -> None:
    lines = [
        "pickle.loads(x)",
        "torch.load(x)",
        "torch.load(x, weights_only=False)",
        "np.load(x, allow_pickle=True)",
        "eval(x)",
        "yaml.unsafe_load(x)",
    ]
    safe = ["torch.load(x, weights_only=True)", "np.load(x)", "pickle.dumps(x)", "model.eval()"]
    assert len(unsafe_calls(ast.parse("\n".join(lines)))) == len(lines)
    assert unsafe_calls(ast.parse("\n".join(safe))) == []


def test_no_code_loads_pickles_from_files() -> None:
    files = [file for folder in ("gckd", "tune", "ablations") for file in sorted((ROOT / folder).rglob("*.py"))]
    unsafe = {
        f"{file.relative_to(ROOT)}:{call}"
        for file in files
        if str(file.relative_to(ROOT)) not in ALLOWED
        for call in unsafe_calls(ast.parse(file.read_text(encoding="utf-8")))
    }
    assert len(files) > 100
    assert not unsafe
