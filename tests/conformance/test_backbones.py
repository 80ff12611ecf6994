"""Properties of every backbone that the method relies on; CLIP and BLIP equal the forward passes of transformers."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gckd.config import Config, apply, preset
from gckd.config.backbone import Albef, Blip, Clip, Compute, Text, Tower, Vision
from gckd.config.distill import NoMatching
from gckd.data.types import Vocabulary
from gckd.errors import InputError
from gckd.models.base import Backbone, InputSizes
from gckd.models.blip import BlipBackbone
from gckd.models.build import build_model
from gckd.models.clip import ClipBackbone
from gckd.models.hub import check_fits_checkpoint

VOCABULARY = Vocabulary(60, end=3)
TOWER = {"width": 32, "depth": 2, "heads": 2, "mlp_ratio": 2.0}
BACKBONES: dict[str, Any] = {
    "albef": Albef(
        vision=Vision(patch=8, stem="linear", pixels="half", **TOWER),  # type: ignore[arg-type]
        text=Text(width=32, depth=1, fusion_depth=1, heads=2, mlp_ratio=2.0, dropout=0.0),
        embed_dim=16,
    ),
    "clip": Clip(vision=Tower(**TOWER), text=Tower(**TOWER), embed_dim=16),  # type: ignore[arg-type]
    "clip without fusion": Clip(vision=Tower(**TOWER), text=Tower(**TOWER), embed_dim=16, fusion_depth=0),  # type: ignore[arg-type]
    "blip": Blip(vision=Tower(**TOWER), text=Tower(**TOWER), embed_dim=16),  # type: ignore[arg-type]
}


def config(name: str, **changes: Any) -> Config:
    sizes = {"data.height": 32, "data.width": 16, "data.max_tokens": 12, "backbone": BACKBONES[name]}
    without = {"distill.matching": NoMatching()} if name == "clip without fusion" else {}
    return apply(preset("tiny"), sizes | without | changes)


@pytest.fixture(params=list(BACKBONES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(name: str) -> Backbone:
    return build_model(config(name), VOCABULARY).eval()


def images(count: int = 5) -> Tensor:
    return torch.randn(count, 3, 32, 16, generator=torch.Generator().manual_seed(1))


def tokens(count: int = 5) -> Tensor:
    """Captions of different lengths: [CLS] words [SEP] padding."""
    ids = torch.randint(5, 60, (count, 10), generator=torch.Generator().manual_seed(2))
    ids[:, 0] = 2
    for row in range(count):
        end = 4 + row
        ids[row, end], ids[row, end + 1 :] = VOCABULARY.end, 0
    return ids


def test_embeddings_are_unit_vectors_of_width_embed_dim(model: Backbone) -> None:
    for z in (model.encode_image(images()).embedding, model.encode_text(tokens()).embedding):
        assert z.shape == (5, model.embed_dim) and z.dtype == torch.float32
        torch.testing.assert_close(z.norm(dim=1), torch.ones(5))


def test_weights_are_a_function_of_config_and_seed(name: str) -> None:
    first, same, other_seed = (build_model(config(name, seed=seed), VOCABULARY).state_dict() for seed in (5, 5, 6))
    assert all(torch.equal(first[k], same[k]) for k in first)
    assert not all(torch.equal(first[k], other_seed[k]) for k in first)


def test_examples_of_a_batch_are_independent(model: Backbone) -> None:
    whole, part = model.encode_image(images()), model.encode_image(images()[1:3])
    torch.testing.assert_close(whole.embedding[1:3], part.embedding)
    whole, part = model.encode_text(tokens()), model.encode_text(tokens()[1:3])
    torch.testing.assert_close(whole.embedding[1:3], part.embedding)


def test_embeddings_without_states_equal_those_with_states(model: Backbone) -> None:
    """In value and in every gradient."""
    results = []
    for z_image, z_text in (
        (model.encode_image(images()).embedding, model.encode_text(tokens()).embedding),
        (model.embed_image(images()), model.embed_text(tokens())),
    ):
        model.zero_grad()
        (z_image @ z_text.T).cumsum(1).square().sum().backward()
        gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        results.append([z_image.detach(), z_text.detach(), *gradients])
    for whole, without_states in zip(*results, strict=True):
        torch.testing.assert_close(without_states, whole, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_frozen_weights_embed_bit_for_bit_like_trained_ones(model: Backbone) -> None:
    """A student without a teacher and a teacher with its weights fill the banks alike."""
    trained = model.embed_image(images()), model.embed_text(tokens())
    model.requires_grad_(False)
    assert all(map(torch.equal, trained, (model.embed_image(images()), model.embed_text(tokens()))))


def test_padding_has_no_effect(model: Backbone) -> None:
    short = tokens()
    long = F.pad(short, (0, 2))
    torch.testing.assert_close(model.encode_text(short).embedding, model.encode_text(long).embedding)
    if model.has_matching_head:
        states = model.encode_image(images()).states
        matched = (model.match(states, model.encode_text(t).states, t) for t in (short, long))
        torch.testing.assert_close(*matched)


def test_an_image_can_be_in_several_pairs(model: Backbone) -> None:
    """Referring to an image by its row gives the same logits and gradients as repeating its tokens."""
    if not model.has_matching_head:
        return
    states, text = model.encode_image(images()).states.detach(), model.encode_text(tokens()).states.detach()
    pairing, results = torch.tensor([3, 0, 3, 1, 1]), []
    for image_states, rows in ((states, pairing), (states[pairing], None)):
        model.zero_grad()
        logits = model.match(image_states, text, tokens(), rows)
        logits.square().sum().backward()
        results.append([logits.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)])
    for by_row, repeated in zip(*results, strict=True):
        torch.testing.assert_close(by_row, repeated, atol=1e-5, rtol=1e-4)


def test_every_word_changes_the_embedding(model: Backbone) -> None:
    changed = tokens()
    changed[:, 2] = torch.where(changed[:, 2] == 7, 8, 7)
    assert (
        float((model.encode_text(tokens()).embedding - model.encode_text(changed).embedding).abs().amax(1).min()) > 1e-4
    )


def test_text_layer_norms_are_those_that_encode_text_uses(model: Backbone) -> None:
    model.requires_grad_(True)
    model.encode_text(tokens()).embedding[:, 0].sum().backward()
    reached = {p for layer in model.modules() if isinstance(layer, nn.LayerNorm) for p in layer.parameters()}
    reached = {p for p in reached if p.grad is not None}
    assert reached == {p for norm in model.text_layer_norms() for p in norm.parameters()}
    assert len(reached) >= 2 * 3


def test_heads_work_or_raise_an_error(model: Backbone, name: str) -> None:
    image, text = model.encode_image(images()), model.encode_text(tokens())
    if model.has_matching_head:
        logits = model.match(image.states, text.states, tokens())
        assert logits.shape == (5, 2)
        assert not torch.allclose(logits, model.match(image.states.roll(1, 0), text.states, tokens()))
    else:
        with pytest.raises(NotImplementedError, match="no matching head"):
            model.match(image.states, text.states, tokens())
    assert model.has_mlm_head == config(name).backbone.has_mlm_head
    if model.has_mlm_head:
        positions = tokens() > 20
        with_images = model.predict_tokens(tokens(), image.states, positions)
        without_images = model.predict_tokens(tokens(), None, positions)
        assert with_images.shape == without_images.shape == (int(positions.sum()), VOCABULARY.size)
        assert not torch.allclose(with_images, without_images)
    else:
        with pytest.raises(NotImplementedError, match="no MLM head"):
            model.predict_tokens(tokens(), image.states, tokens() > 20)
    assert model.word_embeddings().shape[0] == VOCABULARY.size


def test_contrastive_and_matching_losses_have_gradients_in_every_encoder(model: Backbone) -> None:
    image, text = model.encode_image(images()), model.encode_text(tokens())
    loss = F.cross_entropy(image.embedding @ text.embedding.T / model.tau, torch.arange(5))
    if model.has_matching_head:
        loss = loss + model.match(image.states, text.states, tokens()).square().sum()
    loss.backward()
    without_gradient = {n for n, p in model.named_parameters() if p.requires_grad and p.grad is None}
    # The MLM head is not used by these losses. CLIP pools before its last normalisation, and BLIP has no pooler.
    assert not {n for n in without_gradient if not n.startswith("text_encoder.predictions")}


def test_a_copy_is_independent_and_has_the_same_results(model: Backbone) -> None:
    """The EMA teacher starts as a copy."""
    twin = copy.deepcopy(model)
    with torch.no_grad():
        model.word_embeddings().add_(1.0)
    assert not torch.equal(model.word_embeddings(), twin.word_embeddings())
    twin.load_state_dict(model.state_dict())
    torch.testing.assert_close(twin.encode_text(tokens()).embedding, model.encode_text(tokens()).embedding)


@pytest.mark.parametrize("compute", [Compute(checkpointing=True), Compute(precision="bf16")])
def test_compute_options_change_results_only_by_rounding(name: str, compute: Compute) -> None:
    results = []
    for options in (Compute(), compute):
        model = build_model(
            config(name, backbone=dataclasses.replace(BACKBONES[name], compute=options)), VOCABULARY
        ).train()
        z = model.encode_image(images()).embedding
        (z @ model.encode_text(tokens()).embedding.T).square().sum().backward()
        gradient = model.word_embeddings().grad
        assert gradient is not None
        results.append((z.detach(), gradient))
    tolerance = {"atol": 0.05, "rtol": 0.1} if compute.precision == "bf16" else {}
    torch.testing.assert_close(*(z for z, _ in results), **tolerance)
    if compute.checkpointing:
        torch.testing.assert_close(*(gradient for _, gradient in results))


def test_clip_equals_transformers() -> None:
    model = build_model(config("clip"), VOCABULARY).eval()
    assert isinstance(model, ClipBackbone)
    normalised = model.pixels(images())
    expected = model.clip(input_ids=tokens(), pixel_values=normalised, interpolate_pos_encoding=True)
    torch.testing.assert_close(model.encode_image(images()).embedding, expected.image_embeds)
    torch.testing.assert_close(model.encode_text(tokens()).embedding, expected.text_embeds)


def test_blip_equals_transformers() -> None:
    model = build_model(config("blip"), VOCABULARY).eval()
    assert isinstance(model, BlipBackbone)
    inputs = {
        "input_ids": tokens(),
        "attention_mask": (tokens() != 0).long(),
        "pixel_values": model.pixels(images()),
        "interpolate_pos_encoding": True,
    }
    image, text = model.encode_image(images()), model.encode_text(tokens())
    expected = model.blip(**inputs, use_itm_head=False).itm_score
    torch.testing.assert_close(image.embedding @ text.embedding.T, expected)
    torch.testing.assert_close(model.match(image.states, text.states, tokens()), model.blip(**inputs).itm_score)


@pytest.mark.parametrize("name", ["clip", "blip"])
class TestFolders:
    """Local folders in the format of `save_pretrained` and of the hub."""

    def save(self, name: str, folder: Path) -> Backbone:
        model = build_model(config(name, seed=9), VOCABULARY).eval()
        inner = model.clip if isinstance(model, ClipBackbone) else model.blip  # type: ignore[attr-defined]
        inner.save_pretrained(folder)
        return model

    def test_weights_and_sizes_come_from_the_folder(self, name: str, tmp_path: Path) -> None:
        before = self.save(name, tmp_path)
        kind = type(BACKBONES[name])
        after = build_model(config(name, backbone=kind(weights=str(tmp_path))), VOCABULARY).eval()
        assert after.embed_dim == before.embed_dim
        torch.testing.assert_close(after.encode_image(images()).embedding, before.encode_image(images()).embedding)
        torch.testing.assert_close(after.encode_text(tokens()).embedding, before.encode_text(tokens()).embedding)

    def test_weights_load_under_another_default_device(self, name: str, tmp_path: Path) -> None:
        """transformers needs accelerate under any default device but the CPU. The device meta needs no GPU."""
        self.save(name, tmp_path)
        with torch.device("meta"):
            model = build_model(config(name, backbone=type(BACKBONES[name])(weights=str(tmp_path))), VOCABULARY)
        assert {value.device.type for value in model.state_dict().values()} == {"meta"}

    def test_inputs_that_do_not_fit_the_checkpoint_are_refused(self, name: str, tmp_path: Path) -> None:
        self.save(name, tmp_path)
        edits = {"backbone": type(BACKBONES[name])(weights=str(tmp_path))}
        with pytest.raises(InputError, match=r"data.max_tokens: 13 is outside its limit: <= 12 of the checkpoint"):
            build_model(config(name, **edits, **{"data.max_tokens": 13}), VOCABULARY)
        with pytest.raises(
            InputError, match=r"tokenizer: its vocabulary of 61 is not that of the checkpoint, which has 60"
        ):
            build_model(config(name, **edits), Vocabulary(61, 3))
        with pytest.raises(InputError, match=r"data.width: 20 is not a multiple of the checkpoint's patch = 8"):
            build_model(config(name, **edits, **{"data.width": 20}), VOCABULARY)

    @pytest.mark.parametrize(("ids", "fits"), [(49408, True), (30522, False), (1000, False)])
    def test_the_tokenizer_of_another_model_is_refused(self, name: str, ids: int, fits: bool) -> None:
        """BERT's ids mean other words to CLIP, which would read them without an error."""
        text = SimpleNamespace(vocab_size=49408, max_position_embeddings=77)
        inputs = InputSizes(Vocabulary(ids, 3), 32, 16, 12)
        with (
            contextlib.nullcontext() if fits else pytest.raises(InputError, match="name the checkpoint's own tokenizer")
        ):
            check_fits_checkpoint(text, 8, inputs)

    def test_a_folder_without_a_model_is_refused(self, name: str, tmp_path: Path) -> None:
        edits = config(name, backbone=type(BACKBONES[name])(weights=str(tmp_path)))
        with pytest.raises(
            InputError, match=r"backbone.weights: '.*' is neither a folder with a \w+ nor available on the hub"
        ):
            build_model(edits, VOCABULARY)
