"""Number for number against the public ALBEF: reference values that its own code computed, in GCKD_ALBEF_FIXTURE.

Sizes, batch and lengths come from that folder's `config.json`; its README says how the values were made.
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
from gckd.config.train import MomentumDistillation
from gckd.data.types import Vocabulary
from gckd.models.albef import AlbefModel
from gckd.models.build import starting_models
from gckd.models.vision import resize_positions
from gckd.models.weights import Weights, momentum_copies, our_name, read_weights
from gckd.training.albef_objective import Momentum, Pairs

FOLDER = Path(os.environ.get("GCKD_ALBEF_FIXTURE", Path(__file__).parents[3] / "shared" / "fixtures" / "albef"))
pytestmark = pytest.mark.skipif(
    not (FOLDER / "reference.safetensors").is_file(),
    reason=f"no ALBEF reference values at {FOLDER} (GCKD_ALBEF_FIXTURE names their folder)",
)
ATOL, RTOL = 1e-5, 1e-4


@functools.cache
def facts() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "config.json").read_text())
    return found


@functools.cache
def reference() -> Weights:
    return safetensors.torch.load_file(FOLDER / "reference.safetensors")


@functools.cache
def checkpoint() -> Path:
    (path,) = FOLDER.glob("*.pth")
    return path


def config(height: int = 0, width: int = 0, positions: str = "bicubic") -> Config:
    """The fixture's sizes as a config; images of its own size unless another is given."""
    vision, text, joint = facts()["vision"], facts()["text"], facts()["embed_dim"]
    sizes = {
        "data.height": height or vision["image_res"],
        "data.width": width or vision["image_res"],
        "data.max_tokens": text["max_position_embeddings"],
        "backbone.vision.patch": vision["patch_size"],
        "backbone.vision.stem": "linear",
        "backbone.vision.width": vision["embed_dim"],
        "backbone.vision.depth": vision["depth"],
        "backbone.vision.heads": vision["num_heads"],
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
            queue=facts()["queue_size"], m=facts()["momentum"], alpha=facts()["alpha"]
        ),
        "pretrain.batch": facts()["batch_size"],
    }
    start = Config()
    flat = {path: value for path, value in sizes.items() if not _is(start, path, value)}
    return apply(start, flat)


def _is(start: Config, path: str, value: object) -> bool:
    """An edit that changes nothing is refused."""
    node: Any = functools.reduce(getattr, path.split("."), start)
    return bool(node == value)


def models(height: int = 0, width: int = 0, positions: str = "bicubic") -> tuple[AlbefModel, AlbefModel]:
    """The model and its momentum copy, through the real loading path, in evaluation mode."""
    vocabulary = Vocabulary(facts()["text"]["vocab_size"], facts()["special_tokens"]["sep"])
    model, copies = starting_models(config(height, width, positions), vocabulary)
    assert isinstance(model, AlbefModel) and isinstance(copies, AlbefModel)
    return model.eval(), copies.eval()


def close(found: Tensor, name: str) -> None:
    torch.testing.assert_close(found.detach(), reference()[name], atol=ATOL, rtol=RTOL, msg=lambda m: f"{name}: {m}")


def gradient_close(found: Tensor, expected: Tensor, name: str) -> None:
    """Within 1e-4 of the largest entry, as the fixture's README measures rounding."""
    limit = RTOL * float(expected.abs().max()) + ATOL
    torch.testing.assert_close(found, expected, atol=limit, rtol=0, msg=lambda m: f"{name}: {m}")


def published_gradients(model: AlbefModel) -> Weights:
    """Gradients by our names, the temperature's as that of `temp`: d/d temp = d/d log(temp) / temp."""
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    found["log_tau"] = found["log_tau"] / model.tau.detach()
    return found


