"""Stores in a folder or bucket: a download equals the upload, and an incomplete upload is no store."""

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
from gckd.data import remote_store
from gckd.data.arrow_file import COLUMNS
from gckd.data.datasets import find_dataset
from gckd.data.remote_store import RemoteStore, upload_store
from gckd.data.store import Store
from gckd.errors import InputError
from gckd.storage.path import StoragePath

SPLITS = ("train", "val", "test")


@pytest.fixture(params=["local", "s3"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> StoragePath:
    return (
        StoragePath.at(tmp_path / "uploaded")
        if request.param == "local"
        else StoragePath.at(request.getfixturevalue("bucket")) / "k"
    )


def stored(spec: object, cache: Path) -> Store:
    return find_dataset(str(spec)).open_store(cache)


@pytest.fixture
def built(make_dataset: Any, tmp_path: Path) -> Store:
    """Store of a dataset without a val split, which leaves a note."""
    return stored(make_dataset("icfg-pedes", ids={"train": 9, "test": 3}), tmp_path / "cache")


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.arrow"))}


def test_a_download_equals_the_store_that_was_uploaded(built: Store, location: StoragePath, tmp_path: Path) -> None:
    built.unlabelled("train").images.decoded(16, 8)  # a file that is not uploaded
    upload_store(built, location, "")
    downloaded = stored(location, tmp_path / "other")
    assert downloaded.path == tmp_path / "other" / "stores" / built.digest
    assert files(downloaded.path) == files(built.path) and len(files(downloaded.path)) == 9
    assert {p.name for p in downloaded.path.rglob("*.*")} == {*COLUMNS, "meta.json"}
    fields = ("digest", "format", "counts", "notes", "skipped")
    assert [getattr(downloaded, name) for name in fields] == [getattr(built, name) for name in fields]
    assert "held out as val" in built.notes[0]


def test_a_stored_dataset_has_its_location_as_spec(built: Store, location: StoragePath) -> None:
    upload_store(built, location, "icfg-pedes")
    dataset = find_dataset(f"{location}/")
    assert (dataset.spec, dataset.published) == (str(location), "icfg-pedes")
    assert dataset.name == "/".join(str(location).split("/")[-2:])


def test_a_second_download_reads_only_the_metadata(
    built: Store, location: StoragePath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_store(built, location, "")
    first = stored(location, tmp_path / "other")
    monkeypatch.setattr(remote_store.RemoteStore, "_download_into", lambda *args: pytest.fail("downloaded again"))
    assert stored(location, tmp_path / "other") == first
    assert stored(location, tmp_path / "cache").path == built.path  # the cache that built it needs no download


def test_a_second_upload_copies_nothing_and_another_dataset_is_refused(
    built: Store, location: StoragePath, make_dataset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_store(built, location, "")
    other = stored(make_dataset(folder="other"), tmp_path / "cache")
    with pytest.raises(
        InputError, match=f"holds another dataset \\({built.digest}, not {other.digest}\\); choose another"
    ):
        upload_store(other, location, "")
    monkeypatch.setattr(remote_store, "COLUMNS", ["copied again"])
    upload_store(built, location, "")


def test_an_interrupted_upload_is_no_store_until_it_is_completed(
    built: Store, location: StoragePath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted before the first, fifth and eleventh copy; the same call then completes it."""
    copy, copies = StoragePath.copy_to, iter(range(100))

    def interrupted(self: StoragePath, target: StoragePath) -> None:
        if target.name.endswith(".arrow") and next(copies) in (0, 4, 10):
            raise KeyboardInterrupt
        copy(self, target)

    monkeypatch.setattr(StoragePath, "copy_to", interrupted)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            upload_store(built, location, "")
        with pytest.raises(InputError, match="no annotation file|not a dataset store|does not exist"):
            stored(location, tmp_path / "other")
    upload_store(built, location, "")
    assert stored(location, tmp_path / "other").digest == built.digest


def test_an_interrupted_download_leaves_no_store(
    built: Store, location: StoragePath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_store(built, location, "")

    def interrupted(folder: Path) -> Iterator[Any]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(remote_store, "_folder_digest", interrupted)
        with pytest.raises(KeyboardInterrupt):
            stored(location, tmp_path / "other")
    assert not (tmp_path / "other" / "stores" / built.digest).exists()
    assert files(stored(location, tmp_path / "other").path) == files(built.path)
    assert {p.name for p in (tmp_path / "other" / "stores").iterdir()} == {"index", built.digest}


class TestRefused:
    """Refused in one line. The stores are on a local disk, where a test can damage a file."""

    def refused(self, spec: object, tmp_path: Path) -> str:
        with pytest.raises(InputError) as error:
            stored(spec, tmp_path / "other")
        assert "\n" not in str(error.value)
        return str(error.value).replace(str(tmp_path), "")

    def test_an_unknown_bucket_or_scheme_and_an_empty_folder(self, bucket: str, tmp_path: Path) -> None:
        assert self.refused("s3://no-such-bucket/a", tmp_path).startswith("s3://no-such-bucket/a: ")
        assert self.refused(f"{bucket}/a", tmp_path) == (f"{bucket}/a: not a dataset store (its meta.json is missing)")
        assert self.refused("s4://bucket/a", tmp_path).startswith("s4://bucket/a/meta.json: ")

    @pytest.mark.parametrize(
        ("meta", "expected"),
        [
            ({}, "(its meta.json is damaged: content lacks version, digest, format, counts, notes, skipped)"),
            ([], "(its meta.json is damaged: content is not a JSON object)"),
            (
                {"digest": "../../../a"},
                "digest is outside its limit: pattern ^[0-9a-f]{16}$)",
            ),
            ({"counts": {"train": {}}}, "(its meta.json is damaged: counts lacks val, test)"),
            ({"version": 2}, "store of version 2; this gckd reads version 1; store it again"),
            ({"digest": "0" * 16}, "damaged store: digest DIGEST, expected 0000000000000000; store the dataset again"),
        ],
    )
    def test_damaged_metadata(self, built: Store, tmp_path: Path, meta: Any, expected: str) -> None:
        file = built.path / "meta.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | meta if meta else meta))
        assert self.refused(built.path, tmp_path).endswith(expected.replace("DIGEST", built.digest))

    def test_a_missing_file(self, built: Store, tmp_path: Path) -> None:
        (built.path / "val" / "labels.arrow").unlink()
        assert self.refused(built.path, tmp_path).endswith("incomplete store (val/labels.arrow is missing)")

    @pytest.mark.parametrize("name", ["images.arrow", "captions.arrow", "labels.arrow"])
    def test_a_file_of_another_split(self, built: Store, tmp_path: Path, name: str) -> None:
        shutil.copy(built.path / "train" / name, built.path / "test" / name)
        assert "damaged store" in self.refused(built.path, tmp_path)

    def test_a_truncated_file(self, built: Store, tmp_path: Path) -> None:
        file = built.path / "train" / "images.arrow"
        file.write_bytes(file.read_bytes()[:-9])
        assert "damaged store" in self.refused(built.path, tmp_path)


def test_opening_a_remote_store_reads_only_the_metadata(built: Store, bucket: str) -> None:
    location = StoragePath.at(bucket) / "a"
    upload_store(built, location, "")
    client, name = boto3.client("s3"), bucket.removeprefix("s3://")
    for entry in client.list_objects_v2(Bucket=name)["Contents"]:
        if entry["Key"].endswith(".arrow"):
            client.delete_object(Bucket=name, Key=entry["Key"])
    assert RemoteStore.open(location).digest == built.digest


def test_the_store_command_uploads_once(make_dataset: Any, bucket: str, tmp_path: Path) -> None:
    folder = make_dataset("icfg-pedes", ids={"train": 9, "test": 3})
    arguments = ["data", "store", f"icfg-pedes:{folder}", f"{bucket}/a", "--cache", str(tmp_path / "cache")]
    for _ in range(2):
        result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
        assert result.stdout == f"{bucket}/a: {tmp_path.name}/set, 24 images\n"
        assert "note: icfg-pedes has no val split" in result.stderr
    assert stored(f"{bucket}/a", tmp_path / "other").digest == stored(folder, tmp_path / "cache").digest
