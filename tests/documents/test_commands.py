"""Every command in the documents: its options exist, and the commands of code blocks run, at a toy size."""

from __future__ import annotations

import csv
import importlib
import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from ray.scripts.scripts import cli as ray_cli

from gckd.cli.main import cli
from gckd.config import apply, parse_edits, preset
from gckd.data.street import make_street
from tests.cli.test_commands import status_of
from tests.documents.blocks import ROOT, Command, blocks, commands, commands_in
from tests.test_library import MICRO

# Programs of others, and why they are not run here.
OTHERS = {
    "aws": "needs an account",
    "group=$(aws": "needs an account",
    "lint-imports": "a step of .ci/run",
    "mkdocs": "a step of .ci/run",
    "mutmut": "takes hours",
    "mypy": "a step of .ci/run",
    "optuna-dashboard": "is not a dependency",
    "pip": "needs a network; .ci/run runs the line of the README",
    "pip-licenses": "a step of .ci/run",
    "pre-commit": "needs a network",
    "pytest": "runs this test",
    "ruff": "a step of .ci/run",
    "source": "belongs to the shell",
    "tensorboard": "serves a page until it is stopped",
}
# Part of a command of gckd -> why a code block with it is not run. Its options are checked.
NOT_RUN = {
    "docs/find.md": "needs a trained run; tests/cli/test_find.py and tests/cli/test_demo.py",
    "docs/tutorial.md": "test_tutorial.py runs it",
    "sbatch": "needs SLURM",
    "ray submit": "needs a cluster",
    "torchrun": "needs several processes; tests/training/test_parity.py",
    "s3://": "needs a network; tests/training/test_object_store.py",
    "benchmarks/": "takes long; tests/test_benchmarks.py runs it at a tiny size",
    "--preset base": "needs a GPU and published weights",
    "ablations/run.py": "starts Ray; test_tutorial.py runs it",
    "tune/search.py": "starts Ray, or times training; test_tutorial.py and tests/tune/test_search.py run it",
}
PROGRAM_FILES = {"ablations/run.py": "ablate", "tune/search.py": "tune"}


def program(command: Command) -> tuple[click.Command, list[str]] | None:
    """The command object of gckd, of Ray or of a benchmark, and its arguments; None for a program of others."""
    first, *rest = command.words
    if first in ("torchrun", "sbatch"):
        place = rest.index("gckd") if "gckd" in rest else len(rest)
        return subcommand(cli, rest[place + 1 :])
    if first == "ray":
        return submitted(rest) or subcommand(ray_cli, rest)
    if first == "gckd":
        return subcommand(cli, rest)
    if first == "python" and rest[0] in PROGRAM_FILES:
        return subcommand(cli, [PROGRAM_FILES[rest[0]], *rest[1:]])
    if first == "python" and rest[0].startswith("benchmarks/"):
        assert (ROOT / rest[0]).is_file()
        return importlib.import_module(rest[0].removesuffix(".py").replace("/", ".")).main, rest[1:]
    if first == "python":
        module = rest[1].replace(".", "/") + ".py" if rest[0] == "-m" else rest[0]
        assert rest[:2] == ["-m", "venv"] or (ROOT / module).is_file()
        return None
    assert first in OTHERS, f"{command}: unknown program"
    return None


def submitted(words: list[str]) -> tuple[click.Command, list[str]] | None:
    """The command that `ray submit FILE SCRIPT ...` runs on the head."""
    if words[0] != "submit" or len(words) < 3:
        return None
    assert (ROOT / words[1]).is_file()
    return subcommand(cli, [PROGRAM_FILES[words[2]], *words[3:]])


def subcommand(group: click.Command, words: list[str]) -> tuple[click.Command, list[str]]:
    """The innermost command that the words name, and its arguments."""
    while isinstance(group, click.Group) and words and not words[0].startswith("-"):
        inner = group.get_command(click.Context(group), words[0])
        assert inner is not None, f"unknown command {words[0]!r}"
        group, words = inner, words[1:]
    return group, words


@pytest.mark.parametrize("command", commands(), ids=str)
def test_its_options_exist(command: Command) -> None:
    parsed = program(command)
    if parsed is None:
        return
    target, arguments = parsed
    target.make_parser(click.Context(target)).parse_args([word for word in arguments if word != "--help"])
    is_base = "base" in arguments
    edits = [value for option, value in itertools.pairwise(arguments) if option == "--set"]
    if edits and "--plugin" not in arguments:
        apply(preset("base" if is_base else "tiny"), parse_edits(edits))


def shell_commands() -> list[Command]:
    """Commands of gckd in code blocks that are run by the next test."""
    in_blocks = [command for block in blocks("sh") for command in commands_in(block.document, block.text)]
    own = [command for command in in_blocks if command.words[0] in ("gckd", "python") and "-m" not in command.words]
    return [command for command in own if not any(part in str(command) for part in NOT_RUN)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with the files that the documents name."""
    place = tmp_path_factory.mktemp("reader")
    street = make_street(place / "street", ids=8, workers=1)
    for name in ("CUHK-PEDES", "ICFG-PEDES", "RSTPReid"):
        shutil.copytree(street.root / name, place / name)
    make_plain_folder(street.root / "RSTPReid", place / "people")
    for file in ("alignment", "score", "reader"):
        shutil.copy(ROOT / "tests" / "plugins" / f"{file}.py", place)
    shutil.copy(ROOT / "tune" / "spaces" / "default.yaml", place / "my_space.yaml")
    return place


def make_plain_folder(dataset: Path, folder: Path) -> None:
    """The images of a dataset with captions.csv."""
    shutil.copytree(dataset / "imgs", folder)
    entries = json.loads((dataset / "data_captions.json").read_text())
    with (folder / "captions.csv").open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["image", "caption", "identity", "split"])
        for entry in entries:
            writer.writerows([entry["img_path"], text, entry["id"], entry["split"]] for text in entry["captions"])


@pytest.mark.slow
@pytest.mark.parametrize("command", shell_commands(), ids=str)
def test_it_runs(command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GCKD_CACHE", str(folder / "cache"))
    parsed = program(command)
    assert parsed is not None
    target, arguments = parsed
    assert status_of(target, *SMALLER.get(target.name or "", lambda words: words)(arguments)) == 0


def smaller_run(words: list[str]) -> list[str]:
    edits = [word for path, value in MICRO.items() for word in ("--set", f"{path}={value}")]
    datasets = [] if "--source" in words else ["--source", "ICFG-PEDES", "--target", "RSTPReid"]
    return [*words, *edits, *datasets]


SMALLER: dict[str, Callable[[list[str]], list[str]]] = {
    "train": smaller_run,
    "street": lambda words: ["8" if word == "200" else word for word in words],
}


def test_every_reason_applies() -> None:
    everything = " ".join(map(str, commands()))
    assert [part for part in (*OTHERS, *NOT_RUN) if part not in everything] == []
    assert shell_commands()
