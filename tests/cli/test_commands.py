"""The `gckd` command, in this process."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import click
import pandas as pd
import pytest
import yaml
from click.shell_completion import ShellComplete
from PIL import Image

import gckd
from gckd.cli.config import describe
from gckd.cli.guard import run_command
from gckd.cli.main import COMMANDS, cli
from gckd.config import Config, apply, encode, from_yaml, preset, to_yaml, value_at
from gckd.config.tree import walk
from gckd.errors import InputError
from tests.toy import make_toy

# The smallest run on the 12 train images of the toy.
MINIATURE = {
    "pretrain.steps": 2,
    "pretrain.batch": 4,
    "pretrain.evaluations": 1,
    "adapt.steps": 2,
    "adapt.batch": 4,
    "graph.memory.capacity": 8,
    "graph.propagate.k": 3,
    "data.height": 16,
    "data.width": 8,
    "tokenizer.vocab_size": 64,
}

TAKEN = """from typing import ClassVar
from gckd.extend import TargetsConfig
class Mine(TargetsConfig):
    kind: ClassVar[str] = "soft"
"""


def status_of(command: click.Command, *arguments: str) -> int:
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as caught:
            run_command(command, arguments)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.mark.parametrize(
    ("outcome", "status"),
    [(None, 0), (0, 0), (1, 1), (InputError("a", "b"), 2), (click.UsageError("no"), 2), (KeyboardInterrupt(), 130)],
)
def test_exit_statuses(outcome: int | BaseException | None, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def command() -> int | None:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    interrupt = signal.getsignal(signal.SIGINT)
    try:
        assert status_of(command) == status
    finally:
        signal.signal(signal.SIGINT, interrupt)
    err = capsys.readouterr().err
    assert "Traceback" not in err
    if isinstance(outcome, InputError):
        assert err == "error: a\nerror: b\n"


def test_sigterm_is_an_interruption() -> None:
    @click.command()
    def command() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    interrupt = signal.getsignal(signal.SIGINT)
    try:
        assert status_of(command) == 130
    finally:
        signal.signal(signal.SIGINT, interrupt)


def test_an_unexpected_error_keeps_its_traceback() -> None:
    @click.command()
    def command() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(command, [])


def test_config_shows_every_field_with_unit_limit_and_doc(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(cli, "config", "--preset", "base", "--set", "adapt.lr=2e-5") == 0
    lines = capsys.readouterr().out.splitlines()
    config = apply(preset("base"), {"adapt.lr": 2e-5})
    leaves = {path: (value, limits) for path, value, _, limits in walk(config)}
    shown = {line.partition(" = ")[0]: line for line in lines}
    for path, (value, limits) in leaves.items():
        assert shown[path].startswith(f"{path} = {value!r}")
        for part in (limits.unit, limits.doc, limits.text()):
            assert part in shown[path]
    components = shown.keys() - leaves.keys()
    assert "graph.propagate" in components
    assert all(shown[path].startswith(f"{path} = {value_at(config, path).kind} ") for path in components)
    assert describe(config).splitlines() == lines


def test_config_as_yaml_can_be_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(cli, "config", "--yaml", "--preset", "base", "--set", "graph.propagate=none") == 0
    text = capsys.readouterr().out
    expected = apply(preset("base"), {"graph.propagate": "none"})
    assert from_yaml(Config, text) == expected
    file = tmp_path / "c.yaml"
    file.write_text(text)
    assert status_of(cli, "config", "--yaml", "--config", str(file), "--set", "seed=3") == 0
    assert from_yaml(Config, capsys.readouterr().out) == apply(expected, {"seed": 3})


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["config", "--preset", "huge"], "error: --preset: unknown preset 'huge'; choose from tiny, base"),
        (["config", "--set", "seed"], "error: --set 'seed': expected PATH=VALUE, for example --set adapt.steps=100"),
        (["config", "--config", "no.yaml"], "error: no.yaml: cannot be read (No such file or directory)"),
        (["config", "--config", "x", "--preset", "tiny"], "error: --preset: conflicts with --config"),
        (["train", "--source", "x"], "error: --target: no dataset is given"),
        (["train", "--seed", "x"], "error: --seed: 'x' is not a whole number; see "),
        (["train", "--sed", "1"], "error: unknown option '--sed'; see '"),
        (
            ["train", "--set", "distill.teacher=emma"],
            "unknown kind 'emma'; choose from ema, none (did you mean 'ema'?)",
        ),
        (["find", "x.pt", "a", "-k", "0"], "error: -k: 0 is outside its limit: >= 1; see "),
        (["find", "x.pt", "a", "--index", "flat"], "error: --index: unknown index 'flat'; choose from exact, ivf-pq"),
        (
            ["find", "x.pt", "a", "--sheet", "no/x.png"],
            "error: --sheet no/x.png: is not a file in a folder that exists",
        ),
        (
            ["find", "runs/demo", "a coat", "--sheet", "x.jpg"],
            "error: --sheet x.jpg: expected a name that ends with .png",
        ),
        (["config", "--schema", "--yaml"], "error: --schema: conflicts with --yaml"),
        (["data", "stor"], "error: unknown command 'stor'; choose from check, make, store"),
        (["train", "--source", "nowhere", "--target", "x"], "error: dataset 'nowhere': the folder"),
        (["evaluate", "no.pt"], "no.pt: there is no such checkpoint file"),
        (["find", "no.pt", "a red coat"], "no.pt: there is no such checkpoint file"),
        (["find", "no.pt", " "], "error: TEXT: is empty; give a sentence"),
        (["report", "nowhere"], "error: nowhere/runs.parquet: file not found"),
        (["report"], "error: FOLDER: is missing; see '"),
        (["fly"], "error: unknown command 'fly'; choose from ablate, audit, "),
    ],
)
def test_bad_input(
    arguments: list[str],
    expected: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GCKD_CACHE", str(tmp_path / "cache"))
    assert status_of(cli, *arguments) == 2
    assert expected in capsys.readouterr().err


def test_an_interrupted_training_says_how_to_resume(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(*arguments: object, **settings: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("GCKD_CACHE", str(tmp_path))
    monkeypatch.setattr("gckd.runs.local.train_single", interrupted)
    before = signal.getsignal(signal.SIGINT)
    try:
        assert status_of(cli, "train", "--source", "a", "--target", "b") == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert "interrupted; to resume, repeat the command with --resume" in capsys.readouterr().err


def training_of_toys(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Arguments of a training of few steps. Changes to `folder`, which has the toys and the cache."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GCKD_CACHE", str(folder / "cache"))
    make_toy(folder / "a")
    make_toy(folder / "b", shade=200)
    sets = [word for path, value in MINIATURE.items() for word in ("--set", f"{path}={value}")]
    return ["train", "--source", "a", "--target", "b", *sets]


@pytest.mark.slow
def test_train_resume_report_and_evaluate_agree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    train = [*training_of_toys(tmp_path, monkeypatch), "--out", "out", "--seed", "1"]
    assert status_of(cli, *train) == 0
    printed = capsys.readouterr().out
    assert "±" not in printed and "Every row" not in printed  # words of a table
    (run,) = pd.read_parquet("out/runs.parquet").itertuples()
    assert (run.row, run.seed, run.status, run.queries, run.gallery) == ("full", 1, "done", 8, 4)
    assert 0 <= run.rank_1 <= run.rank_5 <= run.rank_10 <= 100
    names, values = (line.split() for line in printed.splitlines()[:2])
    assert names == ["Rank-1", "Rank-5", "Rank-10", "mAP", "mINP"]
    expected = [run.rank_1, run.rank_5, run.rank_10, run.map, run.minp]
    assert [float(value) for value in values] == pytest.approx(expected, abs=0.051)
    queries = pd.read_parquet("out/full/seed-1/queries.parquet")
    assert (len(queries), 100 * (queries["rank"] == 1).mean()) == (8, pytest.approx(run.rank_1))
    assert 100 * queries["ap"].mean() == pytest.approx(run.map, abs=1e-4)
    assert queries["identity"].value_counts().max() == 4  # captions of a person
    assert all(len(top) == 4 for top in queries["top"])

    assert status_of(cli, *train) == 2
    assert "add --resume" in capsys.readouterr().err
    before = Path("out/runs.parquet").stat().st_mtime_ns
    assert status_of(cli, *train, "--resume") == 0
    assert Path("out/runs.parquet").stat().st_mtime_ns == before

    capsys.readouterr()
    assert status_of(cli, "evaluate", "out/full/seed-1/checkpoint.pt") == 0
    assert f"{run.rank_1:.1f}" in capsys.readouterr().out
    check_find(capsys, "out/full/seed-1/checkpoint.pt")
    table = Path("out/table.md").read_text()
    Path("out/table.md").unlink()
    assert status_of(cli, "report", "out") == 0
    assert Path("out/table.md").read_text() == table


@pytest.mark.slow
def test_damaged_files_of_a_finished_run_are_named_or_restored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    train = [*training_of_toys(tmp_path, monkeypatch), "--out", "out", "--resume"]
    assert status_of(cli, *train) == 0
    (rank_1,), checkpoint = pd.read_parquet("out/runs.parquet")["rank_1"], Path("out/full/seed-0/checkpoint.pt")
    content, config = bytearray(checkpoint.read_bytes()), checkpoint.with_name("config.yaml")
    text = config.read_bytes()
    config.write_text("seed: 7")
    assert (status_of(cli, *train), config.read_bytes()) == (0, text)

    content[len(content) // 2] ^= 1
    checkpoint.write_bytes(content)
    capsys.readouterr()
    assert status_of(cli, *train) == 2
    assert re.search(r"checkpoint.pt: .*damaged.*delete the file", capsys.readouterr().err)
    checkpoint.unlink()
    assert status_of(cli, *train) == 0
    assert checkpoint.is_file() and list(pd.read_parquet("out/runs.parquet")["rank_1"]) == [rank_1]


@pytest.mark.slow
def test_a_run_in_an_object_store_resumes_on_another_machine(
    tmp_path: Path, bucket: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    train = [*training_of_toys(tmp_path, monkeypatch), "--out", f"{bucket}/run"]
    checkpoint = f"{bucket}/run/full/seed-0/checkpoint.pt"
    assert status_of(cli, *train) == 0
    assert f"written to {bucket}/run" in capsys.readouterr().err
    (folder,) = Path("runs").iterdir()
    table = (folder / "table.md").read_text()
    assert not list(folder.rglob("checkpoint.pt")) and not list(tmp_path.glob("s3*"))

    shutil.rmtree("runs")  # as on another machine
    assert status_of(cli, *train) == 2
    assert f"--out: {bucket}/run is not empty; add --resume" in capsys.readouterr().err
    assert status_of(cli, *train, "--resume") == 0
    assert (folder / "table.md").read_text() == table
    rank_1 = pd.read_parquet(folder / "runs.parquet").rank_1[0]
    capsys.readouterr()
    assert status_of(cli, "evaluate", checkpoint) == 0
    assert f"{rank_1:.1f}" in capsys.readouterr().out
    assert status_of(cli, "find", checkpoint, "a coat", "-k", "1") == 0
    assert status_of(cli, "evaluate", f"{bucket}/run/nothing.pt") == 2
    assert f"error: {bucket}/run/nothing.pt: there is no such checkpoint file" in capsys.readouterr().err


def check_find(capsys: pytest.CaptureFixture[str], checkpoint: str) -> None:
    """The toy's test split has 4 images; the same text twice finds the same images twice."""
    text = "person 9 in a coat"
    assert status_of(cli, "find", checkpoint, text, text, "-k", "4", "--sheet", "sheet.png") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:5] == lines[5:] and lines[0] == text
    paths = [line.split()[2] for line in lines[1:5]]
    assert {Path(path).name for path in paths} == {"0009_c0.png", "0009_c1.png", "0010_c0.png", "0010_c1.png"}
    with Image.open("sheet.png") as sheet:
        assert sheet.height > 2 * 16
    assert status_of(cli, "find", checkpoint, text, "-k", "5") == 2
    assert capsys.readouterr().err == "error: k: 5 is above its limit: a gallery of 4\n"
    assert status_of(cli, "find", checkpoint, text, "-k", "2", "--index", "ivf-pq") == 2
    assert capsys.readouterr().err.startswith("error: ivf-pq: a gallery of 4 is below its limit")


