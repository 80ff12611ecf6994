"""Problems of the system: one line and exit status 2."""

from __future__ import annotations

import errno
import io
import pwd
import sys
import tempfile
from pathlib import Path

import click
import pytest

from gckd.cli.guard import BAD_INPUT, run_command
from gckd.cli.main import cli
from gckd.cli.parameter_types import LocalPath
from gckd.errors import DivergenceError, InputError
from gckd.runs.environment import check_for_ray, omp_threads, tolerate_console
from gckd.storage.path import StoragePath


def outcome(error: BaseException, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command prints when it raises `error`."""

    @click.command()
    def command() -> None:
        raise error

    with pytest.raises(SystemExit) as status:
        run_command(command, [])
    assert status.value.code == BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENOSPC, "full", "/a/b.pt"), "error: folder /a: No space left on device; free space there and"),
        (OSError(errno.EDQUOT, "full", b"/a/b.pt"), "error: folder /a: Disk quota exceeded; free space there and"),
        (OSError(errno.ENOSPC, "full", "/data/x", 0, "/a/b.pt"), "error: folder /a: No space left on device; "),
        (OSError(errno.ENOSPC, "full"), f"error: folder {tempfile.gettempdir()}: No space left on device; "),
        (OSError(errno.EROFS, "ro", "/x"), "error: /x: Read-only file system; choose another folder"),
        (OSError(errno.EMFILE, "many"), "error: Too many open files; run `ulimit -n 4096`"),
        (FileNotFoundError(errno.ENOENT, "gone", "/data/a.jpg"), "error: /data/a.jpg: No such file or directory; "),
        (MemoryError(), "error: not enough memory"),
        (RuntimeError("can't start new thread"), "error: too few threads are allowed"),
        (DivergenceError("adapt step 3: the loss is not finite"), "error: adapt step 3: the loss is not finite"),
    ],
    ids=repr,
)
def test_a_problem_of_the_system_is_one_line(
    error: BaseException, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome(error, capsys).startswith(line)


@pytest.mark.parametrize("text", ["abc", "0", "-1", "1.5", "²", "9" * 5000])
def test_a_wrong_number_of_threads_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    with pytest.raises(InputError, match="OMP_NUM_THREADS: .* is not a whole number >= 1"):
        omp_threads()


@pytest.mark.parametrize(("text", "threads"), [("", None), ("3", 3), ("4,2", 4)])
def test_the_number_of_threads_is_read(text: str, threads: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert omp_threads() == threads


def test_a_temporary_folder_with_a_long_path_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", "/tmp/" + "x" * 90)
    with pytest.raises(InputError, match=r"TMPDIR: its path has 95 bytes, .* set TMPDIR=/tmp"):
        check_for_ray()


def test_a_missing_home_folder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: object) -> None:
        raise KeyError

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for path in ("~/x", "~nosuchuser/x"):
        with pytest.raises(InputError, match="has no home folder; set HOME"):
            StoragePath.at(path)


@pytest.mark.parametrize(
    "arguments",
    [
        ["find", "run", "a coat", "--sheet=~nosuchuser/a.png"],
        ["embed", "run", "--out=~nosuchuser/a.npz"],
        ["data", "make", "street", "~nosuchuser/a"],
        ["report", "run", "--out=~nosuchuser/a"],
        ["train", "--config=~nosuchuser/a.yaml"],
        ["weights", "~nosuchuser/a.pth"],
        ["cluster", "~nosuchuser/a.yaml"],
        ["train", "--track=tensorboard:~nosuchuser/a"],
    ],
)
def test_every_path_of_an_unknown_user_is_refused(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`~nosuchuser` was the name of a new folder here for options that are no stores."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as status:
        run_command(cli, arguments)
    assert status.value.code == BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and "~nosuchuser/a" in line and "has no home folder; set HOME" in line
    assert not list(tmp_path.iterdir())


def test_a_path_option_expands_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """bash does not, in `--out=~/a`."""
    monkeypatch.setenv("HOME", "/home/ann")
    assert LocalPath().convert("~/a", None, None) == Path("/home/ann/a")


def test_a_console_without_unicode_gets_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    console = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", console)
    tolerate_console()
    console.write("± \u2020\n")
    console.flush()
    assert console.buffer.getvalue() == b"\\xb1 \\u2020\n"  # type: ignore[attr-defined]