@pytest.fixture(scope="module")
def forward() -> tuple[AlbefModel, Weights]:
    """Everything that is computed without queues and momentum, and its gradients left in the model."""
    model, given = models()[0], reference()
    tokens, masked, labels = given["input_ids"], given["mlm_input_ids"], given["mlm_labels"]
    image, text = model.encode_image(given["images"]), model.encode_text(tokens)
    others = torch.arange(len(tokens)).roll(-1)
    fuse = model.text_encoder.fuse
    found = {"image_embeds": image.states, "image_feat": image.embedding}
    found |= {"text_embeds": text.states, "text_feat": text.embedding}
    found["fusion_embeds"] = fuse(text.states, tokens, image.states)
    found["fusion_embeds_neg"] = fuse(text.states, tokens, image.states[others])
    found["itm_logits"] = model.match(image.states, text.states, tokens)
    found["itm_logits_neg"] = model.match(image.states[others], text.states, tokens)
    everywhere = torch.ones_like(tokens, dtype=torch.bool)
    found["mlm_logits"] = model.predict_tokens(masked, image.states, everywhere).unflatten(0, tokens.shape)
    found["sim_i2t"] = image.embedding @ text.embedding.T / model.tau
    diagonal = torch.arange(len(tokens))
    found["itc_loss"] = (
        F.cross_entropy(found["sim_i2t"], diagonal) + F.cross_entropy(found["sim_i2t"].T, diagonal)
    ) / 2
    itm = torch.cat((found["itm_logits"], found["itm_logits_neg"]))
    found["itm_loss"] = F.cross_entropy(itm, given["itm_labels"])
    chosen = labels != -100
    at_chosen = model.predict_tokens(masked, image.states, chosen)
    found["mlm_loss"] = F.cross_entropy(at_chosen, labels[chosen])
    found["total_loss"] = found["itc_loss"] + found["itm_loss"] + found["mlm_loss"]
    found["total_loss"].backward()
    return model, found


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
def test_forward(forward: tuple[AlbefModel, Weights], name: str) -> None:
    close(forward[1][name], name)


def test_gradients(forward: tuple[AlbefModel, Weights]) -> None:
    found = published_gradients(forward[0])
    given = {name.removeprefix("grad/"): value for name, value in reference().items() if name.startswith("grad/")}
    assert given
    for name, expected in given.items():
        gradient_close(found[our_name(name)], expected, name)


def test_gradient_norms_of_every_parameter(forward: tuple[AlbefModel, Weights]) -> None:
    found = published_gradients(forward[0])
    zero = {our_name(name) for name in facts()["zero_gradient_parameters"]}
    norms = {our_name(name): norm for name, norm in facts()["grad_norms"].items()}
    assert set(norms) == set(found)
    for name, norm in norms.items():
        size = float(found[name].norm())
        # A key bias moves all of a row's scores alike, so only rounding is left of its gradient.
        assert size < 1e-3 if name in zero else size == pytest.approx(norm, rel=RTOL, abs=ATOL), name


