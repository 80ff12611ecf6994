"""Stores that are kept elsewhere: whoever fetches one has what its maker had, and a part of one is none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner

from gckd.cli.main import cli
from gckd.data import remote_store as kept
from gckd.data.datasets import find_dataset
from gckd.data.remote_store import KeptStore, keep_store
from gckd.data.store import Store
from gckd.errors import InputError
from gckd.storage.path import StoragePath

SPLITS = ("train", "val", "test")


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> StoragePath:
    return (
        StoragePath.at(tmp_path / "kept")
        if request.param == "local"
        else StoragePath.at(request.getfixturevalue("bucket")) / "k"
    )


def stored(spec: object, cache: Path) -> Store:
    return find_dataset(str(spec)).stored(cache)


@pytest.fixture
def built(make_dataset: Any, tmp_path: Path) -> Store:
    """The store of a dataset without a val split, which its notes say."""
    return stored(make_dataset("icfg-pedes", ids={"train": 9, "test": 3}), tmp_path / "cache")


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.arrow"))}


def test_what_is_fetched_is_what_was_built(built: Store, place: StoragePath, tmp_path: Path) -> None:
    built.unlabelled("train").images.decoded(16, 8)  # of this machine alone
    keep_store(built, place, "")
    other = stored(place, tmp_path / "other")
    assert other.path == tmp_path / "other" / "stores" / built.digest
    assert files(other.path) == files(built.path) and len(files(other.path)) == 9
    assert {p.name for p in other.path.rglob("*.*")} == {*kept._FILES, "meta.json"}
    facts = ("digest", "format", "counts", "notes", "skipped")
    assert [getattr(other, name) for name in facts] == [getattr(built, name) for name in facts]
    assert "held out as val" in built.notes[0]


def test_names_of_a_kept_dataset(built: Store, place: StoragePath) -> None:
    keep_store(built, place, "icfg-pedes")
    found = find_dataset(f"{place}/")
    assert (found.spec, found.published) == (str(place), "icfg-pedes")
    assert found.name == "/".join(str(place).split("/")[-2:])


def test_a_second_call_reads_the_small_file_alone(
    built: Store, place: StoragePath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_store(built, place, "")
    first = stored(place, tmp_path / "other")
    monkeypatch.setattr(kept.KeptStore, "_fetch_into", lambda *args: pytest.fail("fetched again"))
    assert stored(place, tmp_path / "other") == first
    assert stored(place, tmp_path / "cache").path == built.path  # who has built it need not fetch it


def test_the_same_again_changes_nothing_and_another_is_refused(
    built: Store, place: StoragePath, make_dataset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_store(built, place, "")
    other = stored(make_dataset(folder="other"), tmp_path / "cache")
    with pytest.raises(InputError, match=f"holds another dataset \\({built.digest}, and this is {other.digest}\\)"):
        keep_store(other, place, "")
    monkeypatch.setattr(kept, "_FILES", ["copied again"])
    keep_store(built, place, "")


def test_a_store_that_is_put_there_in_part_is_none(
    built: Store, place: StoragePath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever file it was interrupted before; and the same command then completes it."""
    copy, copies = StoragePath.copy_to, iter(range(100))

    def interrupted(self: StoragePath, other: StoragePath) -> None:
        if other.name.endswith(".arrow") and next(copies) in (0, 4, 10):
            raise KeyboardInterrupt
        copy(self, other)

    monkeypatch.setattr(StoragePath, "copy_to", interrupted)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            keep_store(built, place, "")
        with pytest.raises(InputError, match="no annotation file|not a dataset store|there is no folder"):
            stored(place, tmp_path / "other")
    keep_store(built, place, "")
    assert stored(place, tmp_path / "other").digest == built.digest


