"""A driver's local folder and its copy in an object store."""

from __future__ import annotations

from pathlib import Path

import pytest

from gckd.errors import InputError
from gckd.storage.mirror import Mirror
from gckd.storage.path import StoragePath

JOURNAL = "study.journal"


def download(folder: Path, out: StoragePath) -> None:
    mirror = Mirror(folder, out)
    mirror.download_appended(folder / JOURNAL)
    mirror.download([folder / "owner"])


def test_two_machines_continue_one_output(tmp_path: Path, bucket: str) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    out = StoragePath.at(bucket) / "out"
    download(first, out)  # the store is empty
    (first / "owner").write_text("us")
    (first / ".lock").touch()
    (first / JOURNAL).write_text("a\n")
    Mirror(first, out).upload()
    assert not (out / ".lock").exists()
    download(second, out)
    assert sorted(path.name for path in second.iterdir()) == ["owner", JOURNAL]
    (second / JOURNAL).write_text("a\nb\n")
    Mirror(second, out).upload()
    download(first, out)
    assert (first / JOURNAL).read_text() == "a\nb\n"
    (first / JOURNAL).write_text("a\nc\n")
    with pytest.raises(InputError, match="have diverged"):
        download(first, out)


def test_a_local_output_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "owner").write_text("us")
    mirror = Mirror(tmp_path, StoragePath.at(tmp_path))
    mirror.download_appended(tmp_path / JOURNAL)
    mirror.download([tmp_path / "owner"])
    mirror.upload()
    assert [path.name for path in tmp_path.iterdir()] == ["owner"]


def test_an_error_of_the_store_does_not_end_the_runs(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mirror, copy_to = Mirror(tmp_path, out := StoragePath.at(bucket) / "out"), StoragePath.copy_to

    def fail(self: StoragePath, target: StoragePath) -> None:
        raise InputError("no answer")

    (tmp_path / "owner").write_text("us")
    monkeypatch.setattr(StoragePath, "copy_to", fail)
    mirror.try_upload()
    assert capsys.readouterr().err == f"warning: {out}: not updated (no answer); tried again later\n"
    with pytest.raises(InputError, match="no answer"):
        mirror.upload()
    monkeypatch.setattr(StoragePath, "copy_to", copy_to)
    mirror.try_upload()
    assert (out / "owner").exists()


def test_only_changed_files_are_uploaded_again(tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    out, uploaded = StoragePath.at(bucket) / "out", []
    copy_to = StoragePath.copy_to

    def record_copy(self: StoragePath, target: StoragePath) -> None:
        uploaded.append(target.name)
        copy_to(self, target)

    monkeypatch.setattr(StoragePath, "copy_to", record_copy)
    (tmp_path / "row" / "seed-0").mkdir(parents=True)
    for name in ("a", "row/b", "row/seed-0/c"):
        (tmp_path / name).write_text("1")
    mirror = Mirror(tmp_path, out)
    mirror.upload()
    (tmp_path / "row" / "b").write_text("two")
    mirror.upload()
    mirror.upload()
    assert uploaded == ["a", "b", "c", "b"]
    second = tmp_path / "second"
    Mirror(second, out).download([second / "row" / "b", second / "row" / "seed-0" / "c", second / "d"])
    assert [(second / "row" / name).read_text() for name in ("b", "seed-0/c")] == ["two", "1"]


def test_each_output_has_its_own_local_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Mirror.for_output(StoragePath.at("out")).folder == tmp_path / "out"
    folders = {Mirror.for_output(StoragePath.at(f"s3://{bucket}/out")).folder for bucket in ("a", "b", "a")}
    assert len(folders) == 2
    assert all(folder.parent == tmp_path / "runs" and folder.name.startswith("out-") for folder in folders)


def test_uploads_during_a_search_take_a_twentieth_of_the_time(tmp_path: Path) -> None:
    """An upload takes 2 s here, so the next may begin 38 s after its end. The final upload includes all changes."""
    folder, store, now = tmp_path / "folder", tmp_path / "store", [100.0]
    folder.mkdir()
    store.mkdir()
    journal, uploads = folder / JOURNAL, []

    def clock() -> float:
        return now[0]

    class RecordingMirror(Mirror):
        def upload(self) -> None:
            uploads.append(now[0])
            super().upload()

    class SlowStore(StoragePath):
        def __truediv__(self, name: str) -> StoragePath:
            now[0] += 2.0
            return super().__truediv__(name)

    mirror = RecordingMirror(folder, SlowStore(store.as_uri()), clock)
    for trial in range(100):  # one trial ends each second
        journal.write_text(f"{trial}\n")
        mirror.upload_if_due()
        now[0] += 1.0
    assert uploads == [100.0, 140.0, 180.0]
    mirror.upload()
    assert (store / JOURNAL).read_text() == "99\n"