def argmax_for_draw(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The reference took each hard negative as the arg max of its sampling weights; returns what was taken."""
    taken: list[Tensor] = []

    def largest(weights: Tensor, count: int, generator: torch.Generator) -> Tensor:
        assert count == 1
        taken.append(weights.argmax(1))
        return taken[-1][:, None]

    monkeypatch.setattr(torch, "multinomial", largest)
    return taken


def started(identities: Tensor) -> tuple[Momentum, Pairs]:
    """The objective at the checkpoint's state, queues and pointer included, and the fixture's batch."""
    model, copies = models()
    node = config().pretrain.objective
    assert isinstance(node, MomentumDistillation)
    objective = Momentum(node, config(), None, model, copies)  # type: ignore[arg-type]  # fed by hand
    raw = read_weights(checkpoint())
    for bank, queue in ((objective.images, "image_queue"), (objective.texts, "text_queue")):
        bank.embeddings.copy_(raw[queue].T)
        bank.pointer.copy_(raw["queue_ptr"][0])
        bank.count.fill_(len(bank.embeddings))
    rows = torch.arange(len(identities))
    return objective, Pairs(reference()["images"], reference()["input_ids"], identities, rows, rows)


def test_pretraining_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """One step of the pre-training class: every pair its own identity, none of them in the queues."""
    given, alpha, taken = reference(), facts()["alpha"], argmax_for_draw(monkeypatch)
    objective, pairs = started(torch.arange(len(reference()["images"])))
    online, momentum, contrastive = objective.contrastive(pairs, alpha)
    matching = objective.matching(pairs, online, momentum, torch.Generator())
    chosen = given["mlm_labels"] != -100
    mlm = objective.mlm(online, momentum, given["mlm_input_ids"], chosen, pairs.tokens, alpha)
    for loss, name in ((contrastive, "ita"), (matching, "itm"), (mlm, "mlm")):
        close(loss, f"pretrain_step/loss_{name}")
    text_for_image, image_for_text = taken
    assert torch.equal(image_for_text, given["pretrain_step/neg_image_for_text"])
    assert torch.equal(text_for_image, given["pretrain_step/neg_text_for_image"])
    close(objective.images.embeddings.T, "pretrain_step/image_queue_after")
    close(objective.texts.embeddings.T, "pretrain_step/text_queue_after")
    assert int(objective.images.pointer) == int(given["pretrain_step/queue_ptr_after"])
    copies = objective.teacher.model().state_dict()
    after = "pretrain_step/momentum_after/"
    for name, expected in ((n.removeprefix(after), v) for n, v in given.items() if n.startswith(after)):
        found = copies[our_name(re.sub(r"^(\w+?)_m\.", r"\1.", name))]
        torch.testing.assert_close(found, expected, atol=ATOL, rtol=RTOL)
    (contrastive + matching + mlm).backward()
    gradients = published_gradients(objective.model)
    for name, expected in given.items():
        if name.startswith("pretrain_step/grad/"):
            gradient_close(gradients[our_name(name.removeprefix("pretrain_step/grad/"))], expected, name)


def test_retrieval_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """One step of the fine-tuning class: one identity twice in the batch, others of it in the queues."""
    given, taken = reference(), argmax_for_draw(monkeypatch)
    objective, pairs = started(given["retrieval_step/idx"])
    for bank in (objective.images, objective.texts):
        bank.identities.copy_(given["retrieval_step/idx_queue_before"][0])
    online, momentum, contrastive = objective.contrastive(pairs, facts()["alpha"])
    close(contrastive, "retrieval_step/loss_ita")
    close(objective.matching(pairs, online, momentum, torch.Generator()), "retrieval_step/loss_itm")
    text_for_image, image_for_text = taken
    assert torch.equal(image_for_text, given["retrieval_step/neg_image_for_text"])
    assert torch.equal(text_for_image, given["retrieval_step/neg_text_for_image"])
    assert torch.equal(objective.texts.identities[None], given["retrieval_step/idx_queue_after"])
    assert int(objective.texts.pointer) == int(given["retrieval_step/queue_ptr_after"])


def test_retrieval_step_without_distillation() -> None:
    objective, pairs = started(reference()["retrieval_step/idx"])
    for bank in (objective.images, objective.texts):
        bank.identities.copy_(reference()["retrieval_step/idx_queue_before"][0])
    close(objective.contrastive(pairs, 0.0)[2], "retrieval_step/loss_ita_no_distill")


def resized() -> Iterator[tuple[int, int, str, str]]:
    """(height, width, mode, name) of every resized position embedding that the fixture holds."""
    if pytestmark.args[0]:
        return
    for name in reference():
        match = re.fullmatch(r"interp/pos_embed_(\d+)x(\d+)(?:_(bicubic|bilinear))?", name)
        if match:
            yield int(match[1]), int(match[2]), match[3] or "bicubic", name


@pytest.mark.parametrize(("height", "width", "mode", "name"), list(resized()))
def test_position_embeddings(height: int, width: int, mode: str, name: str) -> None:
    model = models(height, width, mode)[0]
    close(model.visual_encoder.pos_embed, name)
    states = name.replace("pos_embed", "image_embeds")
    if states in reference():
        close(model.visual_encoder(reference()[f"interp/images_{height}x{width}"]), states)


def test_every_tensor_of_the_reference_is_compared() -> None:
    inputs = {"images", "input_ids", "attention_mask", "mlm_input_ids", "mlm_labels", "itm_labels"}
    compared = {*PLAIN, *(name for *_, name in resized())}
    families = ("grad/", "pretrain_step/", "retrieval_step/", "interp/image")
    rest = {n for n in reference() if n not in inputs | compared and not n.startswith(families)}
    assert not rest


def test_padding_is_where_the_reference_masks() -> None:
    assert torch.equal(reference()["input_ids"] != 0, reference()["attention_mask"].bool())


def test_momentum_copies_are_other_weights() -> None:
    raw = read_weights(checkpoint())
    copies = momentum_copies(raw)
    name = "visual_encoder.blocks.0.attn.qkv.weight"
    assert torch.equal(copies[name], raw[name.replace("encoder.", "encoder_m.", 1)])
    assert not torch.equal(copies[name], raw[name])
    assert torch.equal(copies["itm_head.weight"], raw["itm_head.weight"])
    model, other = models()
    assert not torch.equal(model.vision_proj.weight, other.vision_proj.weight)


def test_resizing_to_the_same_grid_changes_nothing() -> None:
    positions = torch.randn(1, 7, 4)
    torch.testing.assert_close(resize_positions(positions, (3, 2), (3, 2), "bicubic"), positions)
