"""Files that people bring: each case by the command that they use, with the right outcome in a few lines."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gckd.cli.main import cli
from gckd.config import apply, preset
from gckd.config.backbone import Albef, Text, Vision
from gckd.data.dataset_pair import open_datasets
from gckd.data.readers import RstpReidReader
from gckd.data.types import SplitCounts, Vocabulary
from gckd.models.albef import AlbefBackbone
from gckd.models.base import InputSizes
from gckd.models.weights import Weights
from tests.cli.test_commands import status_of
from tests.published import published
from tests.toy import IDS, IMAGES_PER_ID, make_toy

SIZES: dict[str, Any] = {"width": 16, "depth": 1, "heads": 2, "mlp_ratio": 2.0}
Entry = dict[str, Any]
Outcome = Callable[..., tuple[int, str]]


@pytest.fixture
def outcome(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Outcome:
    """Function that runs a command and returns its exit status and all it prints, on wide lines."""
    monkeypatch.setenv("COLUMNS", "300")

    def run(*arguments: object) -> tuple[int, str]:
        status = status_of(cli, *map(str, arguments))
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return run


def respell(folder: Path, change: Callable[[Entry], object]) -> Path:
    file = folder / "data_captions.json"
    entries = json.loads(file.read_text())
    for entry in entries:
        change(entry)
    file.write_text(json.dumps(entries))
    return file


def lines_with(text: str, word: str) -> list[str]:
    return [line for line in text.splitlines() if word in line]


class TestDataCheck:
    def test_a_sound_dataset_has_no_problem(self, outcome: Outcome, tmp_path: Path) -> None:
        status, text = outcome("data", "check", make_toy(tmp_path / "ok"))
        assert status == 0 and "problems: none" in text and "(rstpreid)" in text

    @pytest.mark.parametrize(
        ("spelling", "detected"),
        [(lambda name: f"imgs/{name}", "begin with imgs/"), (lambda name: f".\\{name}", "Windows separators")],
    )
    def test_all_paths_wrong_is_one_line(
        self, outcome: Outcome, tmp_path: Path, spelling: Callable[[str], str], detected: str
    ) -> None:
        folder = make_toy(tmp_path / "toy")
        respell(folder, lambda entry: entry.update(img_path=spelling(entry["img_path"])))
        status, text = outcome("data", "check", folder)
        assert status == 0 and "problems: none" in text
        assert len(lines_with(text, detected)) == 1 and "20 image paths" in text

    def test_caption_all_without_splits_is_one_line(self, outcome: Outcome, tmp_path: Path) -> None:
        folder = make_toy(tmp_path / "toy")
        respell(folder, lambda entry: (entry.pop("split"), entry.update(file_path=entry.pop("img_path")))).rename(
            folder / "caption_all.json"
        )
        status, text = outcome("data", "check", folder)
        assert status == 2 and len(text.splitlines()) == 1
        assert "caption_all.json: no entry has a split; use reid_raw.json" in text

    def test_missing_folders_have_one_line_each(self, outcome: Outcome, tmp_path: Path) -> None:
        folder = make_toy(tmp_path / "toy")
        folders = {"train": "CUHK01/", "val": "Market/", "test": ""}

        def move(entry: Entry) -> None:
            if entry["split"] != "test":
                (folder / "imgs" / entry["img_path"]).unlink()
            entry["img_path"] = folders[entry["split"]] + entry["img_path"]

        respell(folder, move)
        status, text = outcome("data", "check", folder)
        assert status == 1 and lines_with(text, "image:") == [
            f"{folder}/data_captions.json: image: the folder {folder}/imgs/CUHK01 is missing: 12 images",
            f"{folder}/data_captions.json: image: the folder {folder}/imgs/Market is missing: 4 images",
        ]

    def test_captions_of_several_identities_and_captions_that_are_none(self, outcome: Outcome, tmp_path: Path) -> None:
        folder = make_toy(tmp_path / "toy")
        texts = ["A man in a coat", "print(len(x))\nfor i in range(3): pass", "一个女人 穿红衣服", "a café\u200b coat"]
        names = {f"{identity:04d}_c0.png": texts[max(0, identity - 3)] for identity in range(1, 7)}
        respell(folder, lambda entry: entry.update(captions=[names.get(entry["img_path"], str(entry))]))
        status, text = outcome("data", "check", folder)
        assert status == 1 and "1 captions are of several identities: 'a man in a coat' (3 identities)" in text
        for problem in ("look like code", "are not in the Latin script", "hold invisible characters"):
            assert len(lines_with(text, problem)) == 1


def checkpoint(file: Path, change: Callable[[Weights], Any] = lambda weights: weights, side: int = 32) -> list[str]:
    """Arguments of `gckd weights` for a file with published names, whose content is `change` of the weights."""
    node = Albef(vision=Vision(patch=8, stem="linear", **SIZES), text=Text(fusion_depth=1, **SIZES), embed_dim=8)
    model = AlbefBackbone(node, InputSizes(Vocabulary(20, 3), height=side, width=side, max_tokens=16))
    torch.save(change(published(model)), file)
    edits = ["vision.stem=linear", "vision.patch=8", "text.fusion_depth=1", "embed_dim=8"]
    edits += [f"{part}.{name}={value}" for part in ("vision", "text") for name, value in SIZES.items()]
    size = ["data.height=64", "data.width=16", "data.max_tokens=16"]
    return ["weights", str(file), *(f"--set=backbone.{edit}" for edit in edits), *(f"--set={edit}" for edit in size)]


class TestCheckpoints:
    def test_a_retrieval_checkpoint_without_mlm_head_is_read(self, outcome: Outcome, tmp_path: Path) -> None:
        command = checkpoint(
            tmp_path / "flickr30k.pth",
            lambda weights: {key: value for key, value in weights.items() if "predictions" not in key},
        )
        status, text = outcome(*command)
        assert status == 0 and "not in the file: MLM head" in text

    @pytest.mark.parametrize("wrap", ["module", "state_dict", "model_state_dict"])
    @pytest.mark.parametrize("strict", ["true", "false"])
    def test_prefixes_and_nesting_are_read(self, outcome: Outcome, tmp_path: Path, wrap: str, strict: str) -> None:
        def change(weights: Weights) -> dict[str, Any]:
            return {f"module.{key}": value for key, value in weights.items()} if wrap == "module" else {wrap: weights}

        plain = outcome(*checkpoint(tmp_path / "plain.pth"))[1].splitlines()
        status, text = outcome(*checkpoint(tmp_path / "w.pth", change), f"--set=backbone.strict={strict}")
        (loaded,) = lines_with(text, " loaded ")
        assert status == 0 and loaded.split("│")[2:4] == lines_with("\n".join(plain), " loaded ")[0].split("│")[2:4]

    def test_an_ambiguous_grid_is_square(self, outcome: Outcome, tmp_path: Path) -> None:
        status, text = outcome(*checkpoint(tmp_path / "pos4x4.pth"))
        assert status == 0 and "16 positions taken as 4 x 4, could be 8 x 2" in text

    @pytest.mark.parametrize(
        ("content", "description"),
        [(b"<!DOCTYPE html><html>Sign in</html>", "a web page, not a checkpoint"), (None, "argparse.Namespace")],
    )
    def test_other_files_are_described_in_one_line(
        self, outcome: Outcome, tmp_path: Path, content: bytes | None, description: str
    ) -> None:
        file = tmp_path / "file.pth"
        command = checkpoint(file, lambda weights: {"model": weights, "args": argparse.Namespace(lr=1e-5)})
        if content is not None:
            file.write_bytes(content)
        status, text = outcome(*command)
        assert status == 2 and description in text and "weights_only" not in text and len(text.splitlines()) == 1


def test_published_numbers_are_beside_the_whole_published_test_split_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {split: SplitCounts(IMAGES_PER_ID * ids, ids, 2 * IMAGES_PER_ID * ids) for split, ids in IDS.items()}
    monkeypatch.setattr(RstpReidReader, "published", counts)
    names = {"data.source": str(make_toy(tmp_path / "a")), "data.target": str(make_toy(tmp_path / "b", shade=9))}
    config = apply(preset("tiny"), {**names, "data.skip_broken": True})
    assert open_datasets(config, tmp_path / "cache").published == "rstpreid -> rstpreid"
    shutil.copytree(tmp_path / "b", tmp_path / "part")
    (tmp_path / "part/imgs/0010_c1.png").unlink()
    part = apply(config, {"data.target": str(tmp_path / "part")})
    assert open_datasets(part, tmp_path / "cache").published == ""
