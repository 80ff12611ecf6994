"""Outputs and gradients equal those of the public ALBEF implementation.

The reference values are in tests/fixtures/albef, whose README says how they were computed. GCKD_ALBEF_FIXTURE names
another folder of the same layout. Sizes, batch and caption lengths are read from the folder's `config.json`.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.config import Config, apply
from gckd.config.stages import MomentumDistillation
from gckd.data.types import Vocabulary
from gckd.models.albef import AlbefBackbone
from gckd.models.build import initial_models
from gckd.models.checkpoint_file import read_checkpoint
from gckd.models.vision import resize_positions
from gckd.models.weights import Weights, momentum_copies, our_name
from gckd.training.albef_objective import AlbefObjective, PairBatch

FOLDER = Path(os.environ.get("GCKD_ALBEF_FIXTURE", Path(__file__).parents[1] / "fixtures" / "albef"))
ATOL, RTOL = 1e-5, 1e-4


@functools.cache
def settings() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((FOLDER / "config.json").read_text())
    return content


@functools.cache
def reference() -> Weights:
    return safetensors.torch.load_file(FOLDER / "reference.safetensors")


@functools.cache
def checkpoint() -> Path:
    (path,) = FOLDER.glob("*.pth")
    return path


def config(height: int = 0, width: int = 0, positions: str = "bicubic") -> Config:
    """The fixture's sizes as a config; images of its own size unless another is given."""
    vision, text, joint = settings()["vision"], settings()["text"], settings()["embed_dim"]
    sizes = {
        "data.height": height or vision["image_res"],
        "data.width": width or vision["image_res"],
        "data.max_tokens": text["max_position_embeddings"],
        "backbone.vision.patch": vision["patch_size"],
        "backbone.vision.stem": "linear",
        "backbone.vision.width": vision["embed_dim"],
        "backbone.vision.depth": vision["depth"],
        "backbone.vision.heads": vision["num_heads"],
        "backbone.vision.pixels": "half",  # the reference reads pixels as they are given
        "backbone.vision.mlp_ratio": float(vision["mlp_ratio"]),
        "backbone.text.width": text["hidden_size"],
        "backbone.text.depth": text["fusion_layer"],
        "backbone.text.fusion_depth": text["num_hidden_layers"] - text["fusion_layer"],
        "backbone.text.heads": text["num_attention_heads"],
        "backbone.text.mlp_ratio": text["intermediate_size"] / text["hidden_size"],
        "backbone.text.dropout": text["hidden_dropout_prob"],
        "backbone.embed_dim": joint,
        "backbone.positions": positions,
        "backbone.weights": str(checkpoint()),
        "pretrain.objective": MomentumDistillation(
            queue=settings()["queue_size"], m=settings()["momentum"], alpha=settings()["alpha"]
        ),
        "pretrain.batch": settings()["batch_size"],
    }
    start = Config()
    edits = {path: value for path, value in sizes.items() if not equals_default(start, path, value)}
    return apply(start, edits)


def equals_default(start: Config, path: str, value: object) -> bool:
    """Whether an edit changes nothing; `apply` refuses those."""
    node: Any = functools.reduce(getattr, path.split("."), start)
    return bool(node == value)


def models(height: int = 0, width: int = 0, positions: str = "bicubic") -> tuple[AlbefBackbone, AlbefBackbone]:
    """The model and its momentum copy, loaded as a run loads them, in evaluation mode."""
    vocabulary = Vocabulary(settings()["text"]["vocab_size"], settings()["special_tokens"]["sep"])
    model, copies = initial_models(config(height, width, positions), vocabulary)
    assert isinstance(model, AlbefBackbone) and isinstance(copies, AlbefBackbone)
    return model.eval(), copies.eval()


def assert_equals_reference(value: Tensor, name: str) -> None:
    torch.testing.assert_close(value.detach(), reference()[name], atol=ATOL, rtol=RTOL, msg=lambda m: f"{name}: {m}")


