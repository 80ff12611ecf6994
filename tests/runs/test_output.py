"""Output folder, and checks before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from gckd.config import Config, ConfigError, apply, preset
from gckd.config.graph import Gnn
from gckd.data.dataset_pair import DatasetPair
from gckd.errors import InputError
from gckd.runs.output import default_output, output_folder
from gckd.runs.preflight import check_sizes, prepare_datasets
from tests.toy import IDS, IMAGES_PER_ID, make_toy

TRAIN_IMAGES = IDS["train"] * IMAGES_PER_ID  # 12, and 24 captions


@pytest.fixture
def config(tmp_path: Path) -> Config:
    source, target = make_toy(tmp_path / "a"), make_toy(tmp_path / "b", shade=200)
    sizes = {"pretrain.batch": TRAIN_IMAGES, "adapt.batch": 8, "graph.memory.capacity": 16, "graph.propagate.k": 3}
    return apply(preset("tiny"), {"data.source": str(source), "data.target": f"rstpreid:{target}", **sizes})


@pytest.fixture
def datasets(config: Config, tmp_path: Path) -> DatasetPair:
    return prepare_datasets(config, tmp_path / "cache")[1]


def test_datasets_are_stored_and_named(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    calls: list[tuple[str, int, int]] = []
    relative = apply(config, {"data.source": "a"})
    prepared, datasets = prepare_datasets(relative, tmp_path / "cache", lambda *call: calls.append(call))
    assert prepared.data.source == f"rstpreid:{tmp_path / 'a'}"
    assert prepared.data.target == config.data.target
    assert datasets.target_name == f"{tmp_path.name}/b"
    assert datasets.published == ""
    assert calls[-1] == (datasets.target_name, 20, 20)
    assert datasets.source.digest != datasets.target.digest


def test_missing_datasets_are_named_together(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        prepare_datasets(preset("tiny"), tmp_path)
    assert caught.value.problems == [
        f"data.{role}: no dataset is given; set it to FOLDER or FORMAT:FOLDER (option --{role})"
        for role in ("source", "target")
    ]


def test_a_truncated_image_is_refused_by_its_path(config: Config, tmp_path: Path) -> None:
    image = next((tmp_path / "b" / "imgs").iterdir())
    image.write_bytes(image.read_bytes()[:40])
    with pytest.raises(InputError, match=image.name):
        prepare_datasets(config, tmp_path / "cache")
    prepared, datasets = prepare_datasets(apply(config, {"data.skip_broken": True}), tmp_path / "cache")
    assert datasets.target.skipped == 1
    assert prepared.data.skip_broken


def test_sizes_that_just_fit_are_accepted(config: Config, datasets: DatasetPair) -> None:
    check_sizes([config], datasets)


def test_each_size_that_is_too_large_is_reported_once(config: Config, datasets: DatasetPair) -> None:
    # the larger bank holds all 12 + 12 images; with C = 16, the captions' banks hold 16 + 16 of 24 + 24
    edits = {"pretrain.batch": TRAIN_IMAGES + 1, "adapt.batch": 13, "graph.propagate": Gnn(k=31)}
    large = apply(config, edits)
    with pytest.raises(ConfigError) as caught:
        check_sizes([large, large], datasets)
    assert caught.value.problems == [
        "pretrain.batch: 13 is above its limit: 12 source train images",
        "adapt.batch: 13 is above its limit: 12 source train images",
        "adapt.batch: 13 is above its limit: 12 target train images",
        "graph.propagate.k: K = 31 is outside its limit: < 24 nodes (source images and target images)",
    ]


def test_k_is_compared_with_the_size_of_the_banks(config: Config, datasets: DatasetPair) -> None:
    """12 images and 24 captions; C = 16, B = 8."""
    check_sizes([apply(config, {"graph.propagate.k": 11})], datasets)
    for edits, nodes, what in (
        ({"graph.propagate.k": 12}, 12, "target images"),
        ({"graph.propagate": Gnn(k=20), "graph.memory.source": False}, 20, "source images and target images"),
    ):
        with pytest.raises(ConfigError, match=rf"< {nodes} nodes \({what}\)"):
            check_sizes([apply(config, edits)], datasets)


def test_the_default_folder_is_named_by_datasets_and_config(config: Config, datasets: DatasetPair) -> None:
    folder = default_output(config, datasets)
    assert folder.parent == Path("runs")
    assert folder.name.startswith("a-b-")
    assert folder == default_output(config, datasets)
    assert folder != default_output(apply(config, {"adapt.steps": 3}), datasets)


def test_a_folder_that_is_not_empty_needs_resume(tmp_path: Path) -> None:
    out, config = tmp_path / "out", preset("tiny")
    with output_folder(out, config, resume=False) as folder:
        assert folder == out
    with pytest.raises(InputError, match="is not empty; add --resume"), output_folder(out, config, resume=False):
        pass
    with output_folder(out, config, resume=True):
        pass


def test_resume_in_a_new_folder_starts(tmp_path: Path) -> None:
    with output_folder(tmp_path / "out", preset("tiny"), resume=True) as folder:
        assert (folder / "config.yaml").exists()


def test_a_folder_of_another_config_is_refused_with_the_differences(tmp_path: Path) -> None:
    with output_folder(tmp_path / "out", preset("tiny"), resume=False):
        pass
    other = apply(preset("tiny"), {"adapt.steps": 7, "graph.propagate": "none"})
    with pytest.raises(ConfigError) as caught, output_folder(tmp_path / "out", other, resume=True):
        pass
    head, *lines = caught.value.problems
    assert "belongs to another config" in head
    assert f"  adapt.steps: {preset('tiny').adapt.steps} -> 7" in lines
    assert "  graph.propagate.kind: 'diffusion' -> 'none'" in lines


def test_two_processes_cannot_share_a_folder(tmp_path: Path) -> None:
    config = preset("tiny")
    with (
        output_folder(tmp_path / "out", config, resume=False),
        pytest.raises(InputError, match="another process is writing"),
        output_folder(tmp_path / "out", config, resume=True),
    ):
        pass


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with (
        pytest.raises(InputError, match=r"--out .*out: cannot be used"),
        output_folder(tmp_path / "out", preset("tiny"), resume=False),
    ):
        pass


def refuse(out: Path, *names: str, resume: bool = False) -> None:
    """A command that writes files into its output folder and is then refused."""
    with output_folder(out, preset("tiny"), resume=resume):
        for name in names:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).touch()
        raise InputError("no node")


@pytest.mark.parametrize("resume", [False, True])
def test_a_refused_start_leaves_nothing(tmp_path: Path, resume: bool) -> None:
    """The same command works once the reason is gone, without --resume."""
    out = tmp_path / "out"
    with pytest.raises(InputError, match="no node"):
        refuse(out, "launches.json", resume=resume)
    assert {item.name for item in out.iterdir()} <= {".lock"}
    with output_folder(out, preset("tiny"), resume=False):
        pass


@pytest.mark.parametrize("name", ["full/seed-0/checkpoint.pt", "runs.parquet"])
def test_runs_stay_when_a_command_is_refused(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    for names, resume in (((name,), False), ((), True)):
        with pytest.raises(InputError, match="no node"):
            refuse(out, *names, resume=resume)
        assert (out / name).exists() and (out / "config.yaml").exists()
