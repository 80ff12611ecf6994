"""Published checkpoints: every key is loaded, recognised or listed in an error; positions are resized."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch.nn import functional as F

from gckd.config.backbone import Albef, Text, Vision
from gckd.data.types import Vocabulary
from gckd.errors import InputError
from gckd.models.albef import AlbefBackbone
from gckd.models.base import InputSizes
from gckd.models.checkpoint_file import read_checkpoint
from gckd.models.vision import resize_positions, trained_grid
from gckd.models.weights import Weights, load_weights, momentum_copies, our_name
from tests.published import published

GRID = (4, 2)


def model(seed: int = 0, height: int = 32, width: int = 16, max_tokens: int = 12) -> AlbefBackbone:
    torch.manual_seed(seed)
    vision = Vision(patch=8, stem="linear", width=16, depth=1, heads=2, mlp_ratio=2.0)
    text = Text(width=16, depth=1, fusion_depth=1, heads=2, mlp_ratio=2.0, dropout=0.0)
    config = Albef(vision=vision, text=text, embed_dim=8)
    return AlbefBackbone(config, InputSizes(Vocabulary(20, 3), height, width, max_tokens))


def differing(one: AlbefBackbone, two: AlbefBackbone) -> list[str]:
    return [n for n, v in one.state_dict().items() if not torch.allclose(v, two.state_dict()[n], atol=1e-6)]


@pytest.mark.parametrize("bert", [True, False])
def test_every_key_is_accounted_for(bert: bool) -> None:
    weights, loaded = published(model(1), bert), model(2)
    report = load_weights(loaded, weights, GRID, "bicubic", strict=True)
    assert differing(loaded, model(1)) == []
    reported = [*report.loaded, *(key for keys in report.unused.values() for key in keys)]
    assert sorted(reported) == sorted(weights)
    assert {reason.split(":")[0]: len(keys) for reason, keys in report.unused.items()} == {
        "tied": 2,
        "momentum copies": sum("_m." in key for key in weights),
        "queues": 3,
        "position ids (0, 1, 2, ...)": 1,
    }


def test_momentum_copies_replace_the_online_weights() -> None:
    loaded = model(2)
    load_weights(loaded, momentum_copies(published(model(1))), GRID, "bicubic", strict=True)
    expected = model(1).state_dict()
    for name, value in loaded.state_dict().items():
        shift = 0.0 if name.startswith(("itm_head", "log_tau")) else 1.0
        torch.testing.assert_close(value, expected[name] + shift)


def faulty_weights() -> Weights:
    weights = published(model(1))
    del weights["vision_proj.bias"]
    weights["itm_head.weight"] = torch.zeros(3, 16)
    weights["extra.head"] = torch.zeros(1)
    # This decoder is not a duplicate of the word embeddings.
    weights["text_encoder.cls.predictions.decoder.weight"] += 1.0
    return weights


def test_a_strict_load_lists_the_problems_and_changes_nothing() -> None:
    loaded = model(2)
    with pytest.raises(InputError) as caught:
        load_weights(loaded, faulty_weights(), GRID, "bicubic", strict=True)
    for part in (
        "1 missing: vision_proj.bias",
        "2 unexpected: ",
        "extra.head",
        "text_encoder.cls.predictions.decoder.weight",
        "1 wrong shape: itm_head.weight (3, 16) in the checkpoint, (2, 16) in the model",
        "backbone.strict=false",
    ):
        assert part in str(caught.value)
    assert differing(loaded, model(2)) == []


def test_a_checkpoint_of_another_architecture_is_refused_in_short_lines() -> None:
    weights = {f"encoder.{key}": value for key, value in published(model(1)).items()}
    with pytest.raises(InputError, match=r"`gckd weights FILE` lists all keys") as caught:
        load_weights(model(2), weights, GRID, "bicubic", strict=True)
    _, *others = str(caught.value).splitlines()
    assert [line.split(":")[0].split()[1:] for line in others] == [["missing"], ["unexpected"]]
    assert f"  {len(weights) - 1} unexpected: encoder." in others[1]  # all but the counter of the position ids
    assert all(line.count(", ") == 5 and line.endswith(", ...") and len(line) < 400 for line in others)


def test_a_lenient_load_keeps_the_weights_that_do_not_fit() -> None:
    loaded = model(2)
    report = load_weights(loaded, faulty_weights(), GRID, "bicubic", strict=False)
    assert differing(loaded, model(1)) == ["vision_proj.bias", "itm_head.weight"]
    assert differing(loaded, model(2)) != []
    assert torch.equal(loaded.vision_proj.bias, model(2).vision_proj.bias)
    assert report.missing == ["vision_proj.bias"] and len(report.wrong_shape) == 1
    assert "itm_head.weight" not in report.loaded


def test_a_retrieval_checkpoint_without_mlm_head_is_loaded_with_a_note() -> None:
    weights = {key: value for key, value in published(model(1), bert=False).items() if ".cls.predictions." not in key}
    loaded = model(2)
    report = load_weights(loaded, weights, GRID, "bicubic", strict=True)
    assert set(differing(loaded, model(1))) < set(report.optional)
    assert all(name.startswith("text_encoder.predictions.") for name in report.optional)
    assert "the checkpoint has no MLM head; it starts from random weights" in report.summary()
    weights["text_encoder.cls.predictions.bias"] = torch.zeros(20)  # a part of the head is not enough
    with pytest.raises(InputError, match=r"4 missing: text_encoder\.predictions\.transform"):
        load_weights(model(2), weights, GRID, "bicubic", strict=True)


def test_less_than_half_of_the_backbone_is_refused_whatever_strict_says() -> None:
    """The text encoder and its heads alone, and names that the model does not have."""
    weights = published(model(1))
    other = {f"encoder.{key}": value for key, value in weights.items()}
    small = {key: value for key, value in weights.items() if key.startswith("visual_encoder.blocks")}
    loaded = model(2)
    for part in (other, small):
        for strict in (True, False):
            with pytest.raises(InputError, match="at least 50 % are needed"):
                load_weights(loaded, part, GRID, "bicubic", strict=strict)
    assert differing(loaded, model(2)) == []


def test_the_share_is_that_of_the_parameters() -> None:
    weights = published(model(1))
    del weights["visual_encoder.cls_token"]
    report = load_weights(model(2), weights, GRID, "bicubic", strict=False)
    total = sum(parameter.numel() for parameter in model(1).parameters())
    assert report.share == pytest.approx((total - 16) / total)
    assert f"{100 * (total - 16) / total:.1f} % of the backbone's parameters" in report.summary()[0]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value: float) -> None:
    weights = published(model(1))
    weights["text_encoder.bert.encoder.layer.0.output.dense.weight"][3, 2] = value
    with pytest.raises(InputError, match=r"1 weights hold NaN or infinite values \(text_encoder\.layer\.0"):
        load_weights(model(2), weights, GRID, "bicubic", strict=False)


def test_weights_that_overflow_in_the_type_of_the_model_are_refused() -> None:
    weights = {key: value.double() for key, value in published(model(1)).items()}
    weights["vision_proj.bias"][0] = 1e300
    with pytest.raises(InputError, match=r"1 weights hold NaN or infinite values \(vision_proj\.bias\)"):
        load_weights(model(2), weights, GRID, "bicubic", strict=True)


def test_positions_of_square_images_are_resized_to_crops() -> None:
    square, crop = model(1, 32, 32), model(2)
    report = load_weights(crop, published(square), GRID, "bicubic", strict=True)
    token, patches = square.visual_encoder.pos_embed.split([1, 16], 1)
    by_hand = F.interpolate(patches.view(1, 4, 4, 16).permute(0, 3, 1, 2), (4, 2), mode="bicubic")
    expected = torch.cat((token, by_hand.permute(0, 2, 3, 1).reshape(1, 8, 16)), 1)
    torch.testing.assert_close(crop.visual_encoder.pos_embed.detach(), expected.detach())
    assert report.changed == ["visual_encoder.pos_embed: 4 x 4 -> 4 x 2 patches, bicubic"]


def test_text_positions_are_cut_but_not_extended() -> None:
    short = model(2, max_tokens=5)
    report = load_weights(short, published(model(1)), GRID, "bicubic", strict=True)
    name = "text_encoder.embeddings.position_embeddings.weight"
    assert torch.equal(short.state_dict()[name], model(1).state_dict()[name][:5])
    assert report.changed == [f"{name}: the first 5 of 12 (data.max_tokens)"]
    with pytest.raises(InputError, match=r"position_embeddings.weight \(12, 16\) in the checkpoint, \(13, 16\)"):
        load_weights(model(2, max_tokens=13), published(model(1)), GRID, "bicubic", strict=True)


@pytest.mark.parametrize(
    ("patches", "model_grid", "expected"),
    [
        (576, (24, 8), (24, 24)),  # published model, 384 x 384, loaded for crops
        (192, (24, 8), (24, 8)),  # fine-tuned on such crops
        (32, (24, 12), (8, 4)),  # trained on smaller crops of the same aspect ratio
        (256, (32, 8), (16, 16)),  # as many patches as the model has, but published models are square
        (30, (24, 24), None),
    ],
)
def test_the_trained_grid_is_inferred(
    patches: int, model_grid: tuple[int, int], expected: tuple[int, int] | None
) -> None:
    assert trained_grid(patches, model_grid) == expected


def test_an_ambiguous_grid_of_a_published_checkpoint_is_a_square() -> None:
    """4 x 4 and 8 x 2 grids have equally many patches. Published ALBEF was trained on squares."""
    square, crop = model(1, 32, 32), model(2, 64, 16)
    report = load_weights(crop, published(square), (8, 2), "bicubic", strict=True)
    patches = square.visual_encoder.pos_embed[:, 1:].view(1, 4, 4, 16).permute(0, 3, 1, 2)
    expected = F.interpolate(patches, (8, 2), mode="bicubic").permute(0, 2, 3, 1).reshape(16, 16)
    torch.testing.assert_close(crop.visual_encoder.pos_embed[0, 1:], expected)
    assert report.changed == [
        "visual_encoder.pos_embed: 16 positions taken as 4 x 4, could be 8 x 2",
        "visual_encoder.pos_embed: 4 x 4 -> 8 x 2 patches, bicubic",
    ]


def test_an_ambiguous_grid_of_this_project_is_that_of_the_model() -> None:
    tall, loaded = model(1, 64, 16), model(2, 64, 16)
    report = load_weights(loaded, tall.state_dict(), (8, 2), "bicubic", strict=True)
    assert differing(loaded, tall) == []
    assert report.changed == ["visual_encoder.pos_embed: 16 positions taken as 8 x 2, could be 4 x 4"]


def test_resizing_keeps_constant_positions() -> None:
    flat = torch.ones(1, 7, 3)
    torch.testing.assert_close(resize_positions(flat, (3, 2), (7, 5), "bicubic"), torch.ones(1, 36, 3))


@pytest.mark.parametrize("layout", ["model", "flat", "safetensors"])
def test_all_file_layouts_are_read(tmp_path: Path, layout: str) -> None:
    weights = published(model(1))
    path = tmp_path / ("w.safetensors" if layout == "safetensors" else "w.pth")
    if layout == "safetensors":
        safetensors.torch.save_file(weights, path)
    else:
        torch.save({"model": weights, "epoch": 3} if layout == "model" else weights, path)
    read = read_checkpoint(path).weights
    assert read.keys() == weights.keys() and all(torch.equal(read[k], weights[k]) for k in weights)


class Trap:
    """Code that unpickling would run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("trapped"),)


@pytest.mark.parametrize("content", ["trap", "text", "list", "nothing", "folder"])
def test_files_that_are_not_checkpoints_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "w.pth"
    if content == "trap":
        path.write_bytes(pickle.dumps({"model": Trap()}))
    elif content == "text":
        path.write_text("not found")
    elif content == "list":
        torch.save([torch.zeros(1)], path)
    elif content == "folder":
        path.mkdir()
    with pytest.raises(InputError, match=r"backbone.weights: .*w\.pth") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "trapped").exists()


def test_published_names_are_renamed() -> None:
    assert our_name("text_encoder.bert.encoder.layer.3.output.dense.bias") == "text_encoder.layer.3.output.dense.bias"
    assert our_name("text_encoder.encoder.layer.3.output.dense.bias") == "text_encoder.layer.3.output.dense.bias"
    assert our_name("temp") == "log_tau"
    assert our_name("visual_encoder.norm.weight") == "visual_encoder.norm.weight"
