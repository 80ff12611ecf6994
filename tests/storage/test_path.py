"""Local files and objects in a store are one thing to those who read and write them."""

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


def put(place: StoragePath, text: str) -> None:
    with place.writing() as file:
        file.write_text(text)


def got(place: StoragePath) -> str:
    with place.reading() as file:
        return file.read_text()


def crash_half_way(file: Path) -> None:
    file.write_text("ha")
    raise ZeroDivisionError


def test_what_is_written_is_read(folder: StoragePath) -> None:
    place = folder / "a" / "b.txt"
    assert not place.exists()
    put(place, "one")
    put(place, "two")
    assert place.exists() and (folder / "a").exists() and not (folder / "c").exists()
    assert got(pickle.loads(pickle.dumps(place))) == got(StoragePath.at(str(place))) == "two"
    place.remove()
    place.remove()
    assert not place.exists()


def test_it_is_where_others_look_for_it(tmp_path: Path, bucket: str) -> None:
    put(StoragePath.at(tmp_path) / "a" / "b.txt", "here")
    assert (tmp_path / "a" / "b.txt").read_text() == "here"
    put(StoragePath.at(bucket) / "a" / "b.txt", "there")
    body = boto3.client("s3").get_object(Bucket=bucket.removeprefix("s3://"), Key="a/b.txt")["Body"]
    assert body.read() == b"there"


def test_a_crash_while_writing_costs_nothing(folder: StoragePath) -> None:
    place = folder / "a.txt"
    put(place, "whole")
    with pytest.raises(ZeroDivisionError), place.writing() as file:
        crash_half_way(file)
    assert got(place) == "whole"
    put(place, "next")
    assert got(place) == "next"


def test_a_file_is_on_the_disk_before_it_takes_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, synced, held = tmp_path / "a.txt", list[int](), list[str]()
    put(StoragePath.at(place), "one")

    def fsync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        held.append(place.read_text())

    monkeypatch.setattr(os, "fsync", fsync)
    put(StoragePath.at(place), "two")
    assert (synced, held, place.read_text()) == ([place.stat().st_ino], ["one"], "two")


def test_a_copy_does_not_follow(folder: StoragePath) -> None:
    place, copy = folder / "a.txt", folder / "b.txt"
    put(place, "one")
    place.copy_to(copy)
    put(place, "two")
    assert (got(place), got(copy)) == ("two", "one")
    place.copy_to(copy)
    assert got(copy) == "two"


def test_nothing_there(folder: StoragePath) -> None:
    with pytest.raises(FileNotFoundError):
        got(folder / "a.txt")


def test_a_local_place_does_not_depend_on_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert StoragePath.at("a/b") == StoragePath.at(Path("a") / "b") == StoragePath.at(tmp_path / "a" / "b")
    assert StoragePath.at("~/a").local == Path.home() / "a"
    assert (StoragePath.at("s3://bucket/a/").local, str(StoragePath.at("s3://bucket/a/") / "b")) == (
        None,
        "s3://bucket/a/b",
    )


@pytest.mark.parametrize("where", ["s4://bucket/a", "s3://no-such-bucket/a"])
def test_a_store_that_cannot_be_used_is_one_line(where: str, bucket: str) -> None:
    with pytest.raises(InputError) as refused:
        put(StoragePath.at(where), "text")
    assert str(refused.value).startswith(f"{where}: ")
    assert "\n" not in str(refused.value)
