"""Local files and objects in a store behave alike."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import boto3
import pytest

from gckd.errors import InputError
from gckd.storage.path import StoragePath


@pytest.fixture(params=["local", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> StoragePath:
    return StoragePath.at(tmp_path if request.param == "local" else request.getfixturevalue("bucket"))


def write(path: StoragePath, text: str) -> None:
    with path.writing() as file:
        file.write_text(text)


def read(path: StoragePath) -> str:
    with path.reading() as file:
        return file.read_text()


def crash_half_way(file: Path) -> None:
    file.write_text("ha")
    raise ZeroDivisionError


def test_reading_returns_what_was_written(folder: StoragePath) -> None:
    path = folder / "a" / "b.txt"
    assert not path.exists()
    write(path, "one")
    write(path, "two")
    assert path.exists() and (folder / "a").exists() and not (folder / "c").exists()
    assert read(pickle.loads(pickle.dumps(path))) == read(StoragePath.at(str(path))) == "two"
    path.remove()
    path.remove()
    assert not path.exists()


def test_other_programs_find_the_file_at_its_path(tmp_path: Path, bucket: str) -> None:
    write(StoragePath.at(tmp_path) / "a" / "b.txt", "here")
    assert (tmp_path / "a" / "b.txt").read_text() == "here"
    write(StoragePath.at(bucket) / "a" / "b.txt", "there")
    body = boto3.client("s3").get_object(Bucket=bucket.removeprefix("s3://"), Key="a/b.txt")["Body"]
    assert body.read() == b"there"


def test_a_crash_while_writing_keeps_the_previous_file(folder: StoragePath) -> None:
    path = folder / "a.txt"
    write(path, "whole")
    with pytest.raises(ZeroDivisionError), path.writing() as file:
        crash_half_way(file)
    assert read(path) == "whole"
    write(path, "next")
    assert read(path) == "next"


def test_a_file_is_flushed_to_disk_before_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, synced, previous = tmp_path / "a.txt", list[int](), list[str]()
    write(StoragePath.at(path), "one")

    def fsync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        previous.append(path.read_text())

    monkeypatch.setattr(os, "fsync", fsync)
    write(StoragePath.at(path), "two")
    inodes = [path.stat().st_ino, tmp_path.stat().st_ino]  # of the file, then of the folder with its new name
    assert (synced, previous, path.read_text()) == (inodes, ["one", "two"], "two")


def test_a_copy_is_independent_of_the_original(folder: StoragePath) -> None:
    path, copy = folder / "a.txt", folder / "b.txt"
    write(path, "one")
    path.copy_to(copy)
    write(path, "two")
    assert (read(path), read(copy)) == ("two", "one")
    path.copy_to(copy)
    assert read(copy) == "two"


def test_a_missing_file_raises(folder: StoragePath) -> None:
    with pytest.raises(FileNotFoundError):
        read(folder / "a.txt")


def test_a_local_path_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert StoragePath.at("a/b") == StoragePath.at(Path("a") / "b") == StoragePath.at(tmp_path / "a" / "b")
    assert StoragePath.at("~/a").local == Path.home() / "a"
    assert (StoragePath.at("s3://bucket/a/").local, str(StoragePath.at("s3://bucket/a/") / "b")) == (
        None,
        "s3://bucket/a/b",
    )


@pytest.mark.parametrize("location", ["s4://bucket/a", "s3://no-such-bucket/a"])
def test_the_error_for_an_unusable_store_is_one_line(location: str, bucket: str) -> None:
    with pytest.raises(InputError) as caught:
        write(StoragePath.at(location), "text")
    assert str(caught.value).startswith(f"{location}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_a_path_that_no_file_can_have_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="has a NUL or half a character"):
        StoragePath.at(name)


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="File name too long"):
        StoragePath.at(tmp_path / ("a" * 300)).exists()
