"""One forward pass of an encoder for several batches: on a GPU, fewer and larger kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.models.base import Encoded


def joins_passes(like: Tensor) -> bool:
    """Whether the batches of a step are encoded together: on the device of `like`, if that is a GPU.

    The CPU would gain nothing, and its results would change.
    """
    return like.is_cuda


def joined(batches: Sequence[Tensor]) -> Tensor:
    """Batches of images [B, 3, H, W] or of tokens [B, L] as one batch; tokens are padded to the longest L."""
    if batches[0].ndim == 2:
        longest = max(tokens.shape[1] for tokens in batches)
        batches = [F.pad(tokens, (0, longest - tokens.shape[1])) for tokens in batches]
    return torch.cat(list(batches))


def joined_states(batches: Sequence[Tensor]) -> Tensor:
    """States of texts [B, L, width] of several batches as one batch, padded with zeros to the longest L."""
    longest = max(states.shape[1] for states in batches)
    return torch.cat([F.pad(states, (0, 0, 0, longest - states.shape[1])) for states in batches])


def embed_jointly(embed: Callable[[Tensor], Tensor], batches: Sequence[Tensor]) -> list[Tensor]:
    """Embeddings [B, d] of several batches of images, or of tokens, by one pass."""
    return list(embed(joined(batches)).split([len(batch) for batch in batches]))


def encode_jointly(encode: Callable[[Tensor], Encoded], batches: Sequence[Tensor]) -> list[Encoded]:
    """Encodings of several batches of images, or of tokens, by one pass. They differ by rounding from separate passes.

    With dropout, the random numbers differ as well.
    """
    sizes = [len(batch) for batch in batches]
    states, embeddings = encode(joined(batches))
    encoded = zip(states.split(sizes), embeddings.split(sizes), strict=True)
    if batches[0].ndim == 2:  # without the states of the padding
        return [Encoded(s[:, : tokens.shape[1]], z) for (s, z), tokens in zip(encoded, batches, strict=True)]
    return [Encoded(s, z) for s, z in encoded]
