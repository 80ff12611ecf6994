"""Training and evaluation with plain folders of images and captions.csv, without identities and splits."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from click.testing import CliRunner

import gckd
from gckd.cli.main import cli
from gckd.data.dataset_pair import open_datasets
from gckd.data.datasets import find_dataset
from gckd.data.plain_folder import without_identities
from gckd.demo.graph_view import OTHER_DATASET, GraphView, Neighbourhood
from gckd.errors import InputError
from tests.data.conftest import caption
from tests.data.test_plain_folder import write_folder
from tests.test_library import MICRO

Line = dict[str, object]


def lines_of(first: int, count: int = 24) -> list[Line]:
    return [{"image": f"{number}.png", "caption": caption(number, 0, 0)} for number in range(first, first + count)]


def write_pair(folder: Path) -> dict[str, str]:
    """Write the datasets `source` and `target` without identities; returns the edits of a config that uses them."""
    for name, first in (("source", 0), ("target", 100)):
        write_folder(folder / name, lines_of(first))
    return {f"data.{name}": f"folder:{folder / name}" for name in ("source", "target")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the datasets, the run and the cache."""
    folder = tmp_path_factory.mktemp("plain")
    datasets = write_pair(folder) | {"data.source": str(folder / "source")}
    write_folder(folder / "named", [line | {"identity": f"person {line['image']}"} for line in lines_of(100)])
    config = gckd.apply(gckd.preset("tiny"), datasets | MICRO)
    gckd.train(config, folder / "run", cache=folder / "cache", progress=False)
    return folder


def evaluated(folder: Path, *arguments: str) -> str:
    checkpoint = str(folder / "run/full/seed-0/checkpoint.pt")
    result = CliRunner().invoke(cli, ["evaluate", checkpoint, "--cache", str(folder / "cache"), *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_evaluation_says_that_it_cannot_measure_the_retrieval_of_persons(folder: Path) -> None:
    output = evaluated(folder)
    assert "target: no identities are given: each of the 24 images is its own identity." in output
    assert "Retrieval of a person cannot be measured" in output
    assert "target: no splits are given: images are split by a hash of their names (17 train, 2 val, 5 test)" in output


@pytest.fixture(scope="module")
def other(folder: Path) -> Path:
    """Captions with another vocabulary of the same size, to which the weights fit."""
    letters = str.maketrans("abcdefghijklmnopqrstuvwxyz", "bcdefghijklmnopqrstuvwxyza")
    lines = [line | {"caption": str(line["caption"]).translate(letters)} for line in lines_of(100)]
    return write_folder(folder / "other", lines)


def test_a_checkpoint_keeps_its_vocabulary(folder: Path, other: Path) -> None:
    """So the words of a sentence have the same ids on another target, or after a change of the captions."""
    sentences = [caption(number, 0, 0) for number in range(3)]
    before = gckd.load(folder / "run", cache=folder / "cache").student
    after = gckd.load(folder / "run", cache=folder / "cache", edits={"data.target": str(other)}).student
    made = open_datasets(after.config, folder / "cache").tokenizer
    assert made.vocab_size == before.datasets.tokenizer.vocab_size
    expected = before.datasets.tokenizer.encode(sentences).tolist()
    assert made.encode(sentences).tolist() != expected
    assert after.datasets.tokenizer.encode(sentences).tolist() == expected
    assert after.datasets.tokenizer.digest == before.datasets.tokenizer.digest != made.digest
    assert "other" in evaluated(folder, "--set", f"data.target={other}")


def test_rows_of_memory_banks_are_not_read_in_another_dataset(folder: Path, other: Path) -> None:
    """The banks of a checkpoint name images and captions by their rows."""
    edits = {"data.target": str(other)}
    arguments = ["audit", str(folder / "run"), "--set", f"data.target={other}", "--cache", str(folder / "cache")]
    with pytest.raises(InputError, match="data.target: not the dataset of the run of .*, or changed since"):
        CliRunner().invoke(cli, arguments, catch_exceptions=False)
    image = torch.eye(1, 8)[0]
    assert GraphView(gckd.load(folder / "run", cache=folder / "cache")).around(image).nodes
    view = GraphView(gckd.load(folder / "run", edits=edits, cache=folder / "cache"))
    assert view.around(image) == Neighbourhood(OTHER_DATASET, [])


@pytest.mark.parametrize("data", [{"tokenizer": "{}", "source": "", "target": ""}, {"source": ""}, "text"])
def test_a_damaged_tokenizer_of_a_checkpoint_is_named(folder: Path, tmp_path: Path, data: object) -> None:
    run = shutil.copytree(folder / "run/full/seed-0", tmp_path / "run")
    content = torch.load(run / "checkpoint.pt", weights_only=True)
    torch.save(content | {"data": data}, run / "checkpoint.pt")
    with pytest.raises(InputError, match="checkpoint.pt: damaged"):
        gckd.load(run, cache=folder / "cache")
    torch.save({name: value for name, value in content.items() if name != "data"}, run / "checkpoint.pt")
    gckd.load(run, cache=folder / "cache")  # of an earlier version


def test_the_audit_says_so_too(folder: Path) -> None:
    result = CliRunner().invoke(cli, ["audit", str(folder / "run"), "--cache", str(folder / "cache")])
    assert result.exit_code == 0, result.output
    notes = evaluated(folder).partition("source: ")[2]
    assert "cannot be measured" in notes and result.output.endswith(f"source: {notes}")


def test_the_notes_are_recorded_with_the_run(folder: Path) -> None:
    (run,) = pd.read_parquet(folder / "run/runs.parquet").itertuples()
    assert json.loads(run.notes).count(f"target: {without_identities(24)}") == 1


def test_an_image_without_identity_counts_like_an_identity_with_one_image(tmp_path: Path) -> None:
    lines = lines_of(0)
    splits = [line | {"split": ("train", "train", "val", "test")[number % 4]} for number, line in enumerate(lines)]
    named = [line | {"identity": f"person {line['image']}"} for line in splits]
    for name, content in (("plain", splits), ("named", named)):
        write_folder(tmp_path / name, content)
    stores = [find_dataset(tmp_path / name).open_store(tmp_path) for name in ("plain", "named")]
    labels = [store.labelled("test") for store in stores]
    matches = [split.image_identities[:, None] == split.caption_identities[None, :] for split in labels]
    assert (matches[0] == matches[1]).all() and matches[0].sum() == len(labels[0].captions)
