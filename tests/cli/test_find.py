"""`gckd find` and `gckd embed` on a split of the target and on a folder of images."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import gckd
from gckd.cli.main import cli
from gckd.cli.sheet import SheetImage, SheetRow, draw_sheet
from tests.test_library import MICRO
from tests.training.test_plain_folder import write_pair

TEXT = "a person in a red coat"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with two datasets, a run on them, a folder of photos, and the cache."""
    folder = tmp_path_factory.mktemp("find")
    datasets = write_pair(folder)
    gckd.train(
        gckd.apply(gckd.preset("tiny"), datasets | MICRO), folder / "run", cache=folder / "cache", progress=False
    )
    (folder / "photos").mkdir()
    for number in (100, 105, 110):
        shutil.copyfile(folder / f"target/{number}.png", folder / f"photos/{number}.png")
    return folder


def run(folder: Path, command: str, *arguments: str) -> Result:
    """Result of a command on the run, given by its output folder."""
    result = CliRunner().invoke(cli, [command, str(folder / "run"), *arguments, "--cache", str(folder / "cache")])
    assert result.exit_code == 0, result.output
    return result


def test_a_folder_is_ranked_by_cosine_and_its_index_is_reused(folder: Path) -> None:
    photos = str(folder / "photos")
    first = run(folder, "find", TEXT, "--gallery", photos, "--json")
    matches = json.loads(first.stdout)["queries"][0]["matches"]
    model = gckd.load(folder / "run", cache=folder / "cache")
    paths = sorted((folder / "photos").iterdir())
    expected = (model.embed_images(paths) @ model.embed_texts(TEXT)[0]).tolist()
    assert {match["path"]: match["score"] for match in matches} == pytest.approx(
        {str(path): score for path, score in zip(paths, expected, strict=True)}, abs=1e-3
    )
    assert [match["rank"] for match in matches] == [1, 2, 3]
    scores = [match["score"] for match in matches]
    assert scores == sorted(scores, reverse=True)
    assert "index: 0 images unchanged, 3 embedded, 0 removed" in first.stderr
    again = run(folder, "find", TEXT, "--gallery", photos, "--json")
    assert "index: 3 images unchanged, 0 embedded, 0 removed" in again.stderr
    assert again.stdout == first.stdout


def test_text_output_has_rank_score_and_path(folder: Path) -> None:
    title, *lines = run(folder, "find", TEXT, "-k", "2").stdout.splitlines()
    assert title == TEXT and len(lines) == 2
    for number, line in enumerate(lines, 1):
        rank, score, path = line.split()
        assert int(rank) == number and -1 <= float(score) <= 1
        assert Path(path).parent == folder / "target" and Path(path).is_file()


def test_embeddings_are_exported_with_their_paths(folder: Path, tmp_path: Path) -> None:
    photos = ("--gallery", str(folder / "photos"))
    run(folder, "embed", *photos, "--out", str(tmp_path / "a.parquet"))
    run(folder, "embed", *photos, "--out", str(tmp_path / "a.npy"))
    table = pd.read_parquet(tmp_path / "a.parquet")
    array = np.load(tmp_path / "a.npy", allow_pickle=False)
    assert table["path"].tolist() == json.loads((tmp_path / "a.paths.json").read_text())
    assert table["path"].tolist() == [str(path) for path in sorted((folder / "photos").iterdir())]
    np.testing.assert_array_equal(np.stack(table["embedding"].tolist()), array)
    assert array.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(array, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["find", "x", TEXT, "--gallery", ".", "--split", "test"], "--split: conflicts with --gallery"),
        (["find", "x", TEXT, "--gallery", "nowhere"], "nowhere: the folder does not exist; give a folder of images"),
        (["embed", "x", "--out", "a.csv"], "--out a.csv: expected a name that ends with .parquet or .npy"),
    ],
)
def test_bad_input_is_refused_before_a_model_is_loaded(arguments: list[str], message: str) -> None:
    assert message in str(CliRunner().invoke(cli, arguments).exception)


def test_the_sheet_shows_every_image(tmp_path: Path) -> None:
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]
    rows = []
    for text, count in (("one", 1), ("a long text " * 20, 3)):
        images = []
        for rank, colour in enumerate(colours[:count], 1):
            Image.new("RGB", (16, 32), colour).save(tmp_path / "image.png")
            images.append(SheetImage((tmp_path / "image.png").read_bytes(), rank, 0.5, "folder/" * 30 + "image.png"))
        rows.append(SheetRow(text, images))
    draw_sheet(tmp_path / "sheet.png", rows)
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet).reshape(-1, 3).astype(int)
    areas = [(abs(pixels - colour).max(1) < 20).sum() / (120 * 240) for colour in colours]
    assert areas == pytest.approx([2, 1, 1], rel=0.05)
