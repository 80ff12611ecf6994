"""Precision, recomputation and compilation change how a backbone is computed, not what."""

from __future__ import annotations

import copy
import shutil

import pytest
import torch
from torch import Tensor

from gckd.config.backbone import Albef, Compute, Text, Vision
from gckd.data.types import Vocabulary
from gckd.models.albef import AlbefBackbone
from gckd.models.base import InputSizes
from gckd.models.vision import ClipPixels


def model(compute: Compute, dropout: float = 0.0) -> AlbefBackbone:
    torch.manual_seed(0)
    vision = Vision(patch=8, stem="linear", width=32, depth=2, heads=2)
    text = Text(width=32, depth=1, fusion_depth=1, heads=2, dropout=dropout)
    config = Albef(vision=vision, text=text, embed_dim=16, compute=compute)
    return AlbefBackbone(config, InputSizes(Vocabulary(50, 3), height=32, width=16, max_tokens=12))


def outputs(of: AlbefBackbone) -> list[Tensor]:
    """What a step uses, and the gradients it leaves."""
    random = torch.Generator().manual_seed(1)
    images = torch.randn(6, 3, 32, 16, generator=random)
    tokens = torch.randint(5, 50, (6, 9), generator=random)
    tokens[3:, 6:] = 0
    torch.manual_seed(7)
    image, text = of.encode_image(images), of.encode_text(tokens)
    logits = of.match(image.states, text.states, tokens)
    words = of.predict_tokens(tokens, image.states, tokens > 20)
    loss = (image.embedding * text.embedding).sum() + logits.square().sum() + words.square().mean()
    loss.backward()
    gradients = [p.grad.clone() for p in of.parameters() if p.grad is not None]
    return [image.embedding, text.embedding, logits, words, *gradients]


def test_recomputing_layers_gives_the_same_numbers() -> None:
    """Dropout too: the backward pass draws it again as it was."""
    plain, frugal = (outputs(model(Compute(checkpointing=on), dropout=0.3).train()) for on in (False, True))
    for one, two in zip(plain, frugal, strict=True):
        torch.testing.assert_close(one, two)


def test_recomputing_layers_keeps_fewer_activations() -> None:
    kept = []
    for on in (False, True):
        sizes: list[int] = []

        def note(tensor: Tensor, sizes: list[int] = sizes) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            model(Compute(checkpointing=on)).encode_image(torch.randn(6, 3, 32, 16))
        kept.append(sum(sizes))
    assert kept[1] < kept[0] / 2


def test_bf16_is_close_and_hands_on_float32() -> None:
    plain, half = outputs(model(Compute())), outputs(model(Compute(precision="bf16")))
    assert all(tensor.dtype == torch.float32 for tensor in half)
    for one, two in zip(plain[:3], half[:3], strict=True):
        assert not torch.equal(one, two)
        torch.testing.assert_close(one, two, atol=0.05, rtol=0.05)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU")
def test_compiled_layers_give_the_same_numbers_and_names() -> None:
    plain, compiled = model(Compute()), model(Compute(compile=True))
    assert plain.state_dict().keys() == compiled.state_dict().keys()
    for one, two in zip(outputs(plain), outputs(compiled), strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)
    # The teacher is a deep copy of the student.
    for one, two in zip(outputs(copy.deepcopy(compiled))[:2], outputs(plain)[:2], strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)


def test_pixels_as_clip_s_images_were_normalised() -> None:
    mean, deviation = (
        torch.tensor([0.48145466, 0.4578275, 0.40821073]),
        torch.tensor([0.26862954, 0.26130258, 0.27577711]),
    )
    grey = torch.full((1, 3, 2, 2), 0.5)  # 0.75 of [0, 1]
    expected = ((0.75 - mean) / deviation).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    torch.testing.assert_close(ClipPixels()(grey), expected)
