"""The driver's folder and its copy in an object store."""

from __future__ import annotations

from pathlib import Path

import pytest

from gckd.errors import InputError
from gckd.storage.path import StoragePath
from gckd.storage.sync import Mirror

GROWS = "study.journal"


def fetch(folder: Path, out: StoragePath) -> None:
    mirror = Mirror(folder, out)
    mirror.catch_up(folder / GROWS)
    mirror.fetch([folder / "owner"])


def test_what_is_there_and_not_here_is_fetched(tmp_path: Path, bucket: str) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    out = StoragePath.at(bucket) / "out"
    fetch(one, out)  # nothing is there
    (one / "owner").write_text("us")
    (one / ".lock").touch()
    (one / GROWS).write_text("a\n")
    Mirror(one, out).save()
    assert not (out / ".lock").exists()
    fetch(two, out)
    assert sorted(path.name for path in two.iterdir()) == ["owner", GROWS]
    (two / GROWS).write_text("a\nb\n")  # went on there
    Mirror(two, out).save()
    fetch(one, out)
    assert (one / GROWS).read_text() == "a\nb\n"
    (one / GROWS).write_text("a\nc\n")
    with pytest.raises(InputError, match="went on without each other"):
        fetch(one, out)


def test_an_output_folder_is_no_mirror(tmp_path: Path) -> None:
    (tmp_path / "owner").write_text("us")
    mirror = Mirror(tmp_path, StoragePath.at(tmp_path))
    mirror.catch_up(tmp_path / GROWS)
    mirror.fetch([tmp_path / "owner"])
    mirror.save()
    assert [path.name for path in tmp_path.iterdir()] == ["owner"]


def test_only_what_changed_is_put_there_again(tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    out, put = StoragePath.at(bucket) / "out", []
    copy = StoragePath.copy_to

    def spy(self: StoragePath, other: StoragePath) -> None:
        put.append(other.name)
        copy(self, other)

    monkeypatch.setattr(StoragePath, "copy_to", spy)
    (tmp_path / "row" / "seed-0").mkdir(parents=True)
    for name in ("a", "row/b", "row/seed-0/c"):
        (tmp_path / name).write_text("1")
    mirror = Mirror(tmp_path, out)
    mirror.save()
    (tmp_path / "row" / "b").write_text("two")
    mirror.save()
    mirror.save()
    assert put == ["a", "b", "c", "b"]
    other = tmp_path / "other"
    Mirror(other, out).fetch([other / "row" / "b", other / "row" / "seed-0" / "c", other / "d"])
    assert [(other / "row" / name).read_text() for name in ("b", "seed-0/c")] == ["two", "1"]


def test_a_driver_has_a_folder_for_each_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Mirror.of(StoragePath.at("out")).folder == tmp_path / "out"
    folders = {Mirror.of(StoragePath.at(f"s3://{bucket}/out")).folder for bucket in ("a", "b", "a")}
    assert len(folders) == 2
    assert all(folder.parent == tmp_path / "runs" and folder.name.startswith("out-") for folder in folders)


def test_copies_while_trials_end_take_a_twentieth_of_the_time(tmp_path: Path) -> None:
    """By hand: a copy takes 2 s, so the next may begin 38 s after its end. Nothing that was written is lost by then."""
    here, there, now = tmp_path / "here", tmp_path / "there", [100.0]
    here.mkdir()
    there.mkdir()
    journal, copied = here / "study.journal", []

    def clock() -> float:
        return now[0]

    class Slow(Mirror):
        def save(self) -> None:
            copied.append(now[0])
            super().save()

    class Store(StoragePath):
        def __truediv__(self, name: str) -> StoragePath:
            now[0] += 2.0
            return super().__truediv__(name)

    mirror = Slow(here, Store(there.as_uri()), clock)
    for trial in range(100):  # one ends each second
        journal.write_text(f"{trial}\n")
        mirror.keep_up()
        now[0] += 1.0
    assert copied == [100.0, 140.0, 180.0]
    mirror.save()
    assert (there / "study.journal").read_text() == "99\n"