def assert_gradient_equals(gradient: Tensor, expected: Tensor, name: str) -> None:
    """Equal up to 1e-4 of the largest entry, the tolerance that the fixture's README derives from rounding."""
    limit = RTOL * float(expected.abs().max()) + ATOL
    torch.testing.assert_close(gradient, expected, atol=limit, rtol=0, msg=lambda m: f"{name}: {m}")


def published_gradients(model: AlbefBackbone) -> Weights:
    """Gradients by our parameter names; that of log(tau) is converted to that of tau: d/dtau = d/dlog(tau) / tau."""
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    gradients["log_tau"] = gradients["log_tau"] / model.tau.detach()
    return gradients


@pytest.fixture(scope="module")
def forward() -> tuple[AlbefBackbone, Weights]:
    """Outputs that need neither queues nor momentum; their gradients are in the model."""
    model, inputs = models()[0], reference()
    tokens, masked, labels = inputs["input_ids"], inputs["mlm_input_ids"], inputs["mlm_labels"]
    image, text = model.encode_image(inputs["images"]), model.encode_text(tokens)
    next_row = torch.arange(len(tokens)).roll(-1)
    fuse = model.text_encoder.fuse
    outputs = {"image_embeds": image.states, "image_feat": image.embedding}
    outputs |= {"text_embeds": text.states, "text_feat": text.embedding}
    outputs["fusion_embeds"] = fuse(text.states, tokens, image.states)
    outputs["fusion_embeds_neg"] = fuse(text.states, tokens, image.states[next_row])
    outputs["itm_logits"] = model.match(image.states, text.states, tokens)
    outputs["itm_logits_neg"] = model.match(image.states[next_row], text.states, tokens)
    all_positions = torch.ones_like(tokens, dtype=torch.bool)
    outputs["mlm_logits"] = model.predict_tokens(masked, image.states, all_positions).unflatten(0, tokens.shape)
    outputs["sim_i2t"] = image.embedding @ text.embedding.T / model.tau
    diagonal = torch.arange(len(tokens))
    outputs["itc_loss"] = (
        F.cross_entropy(outputs["sim_i2t"], diagonal) + F.cross_entropy(outputs["sim_i2t"].T, diagonal)
    ) / 2
    itm = torch.cat((outputs["itm_logits"], outputs["itm_logits_neg"]))
    outputs["itm_loss"] = F.cross_entropy(itm, inputs["itm_labels"])
    masked_positions = labels != -100
    masked_logits = model.predict_tokens(masked, image.states, masked_positions)
    outputs["mlm_loss"] = F.cross_entropy(masked_logits, labels[masked_positions])
    outputs["total_loss"] = outputs["itc_loss"] + outputs["itm_loss"] + outputs["mlm_loss"]
    outputs["total_loss"].backward()
    return model, outputs


PLAIN = [
    "image_embeds",
    "image_feat",
    "text_embeds",
    "text_feat",
    "fusion_embeds",
    "fusion_embeds_neg",
    "itm_logits",
    "itm_logits_neg",
    "mlm_logits",
    "sim_i2t",
    "itc_loss",
    "itm_loss",
    "mlm_loss",
    "total_loss",
]


@pytest.mark.parametrize("name", PLAIN)
def test_outputs_equal_the_reference(forward: tuple[AlbefBackbone, Weights], name: str) -> None:
    assert_equals_reference(forward[1][name], name)


def test_gradients_equal_the_reference(forward: tuple[AlbefBackbone, Weights]) -> None:
    gradients = published_gradients(forward[0])
    expected = {name.removeprefix("grad/"): value for name, value in reference().items() if name.startswith("grad/")}
    assert expected
    for name, gradient in expected.items():
        assert_gradient_equals(gradients[our_name(name)], gradient, name)


