"""Files appear complete under their final name or not at all."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from gckd.storage import atomic
from gckd.storage.path import StoragePath

PACKAGE = Path(__file__).resolve().parents[2] / "gckd"
_RAW_WRITE = re.compile(r"\.write_(text|bytes)\(|os\.(replace|rename)\(|open\([^)]*\"[wax]b?\"")
# Writers of a scratch file from `writing`, or into a scratch folder from `making` or `tempfile`.
_WRITERS = {
    *("cli/embed.py", "cluster/trial.py", "data/remote_store.py", "data/pixel_file.py", "estimate/trace.py"),
    *("storage/atomic.py", "storage/checkpoint.py", "training/graph_sample.py", "tune/searcher.py"),
}


def interrupted_write(file: Path) -> None:
    with atomic.writing(file) as partial:
        partial.write_text("ne")
        raise OSError(errno.ENOSPC, "full")


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "a"
    atomic.write(file, "old")
    with pytest.raises(OSError, match="full"):
        interrupted_write(file)
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_copy_of_an_unchanged_file_leaves_nothing(tmp_path: Path) -> None:
    source, target = StoragePath.at(tmp_path / "a"), StoragePath.at(tmp_path / "b")
    atomic.write(tmp_path / "a", "content")
    for _ in range(2):
        source.copy_to(target)
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_file_and_folder_are_flushed_before_and_after_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda number: flushed.append(Path(os.readlink(f"/proc/self/fd/{number}"))))
    atomic.write(tmp_path / "a", "x")
    assert flushed == [tmp_path / ".a.partial", tmp_path]
    flushed.clear()
    with atomic.making(tmp_path / "final", "new") as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "b").write_text("y")
    assert (tmp_path / "final" / "inner" / "b").read_text() == "y"
    assert set(flushed) == {tmp_path / "new" / name for name in ("", "inner", "inner/b")} | {tmp_path}


def test_a_failed_folder_leaves_nothing_and_its_error_names_it(tmp_path: Path) -> None:
    def make() -> None:
        with atomic.making(tmp_path / "final", "new") as folder:
            (folder / "a").touch()
            raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full") as error:
        make()
    assert error.value.filename == str(tmp_path / "final") and os.listdir(tmp_path) == []


def test_a_folder_that_another_process_has_made_stays(tmp_path: Path) -> None:
    with atomic.making(tmp_path / "final", "new") as folder:
        (folder / "a").touch()
        (tmp_path / "final").mkdir()
        (tmp_path / "final" / "b").touch()
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["final", "final/b"]


def test_a_link_is_replaced_instead_of_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("keep")
    (tmp_path / "a").symlink_to(tmp_path / "other")
    atomic.write(tmp_path / "a", "new")
    assert (tmp_path / "other").read_text() == "keep"
    assert (tmp_path / "a").read_text() == "new"


def test_files_of_killed_writers_are_removed(tmp_path: Path) -> None:
    (tmp_path / "row").mkdir()
    for name in (".a.partial", "row/.b.partial", "row/b", ".lock"):
        (tmp_path / name).write_text("x")
    atomic.remove_partial_files(tmp_path)
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()} == {"row/b", ".lock"}


def test_reserved_bytes_are_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "not here")

    for number in range(2):
        with (tmp_path / str(number)).open("wb") as file:
            file.write(b"ab")
            atomic.reserve(file, 3 * 2**20 + 1)
        assert (tmp_path / str(number)).read_bytes() == b"ab" + bytes(3 * 2**20 + 1)
        monkeypatch.setattr(os, "posix_fallocate", refuse)


def test_every_module_writes_through_this_one() -> None:
    raw = {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        if _RAW_WRITE.search(file.read_text(encoding="utf-8"))
    }
    assert raw <= _WRITERS
