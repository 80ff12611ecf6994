"""Compute options (precision, activation checkpointing, compilation) do not change the results of a backbone."""

from __future__ import annotations

import contextlib
import copy
import shutil
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from gckd.config.backbone import Albef, Compute, Text, Vision
from gckd.data.types import Vocabulary
from gckd.models.albef import AlbefBackbone
from gckd.models.base import InputSizes
from gckd.models.compute import reused_casts
from gckd.models.vision import ClipPixels


def build(compute: Compute, dropout: float = 0.0) -> AlbefBackbone:
    torch.manual_seed(0)
    vision = Vision(patch=8, stem="linear", width=32, depth=2, heads=2)
    text = Text(width=32, depth=1, fusion_depth=1, heads=2, dropout=dropout)
    config = Albef(vision=vision, text=text, embed_dim=16, compute=compute)
    return AlbefBackbone(config, InputSizes(Vocabulary(50, 3), height=32, width=16, max_tokens=12))


def outputs(model: AlbefBackbone) -> list[Tensor]:
    """Embeddings, logits and gradients of one training step."""
    random = torch.Generator().manual_seed(1)
    images = torch.randn(6, 3, 32, 16, generator=random)
    tokens = torch.randint(5, 50, (6, 9), generator=random)
    tokens[3:, 6:] = 0
    torch.manual_seed(7)
    image, text = model.encode_image(images), model.encode_text(tokens)
    logits = model.match(image.states, text.states, tokens)
    mlm_logits = model.predict_tokens(tokens, image.states, tokens > 20)
    loss = (image.embedding * text.embedding).sum() + logits.square().sum() + mlm_logits.square().mean()
    loss.backward()
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    return [image.embedding, text.embedding, logits, mlm_logits, *gradients]


def test_activation_checkpointing_gives_the_same_results() -> None:
    """Including dropout: the backward pass draws the same mask again."""
    default, checkpointed = (outputs(build(Compute(checkpointing=on), dropout=0.3).train()) for on in (False, True))
    for first, second in zip(default, checkpointed, strict=True):
        torch.testing.assert_close(first, second)


def test_activation_checkpointing_stores_fewer_activations() -> None:
    stored = []
    for on in (False, True):
        sizes: list[int] = []

        def record(tensor: Tensor, sizes: list[int] = sizes) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor):
            build(Compute(checkpointing=on)).encode_image(torch.randn(6, 3, 32, 16))
        stored.append(sum(sizes))
    assert stored[1] < stored[0] / 2


def test_bf16_results_are_close_and_in_float32() -> None:
    default, half = outputs(build(Compute())), outputs(build(Compute(precision="bf16")))
    assert all(tensor.dtype == torch.float32 for tensor in half)
    for first, second in zip(default[:3], half[:3], strict=True):
        assert not torch.equal(first, second)
        torch.testing.assert_close(first, second, atol=0.05, rtol=0.05)


def cast_gradients(text_passes: int, reuse: bool) -> tuple[int, Tensor]:
    """Casts of weights to bfloat16 in some passes of the text encoder, and the gradient of one weight."""
    model, tokens = build(Compute(precision="bf16")), torch.randint(5, 50, (6, 9))
    weight = model.text_encoder.layer[0].intermediate.dense.weight
    weights, casts = {tuple(p.shape) for p in model.parameters()}, 0

    class CastCounter(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal casts
            casts += function is torch.ops.aten._to_copy.default and tuple(args[0].shape) in weights
            return function(*args, **(kwargs or {}))

    with CastCounter(), reused_casts() if reuse else contextlib.nullcontext():
        with torch.no_grad():
            model.encode_text(tokens)
        casts = 0
        total = torch.stack([model.encode_text(tokens).embedding.sum() for _ in range(text_passes)]).sum()
    total.backward()
    assert weight.grad is not None
    return casts, weight.grad


def test_a_step_casts_each_weight_once() -> None:
    """The gradient is that of separate casts, also after a pass without gradients."""
    (one, _), (two, gradient), (reused, reused_gradient) = (
        cast_gradients(*a) for a in ((1, False), (2, False), (2, True))
    )
    assert two == 2 * one and reused == one > 0
    torch.testing.assert_close(reused_gradient, gradient, atol=1e-3, rtol=0.02)


def test_the_context_of_a_step_leaves_float32_as_it_is() -> None:
    separate = outputs(build(Compute()))
    with reused_casts():
        inside = outputs(build(Compute()))
    assert all(torch.equal(first, second) for first, second in zip(separate, inside, strict=True))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU")
def test_compiled_layers_give_the_same_results_and_names() -> None:
    default, compiled = build(Compute()), build(Compute(compile=True))
    assert default.state_dict().keys() == compiled.state_dict().keys()
    for first, second in zip(outputs(default), outputs(compiled), strict=True):
        torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-4)
    # The teacher is a deep copy of the student.
    for first, second in zip(outputs(copy.deepcopy(compiled))[:2], outputs(default)[:2], strict=True):
        torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-4)


def test_pixels_are_normalised_as_for_clip() -> None:
    mean, deviation = (
        torch.tensor([0.48145466, 0.4578275, 0.40821073]),
        torch.tensor([0.26862954, 0.26130258, 0.27577711]),
    )
    grey = torch.full((1, 3, 2, 2), 0.5)  # 0.75 of [0, 1]
    expected = ((0.75 - mean) / deviation).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    torch.testing.assert_close(ClipPixels()(grey), expected)