def test_gradient_norms_of_all_parameters_equal_the_reference(forward: tuple[AlbefBackbone, Weights]) -> None:
    gradients = published_gradients(forward[0])
    zero = {our_name(name) for name in settings()["zero_gradient_parameters"]}
    norms = {our_name(name): norm for name, norm in settings()["grad_norms"].items()}
    assert set(norms) == set(gradients)
    for name, expected in norms.items():
        norm = float(gradients[name].norm())
        # A key bias shifts all attention scores of a row equally, so its exact gradient is zero: only rounding is left.
        assert norm < 1e-3 if name in zero else norm == pytest.approx(expected, rel=RTOL, abs=ATOL), name


def select_negatives_by_argmax(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Select hard negatives by the arg max of their weights, as the reference does; returns the selections."""
    negatives: list[Tensor] = []

    def argmax(weights: Tensor, count: int, generator: torch.Generator) -> Tensor:
        assert count == 1
        negatives.append(weights.argmax(1))
        return negatives[-1][:, None]

    monkeypatch.setattr(torch, "multinomial", argmax)
    return negatives


def objective_and_batch(identities: Tensor) -> tuple[AlbefObjective, PairBatch]:
    """The objective in the checkpoint's state, with its queues and pointer, and the fixture's batch."""
    model, copies = models()
    node = config().pretrain.objective
    assert isinstance(node, MomentumDistillation)
    objective = AlbefObjective(node, config(), None, model, copies)  # type: ignore[arg-type]  # no loader
    weights = read_checkpoint(checkpoint()).weights
    for bank, queue in ((objective.images, "image_queue"), (objective.texts, "text_queue")):
        bank.embeddings.copy_(weights[queue].T)
        bank.pointer.copy_(weights["queue_ptr"][0])
        bank.count.fill_(len(bank.embeddings))
    rows = torch.arange(len(identities))
    return objective, PairBatch(reference()["images"], reference()["input_ids"], identities, rows, rows)


def test_pretraining_step_equals_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """One step of ALBEF's pre-training class: every pair has its own identity, and none is in the queues."""
    expected, alpha, negatives = reference(), settings()["alpha"], select_negatives_by_argmax(monkeypatch)
    objective, pairs = objective_and_batch(torch.arange(len(reference()["images"])))
    online, momentum, contrastive = objective.contrastive(pairs, alpha)
    matching = objective.matching(pairs, online, momentum, torch.Generator())
    masked = expected["mlm_labels"] != -100
    mlm = objective.mlm(online, momentum, expected["mlm_input_ids"], masked, pairs.tokens, alpha)
    for loss, name in ((contrastive, "ita"), (matching, "itm"), (mlm, "mlm")):
        assert_equals_reference(loss, f"pretrain_step/loss_{name}")
    text_for_image, image_for_text = negatives
    assert torch.equal(image_for_text, expected["pretrain_step/neg_image_for_text"])
    assert torch.equal(text_for_image, expected["pretrain_step/neg_text_for_image"])
    assert_equals_reference(objective.images.embeddings.T, "pretrain_step/image_queue_after")
    assert_equals_reference(objective.texts.embeddings.T, "pretrain_step/text_queue_after")
    assert int(objective.images.pointer) == int(expected["pretrain_step/queue_ptr_after"])
    momentum_state = objective.teacher.model().state_dict()
    after = "pretrain_step/momentum_after/"
    for name, value in ((n.removeprefix(after), v) for n, v in expected.items() if n.startswith(after)):
        state = momentum_state[our_name(re.sub(r"^(\w+?)_m\.", r"\1.", name))]
        torch.testing.assert_close(state, value, atol=ATOL, rtol=RTOL)
    (contrastive + matching + mlm).backward()
    gradients = published_gradients(objective.model)
    for name, value in expected.items():
        if name.startswith("pretrain_step/grad/"):
            assert_gradient_equals(gradients[our_name(name.removeprefix("pretrain_step/grad/"))], value, name)


def test_retrieval_step_equals_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """One step of ALBEF's fine-tuning class: one identity occurs twice in the batch, and in the queues."""
    expected, negatives = reference(), select_negatives_by_argmax(monkeypatch)
    objective, pairs = objective_and_batch(expected["retrieval_step/idx"])
    for bank in (objective.images, objective.texts):
        bank.identities.copy_(expected["retrieval_step/idx_queue_before"][0])
    online, momentum, contrastive = objective.contrastive(pairs, settings()["alpha"])
    assert_equals_reference(contrastive, "retrieval_step/loss_ita")
    assert_equals_reference(objective.matching(pairs, online, momentum, torch.Generator()), "retrieval_step/loss_itm")
    text_for_image, image_for_text = negatives
    assert torch.equal(image_for_text, expected["retrieval_step/neg_image_for_text"])
    assert torch.equal(text_for_image, expected["retrieval_step/neg_text_for_image"])
    assert torch.equal(objective.texts.identities[None], expected["retrieval_step/idx_queue_after"])
    assert int(objective.texts.pointer) == int(expected["retrieval_step/queue_ptr_after"])


def test_retrieval_step_without_distillation_equals_the_reference() -> None:
    objective, pairs = objective_and_batch(reference()["retrieval_step/idx"])
    for bank in (objective.images, objective.texts):
        bank.identities.copy_(reference()["retrieval_step/idx_queue_before"][0])
    assert_equals_reference(objective.contrastive(pairs, 0.0)[2], "retrieval_step/loss_ita_no_distill")


def resized() -> Iterator[tuple[int, int, str, str]]:
    """(height, width, mode, name) of every resized position embedding in the fixture."""
    for name in reference():
        match = re.fullmatch(r"interp/pos_embed_(\d+)x(\d+)(?:_(bicubic|bilinear))?", name)
        if match:
            yield int(match[1]), int(match[2]), match[3] or "bicubic", name


@pytest.mark.parametrize(("height", "width", "mode", "name"), list(resized()))
def test_resized_position_embeddings_equal_the_reference(height: int, width: int, mode: str, name: str) -> None:
    model = models(height, width, mode)[0]
    assert_equals_reference(model.visual_encoder.pos_embed, name)
    states = name.replace("pos_embed", "image_embeds")
    if states in reference():
        assert_equals_reference(model.visual_encoder(reference()[f"interp/images_{height}x{width}"]), states)


def test_every_tensor_of_the_reference_is_compared() -> None:
    inputs = {"images", "input_ids", "attention_mask", "mlm_input_ids", "mlm_labels", "itm_labels"}
    compared = {*PLAIN, *(name for *_, name in resized())}
    families = ("grad/", "pretrain_step/", "retrieval_step/", "interp/image")
    assert not {n for n in reference() if n not in inputs | compared and not n.startswith(families)}


def test_padding_positions_are_those_that_the_reference_masks() -> None:
    assert torch.equal(reference()["input_ids"] != 0, reference()["attention_mask"].bool())


def test_momentum_copies_differ_from_the_online_weights() -> None:
    weights = read_checkpoint(checkpoint()).weights
    copies = momentum_copies(weights)
    name = "visual_encoder.blocks.0.attn.qkv.weight"
    assert torch.equal(copies[name], weights[name.replace("encoder.", "encoder_m.", 1)])
    assert not torch.equal(copies[name], weights[name])
    assert torch.equal(copies["itm_head.weight"], weights["itm_head.weight"])
    model, momentum_model = models()
    assert not torch.equal(model.vision_proj.weight, momentum_model.vision_proj.weight)


def test_resizing_to_the_same_grid_changes_nothing() -> None:
    positions = torch.randn(1, 7, 4)
    torch.testing.assert_close(resize_positions(positions, (3, 2), (3, 2), "bicubic"), positions)
