"""`gckd weights`: a table of all keys, and an exit status for a file that does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gckd.cli.main import cli
from gckd.config.backbone import Albef, Text, Vision
from gckd.data.types import Vocabulary
from gckd.errors import InputError
from gckd.models.albef import AlbefBackbone
from gckd.models.albef_sizes import fitting_config
from gckd.models.base import InputSizes
from tests.cli.test_commands import status_of
from tests.published import published

EDITS = ["backbone.vision.stem=linear", "backbone.embed_dim=8", "backbone.vision.depth=1", "backbone.text.depth=1"]
EDITS += [f"backbone.{part}.{field}" for part in ("vision", "text") for field in ("width=16", "mlp_ratio=2")]


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    sizes = {"width": 16, "depth": 1, "heads": 2, "mlp_ratio": 2.0}
    vision, text = Vision(patch=8, stem="linear", **sizes), Text(fusion_depth=1, **sizes)  # type: ignore[arg-type]
    node = Albef(vision=vision, text=text, embed_dim=8)
    model = AlbefBackbone(node, InputSizes(Vocabulary(20, 3), height=64, width=32, max_tokens=64))
    torch.save(published(model), tmp_path / "w.pth")
    return ["weights", str(tmp_path / "w.pth"), *(f"--set={edit}" for edit in EDITS)]


def test_every_key_is_in_the_table(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(cli, *command) == 0
    shown = capsys.readouterr().out
    for part in ("loaded", "visual_encoder.* (18)", "not used: momentum copies", "not used: queues", "missing"):
        assert part in shown


def test_without_a_config_the_sizes_are_those_of_the_file(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(cli, *command[:2]) == 0
    assert "visual_encoder.* (18)" in capsys.readouterr().out
    assert status_of(cli, *command[:2], "--preset", "base") == 1


def test_sizes_are_told_from_the_shapes(command: list[str]) -> None:
    fitted = fitting_config(torch.load(command[1], weights_only=True))
    backbone = fitted.backbone
    assert isinstance(backbone, Albef)
    assert (backbone.vision.width, backbone.vision.depth, backbone.vision.patch) == (16, 1, 8)
    assert (backbone.text.width, backbone.text.depth, backbone.text.fusion_depth) == (16, 1, 1)
    assert (backbone.vision.mlp_ratio, backbone.text.mlp_ratio, backbone.embed_dim) == (2.0, 2.0, 8)
    assert (fitted.data.height, fitted.data.width) == (64, 32)


def test_a_model_without_patches_is_refused(command: list[str]) -> None:
    weights = torch.load(command[1], weights_only=True)
    for positions in (0, 1):  # the first position is that of the class token
        weights["visual_encoder.pos_embed"] = torch.zeros(1, positions, 16)
        with pytest.raises(InputError, match="cannot be told from the checkpoint .* too few"):
            fitting_config(weights)


def test_weights_that_do_not_fit_are_listed(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(cli, *command, "--set", "backbone.text.fusion_depth=2") == 1
    assert "text_encoder.layer.2.attention.self.query.weight" in capsys.readouterr().out


def test_a_file_that_is_not_a_checkpoint_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pth")
    for name, message in (("nowhere.pth", "is not a file"), ("other.pth", "has no word embeddings")):
        assert status_of(cli, "weights", str(tmp_path / name)) == 2
        assert message in capsys.readouterr().err