def test_training_needs_no_ray_optuna_or_faiss() -> None:
    modules = "gckd.cli.train, gckd.runs.local, gckd.training, gckd.report.table_report"
    code = f"import sys; import {modules}; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"ray", "optuna", "faiss"} & {name.partition(".")[0] for name in output.split()}


def test_commands_that_workers_train_for_do_not_import_models() -> None:
    """Importing them takes seconds, which a table and a search would wait for before their first run starts."""
    code = "import sys; import gckd.ablations.ablation, gckd.tune.search; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"transformers", "gckd.models.build"} & set(output.split())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("gckd fi", ["find"]),
        ("gckd ", list(COMMANDS)),
        ("gckd data ma", ["make"]),
        ("gckd find --gall", ["--gallery"]),
        ("gckd fly a", ["ablate", "audit"]),
        ("gckd train --plugin no.py --resu", ["--resume"]),
    ],
)
def test_a_shell_completes_commands_and_options(words: str, expected: list[str]) -> None:
    *arguments, incomplete = words.split(" ")[1:]
    completions = ShellComplete(cli, {}, "gckd", "_GCKD_COMPLETE").get_completions(arguments, incomplete)
    assert [completion.value for completion in completions] == expected


def test_a_shell_completes_a_command_without_importing_torch() -> None:
    environment = os.environ | {"_GCKD_COMPLETE": "bash_complete", "COMP_WORDS": "gckd e", "COMP_CWORD": "1"}
    code = (
        "import sys\nfrom gckd.cli.main import cli\n"
        "try:\n    cli.main([], prog_name='gckd')\nfinally:\n    print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["plain,embed", "plain,estimate", "plain,evaluate", "False"]


def test_help_says_what_each_exit_status_means(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(cli, "--help") == 0
    lines = capsys.readouterr().out.partition("Exit status:")[2].splitlines()[1:6]
    assert [line.split()[0] for line in lines] == ["0", "1", "2", "line", "130"]
    assert status_of(cli, "--version") == 0
    assert capsys.readouterr().out == f"gckd, version {gckd.__version__}\n"


@pytest.mark.parametrize("option", ["--config", "--preset"])
def test_a_checkpoint_has_its_own_config(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "checkpoint.pt").touch()
    value = {"--config": str(tmp_path / "c.yaml"), "--preset": "tiny"}[option]
    assert status_of(cli, "audit", str(tmp_path), option, value) == 2
    expected = f"error: {option}: conflicts with CHECKPOINT, whose own config is read from beside it\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize("command", ["audit", "embed", "evaluate", "find"])
def test_every_command_takes_the_folder_of_a_run_as_checkpoint(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "full/seed-3").mkdir(parents=True)
    (tmp_path / "full/seed-3/checkpoint.pt").touch()
    others = {"embed": ["--out", str(tmp_path / "a.npy")], "find": ["a red coat"]}.get(command, [])
    assert status_of(cli, command, str(tmp_path), *others) == 2
    config = tmp_path / "full/seed-3/config.yaml"
    assert f"error: {config}: not found; the config of checkpoint.pt is expected there" in capsys.readouterr().err


def test_help_lists_all_commands_without_importing_torch() -> None:
    code = (
        "import sys, contextlib, io\nfrom gckd.cli.main import cli\n"
        "with contextlib.redirect_stdout(io.StringIO()) as out:\n    cli.main(['--help'], standalone_mode=False)\n"
        "print('torch' in sys.modules, *(name for name in cli.commands if name in out.getvalue()))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.split() == ["False", *cli.commands]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_lists_a_command_by_the_first_line_of_its_docstring(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None and command.help is not None
    assert command.help.splitlines()[0] == COMMANDS[name][1]


@pytest.mark.parametrize(
    "name", ["ablate", "audit", "config", "embed", "evaluate", "find", "report", "train", "tune", "weights"]
)
def test_every_command_that_reads_a_config_takes_plugins(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert "--plugin" in {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read (No such file or directory)"),
        ("def f(:", "line 1: invalid syntax"),
        ("import nowhere_to_be_found", "line 1: ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        (TAKEN, "line 3: Mine: kind 'soft' is taken by gckd.config.distill.SoftTargets; choose another kind"),
    ],
)
def test_a_plugin_that_cannot_be_loaded_is_one_line(
    text: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "broken.py"
    if text is not None:
        file.write_text(text)
    assert status_of(cli, "config", "--plugin", str(file)) == 2
    assert capsys.readouterr().err == f"error: --plugin {file}: {message}\n"


def test_config_lists_the_kinds_of_a_plugin() -> None:
    """In a process of its own: a kind stays for the life of a process."""
    plugin = Path(__file__).parents[1] / "plugins" / "alignment.py"
    command = [sys.executable, "-m", "gckd", "config", "--plugin", str(plugin), "--set", "align=mean-distance"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "mean-distance" in shown
    assert "align.scale = 1.0" in shown


@pytest.mark.parametrize(
    ("command", "plugin", "name"), [("train", "reader", "people-csv"), ("tune", "score", "nearest_cosine")]
)
def test_help_lists_the_names_of_a_plugin(command: str, plugin: str, name: str) -> None:
    file = Path(__file__).parents[1] / "plugins" / f"{plugin}.py"
    arguments = [sys.executable, "-m", "gckd", command, "--plugin", str(file), "--help"]
    assert name in subprocess.run(arguments, capture_output=True, text=True, check=True).stdout


def test_the_yaml_is_the_encoded_config() -> None:
    assert yaml.safe_load(to_yaml(preset("tiny"))) == encode(preset("tiny"))


def test_command_lines_of_the_first_version_stay_valid() -> None:
    from gckd.cli.tune import search

    (option,) = [parameter for parameter in search.params if parameter.name == "gpus"]
    assert {"--gpus-per-worker", "--gpus-per-trial"} <= set(option.opts)
