"""Data and cache in an object store: another machine gets identical results and recomputes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gckd.config import Config, apply
from gckd.data.dataset_pair import DatasetPair, open_datasets
from gckd.data.datasets import find_dataset
from gckd.data.remote_store import upload_store
from gckd.progress import ProgressCallback
from gckd.storage.cache import CachePath
from gckd.storage.checkpoint import load_checkpoint
from gckd.storage.path import StoragePath
from gckd.training import pretrain
from gckd.training.load import CHECKPOINT
from gckd.training.run import RunResult, train_run
from tests.training.micro import Interruption, differences, stop_at

OF_THE_MACHINE = {"/digest", "/seconds"}  # of a checkpoint: the config names where the data are


def kept(config: Config, cache: Path, bucket: str) -> Config:
    """The config with its datasets in an object store."""
    for side, spec in (("source", config.data.source), ("target", config.data.target)):
        upload_store(find_dataset(spec).open_store(cache), StoragePath.at(bucket) / side, "")
    return apply(config, {f"data.{side}": f"{bucket}/{side}" for side in ("source", "target")})


def alike(one: RunResult, two: RunResult) -> bool:
    """Whether two runs have equal metrics, curves and data."""
    names = ("metrics", "curves", "notes", "source_digest", "target_digest", "queries", "gallery")
    return all(getattr(one, name) == getattr(two, name) for name in names)


def test_a_dataset_in_an_object_store_trains_as_its_folder(
    config: Config, cache: Path, bucket: str, tmp_path: Path
) -> None:
    here = train_run(config, cache=cache, out=tmp_path / "here")
    there = train_run(kept(config, cache, bucket), cache=tmp_path / "cache", out=tmp_path / "there")
    assert alike(here, there)
    one, two = (load_checkpoint(tmp_path / name / CHECKPOINT) for name in ("here", "there"))
    assert {*differences(one, two)} == OF_THE_MACHINE


def quiet(progress: object) -> None:
    pass


@pytest.fixture
def on_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Function that switches to a machine with its own disk."""
    return lambda name: monkeypatch.setattr("gckd.storage.cache.USER_CACHE", tmp_path / name)


def source_model(config: Config, cache: Path | CachePath, report: ProgressCallback = quiet) -> dict[str, Any]:
    return pretrain.source_checkpoint(config, open_datasets(config, cache), cache, report)


def test_another_machine_recomputes_nothing(
    config: Config,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    on_machine: Callable[[str], None],
) -> None:
    """Vocabulary, source model, its metrics, its summary and the warm start come from the store."""
    handed = apply(config, {"adapt.source": "banks", "distill.matching": "none"})
    uri = CachePath.at(f"{bucket}/cache")
    on_machine("first")
    first = [train_run(c, cache=uri, out=tmp_path / f"first-{i}") for i, c in enumerate((config, handed))]
    assert uri.local_path.is_relative_to(tmp_path / "first")
    on_machine("second")
    made = ["data.tokenizer.train_vocabulary", "training.pretrain._train", "training.monitor._save_json"]
    made += ["method.source_free._embed_source", "method.warm_start._extend"]
    for name in made:
        monkeypatch.setattr(f"gckd.{name}", lambda *args: pytest.fail("made again"))
    second = [train_run(c, cache=uri, out=tmp_path / f"second-{i}") for i, c in enumerate((config, handed))]
    assert all(alike(one, two) for one, two in zip(first, second, strict=True))
    one, two = (load_checkpoint(tmp_path / f"{name}-0" / CHECKPOINT) for name in ("first", "second"))
    assert {*differences(one, two)} <= {"/seconds"}


def test_pretraining_resumes_on_another_machine(
    config: Config, cache: Path, bucket: str, on_machine: Callable[[str], None]
) -> None:
    expected = source_model(config, cache)
    on_machine("first")
    with pytest.raises(Interruption):
        source_model(config, CachePath.at(bucket), stop_at("pretrain", 3))
    on_machine("second")
    reports: list[int] = []
    result = source_model(config, CachePath.at(bucket), lambda progress: reports.append(progress.step))
    assert {*differences(expected, result)} <= {"/seconds"}
    assert reports == [3, 4]


def test_two_machines_can_pretrain_at_the_same_time(
    config: Config,
    cache: Path,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    on_machine: Callable[[str], None],
) -> None:
    """An early checkpoint of the second overwrites the final one of the first; both get the final source model."""
    expected, there = source_model(config, cache), CachePath.at(bucket)
    train, early = pretrain._train, StoragePath.at(tmp_path / "early.pt")

    def overtaken(
        config: Config, datasets: DatasetPair, name: str, place: StoragePath, report: ProgressCallback
    ) -> None:
        monkeypatch.setattr(pretrain, "_train", train)
        on_machine("second")
        with pytest.raises(Interruption):
            source_model(config, there, stop_at("pretrain", 3))
        place.copy_to(early)
        assert {*differences(expected, source_model(config, there))} <= {"/seconds"}
        on_machine("first")
        place.remove()
        train(config, datasets, name, place, report)
        early.copy_to(place)

    on_machine("first")
    monkeypatch.setattr(pretrain, "_train", overtaken)
    assert {*differences(expected, source_model(config, there))} <= {"/seconds"}
