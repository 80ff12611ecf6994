"""Files that attack or are damaged: each case by the command that reads it, refused in one short line."""

from __future__ import annotations

import errno
import functools
import io
import json
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import click
import pyarrow as pa
import pytest

from gckd.cli.ablate import ablate
from gckd.cli.main import cli
from gckd.config import to_yaml
from gckd.storage import atomic
from tests.cli.test_commands import status_of
from tests.toy import make_toy
from tests.training.micro import micro

Refusal = Callable[..., str]


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Refusal:
    """Function that runs a command, which must fail with status 2 in one line within seconds; returns the line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GCKD_CACHE", str(tmp_path / "cache"))

    def run(command: click.Command, *arguments: object) -> str:
        started = time.process_time()
        assert status_of(command, *map(str, arguments)) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ") and len(line) < 400 and line.isprintable()
        assert time.process_time() - started < 20
        return line

    return run


def test_control_characters_of_field_names_are_escaped(refusal: Refusal, tmp_path: Path) -> None:
    file = make_toy(tmp_path / "toy") / "data_captions.json"
    entries = json.loads(file.read_text())
    entries[3] = {"\x1b]0;owned\x07": 1, "\x1b[2J\x1b[1;31m": 2, "\u202e": 3}
    file.write_text(json.dumps(entries))
    assert "fields present: \\x1b]0;owned\\x07, \\x1b[2J" in refusal(cli, "data", "check", tmp_path / "toy")


@pytest.mark.parametrize("row", ["..", ".", "", "gmp.", "CON", "x" * 300])
def test_a_row_never_names_another_folder(refusal: Refusal, tmp_path: Path, row: str) -> None:
    (tmp_path / "spec.yaml").write_text(json.dumps({"rows": {row: {"graph.propagate": "none"}}}))
    line = refusal(ablate, "--spec", "spec.yaml", "--source", "a", "--target", "b", "--out", "out")
    assert "row" in line and sorted(path.name for path in tmp_path.iterdir()) == ["spec.yaml"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'rows: {"k (2)": {graph.propagate.k: 2}, "k [2]": {graph.propagate.k: 3}}',
            "k [2]: has the same label 'k_2_'",
        ),
        ("rows: {a: {graph.propagate.k: 2}, a: {graph.propagate.k: 3}}", "the key 'a' is given twice"),
        ("rows: {full: {graph.propagate.k: 2}}", "full"),
    ],
)
def test_rows_of_one_name_are_refused(refusal: Refusal, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "spec.yaml").write_text(text)
    assert message in refusal(ablate, "--spec", "spec.yaml", "--source", "a", "--target", "b", "--out", "out")


LEVELS = [f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]" for n in range(9)]


@pytest.mark.parametrize(
    "text", ["\n".join(["a0: &a0 [lol]", *LEVELS]), "seed: !!bool foo", "seed: 2001-99-99", "seed: " + "[" * 1500]
)
def test_a_yaml_bomb_or_odd_scalar_is_refused(refusal: Refusal, tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    refusal(cli, "train", "--config", "config.yaml")


@pytest.mark.parametrize("value", ["2001-99-99", "!!bool foo", '!!int ""', "!!timestamp foo", "9" * 5000, "[" * 1500])
def test_an_odd_scalar_on_the_command_line_is_refused(refusal: Refusal, value: str) -> None:
    assert "seed" in refusal(cli, "train", "--set", f"seed={value}")


def test_a_picture_of_many_pixels_is_refused_by_its_header(refusal: Refusal, tmp_path: Path) -> None:
    """13,300 x 13,300 pixels; the file has no more than its header, so that decoding would give another error."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 13_300, 13_300, 8, 6, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    file = make_toy(tmp_path / "toy") / "imgs/0001_c0.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + bytes(4))
    line = refusal(cli, "data", "store", tmp_path / "toy", tmp_path / "store")
    assert f"{file}: " in line and "13300 x 13300 pixels; the limit is 25,000,000 pixels" in line


def test_an_image_file_above_the_limit_is_not_read(refusal: Refusal, tmp_path: Path) -> None:
    file = make_toy(tmp_path / "toy") / "imgs/0001_c0.png"
    with file.open("r+b") as stream:
        stream.truncate(2**28 + 1)  # without blocks on the disk
    line = refusal(cli, "data", "store", tmp_path / "toy", tmp_path / "store")
    assert f"{file}: 268,435,457 bytes; the limit is 268,435,456 bytes" in line


def test_a_diverged_run_is_named_by_its_term_and_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = micro(make_toy(tmp_path / "a"), make_toy(tmp_path / "b", shade=120))
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    edits = ["--set", "distill.targets.sharpen=1e-9", "--out", "out", "--cache", "cache"]
    assert status_of(cli, "train", "--config", "config.yaml", *edits) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: adapt step 1: the loss is not finite (target_contrastive nan)")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_named_by_its_folder_and_leaves_nothing(
    refusal: Refusal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_file = functools.partial(pa.OSFile, "/dev/full")
    monkeypatch.setattr("gckd.data.store_writer.pa.OSFile", lambda path, mode: full_file(mode))
    line = refusal(cli, "data", "store", make_toy(tmp_path / "toy"), tmp_path / "store")
    stores = tmp_path / "cache" / "stores"
    assert line.startswith(f"error: folder {stores}: No space left on device; free space there and repeat the command")
    assert [path.name for path in stores.iterdir()] == ["index"] and not (tmp_path / "store").exists()


def test_a_table_on_a_full_disk_keeps_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gckd.runs.records import Records
    from tests.report.records import record

    def refuse(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    Records(tmp_path).add(record("full", 0, 50.0))
    monkeypatch.setattr(atomic, "flush", refuse)
    with pytest.raises(OSError, match="No space") as error:
        Records(tmp_path).add(record("-gmp", 0, 50.0))
    assert Path(error.value.filename).parent == tmp_path
    assert [run["row"] for run in Records(tmp_path).runs] == ["full"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.parquet", "runs.parquet"]


@pytest.mark.parametrize("text", ['[\n {\n  "begun": "2026-01-01",\n  "command": "python ablations/run.py', "", "{}"])
def test_a_cut_log_of_launches_is_named(refusal: Refusal, tmp_path: Path, text: str) -> None:
    from gckd.config import preset, to_yaml
    from gckd.runs.records import Records
    from tests.report.records import record

    Records(tmp_path / "out").add(record("full", 0, 50.0))
    (tmp_path / "out/config.yaml").write_text(to_yaml(preset("tiny")))
    (tmp_path / "out/launches.json").write_text(text)
    assert "out/launches.json: damaged (" in refusal(cli, "report", "out")


def test_two_copies_of_an_unchanged_file_leave_no_scratch_file(tmp_path: Path) -> None:
    from gckd.storage.path import StoragePath

    (tmp_path / "checkpoint.pt").write_text("x")
    source, copy = StoragePath.at(tmp_path / "checkpoint.pt"), StoragePath.at(tmp_path / "best.pt")
    for _ in range(3):
        source.copy_to(copy)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.pt", "checkpoint.pt"]
    atomic.write(tmp_path / "best.pt", io.BytesIO(b"y").read())
    assert (tmp_path / "checkpoint.pt").read_text() == "x"