def test_an_interrupted_fetch_leaves_no_store(
    built: Store, place: StoragePath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_store(built, place, "")

    def interrupted(folder: Path) -> Iterator[Any]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(kept, "_digest_of", interrupted)
        with pytest.raises(KeyboardInterrupt):
            stored(place, tmp_path / "other")
    assert not (tmp_path / "other" / "stores" / built.digest).exists()
    assert files(stored(place, tmp_path / "other").path) == files(built.path)
    assert {p.name for p in (tmp_path / "other" / "stores").iterdir()} == {"index", built.digest}


class TestRefused:
    """In one line; on a local disk, where a file is easily spoilt."""

    def refused(self, spec: object, tmp_path: Path) -> str:
        with pytest.raises(InputError) as error:
            stored(spec, tmp_path / "other")
        assert "\n" not in str(error.value)
        return str(error.value).replace(str(tmp_path), "")

    def test_no_bucket_no_store_no_such_kind(self, bucket: str, tmp_path: Path) -> None:
        assert self.refused("s3://no-such-bucket/a", tmp_path).startswith("s3://no-such-bucket/a: ")
        assert self.refused(f"{bucket}/a", tmp_path) == (
            f"{bucket}/a: not a dataset store (its meta.json is missing or broken)"
        )
        assert self.refused("s4://bucket/a", tmp_path).startswith("s4://bucket/a/meta.json: ")

    @pytest.mark.parametrize(
        ("meta", "expected"),
        [
            ({}, "not a dataset store (its meta.json is of something else)"),
            ([], "not a dataset store (its meta.json is of something else)"),
            ({"digest": "../../../a"}, "not a dataset store (its meta.json is of something else)"),
            ({"counts": {"train": {}}}, "not a dataset store (its meta.json is of something else)"),
            ({"version": 2}, "a store of version 2, and this gckd reads version 1"),
            ({"digest": "0" * 16}, f"its content is not that of {'0' * 16}, as its meta.json says"),
        ],
    )
    def test_meta(self, built: Store, tmp_path: Path, meta: Any, expected: str) -> None:
        file = built.path / "meta.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | meta if meta else meta))
        assert self.refused(built.path, tmp_path).endswith(f": {expected}")

    def test_a_missing_file(self, built: Store, tmp_path: Path) -> None:
        (built.path / "val" / "labels.arrow").unlink()
        assert self.refused(built.path, tmp_path).endswith("not a whole store (val/labels.arrow is missing)")

    @pytest.mark.parametrize("name", ["images.arrow", "captions.arrow", "labels.arrow"])
    def test_files_of_another_split(self, built: Store, tmp_path: Path, name: str) -> None:
        shutil.copy(built.path / "train" / name, built.path / "test" / name)
        said = self.refused(built.path, tmp_path)
        assert "its content is not that of" in said or "not the files of a dataset store" in said

    def test_a_cut_file(self, built: Store, tmp_path: Path) -> None:
        file = built.path / "train" / "images.arrow"
        file.write_bytes(file.read_bytes()[:-9])
        assert "not the files of a dataset store" in self.refused(built.path, tmp_path)


def test_only_what_is_small_is_read_to_find_it(built: Store, bucket: str) -> None:
    place = StoragePath.at(bucket) / "a"
    keep_store(built, place, "")
    client, name = boto3.client("s3"), bucket.removeprefix("s3://")
    for entry in client.list_objects_v2(Bucket=name)["Contents"]:
        if entry["Key"].endswith(".arrow"):
            client.delete_object(Bucket=name, Key=entry["Key"])
    assert KeptStore.at(place).digest == built.digest


def test_the_command(make_dataset: Any, bucket: str, tmp_path: Path) -> None:
    folder = make_dataset("icfg-pedes", ids={"train": 9, "test": 3})
    arguments = ["data", "store", f"icfg-pedes:{folder}", f"{bucket}/a", "--cache", str(tmp_path / "cache")]
    for _ in range(2):
        result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
        assert result.stdout == f"{bucket}/a: {tmp_path.name}/set, 24 images\n"
        assert "note: icfg-pedes has no val split" in result.stderr
    assert stored(f"{bucket}/a", tmp_path / "other").digest == stored(folder, tmp_path / "cache").digest
