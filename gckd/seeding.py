"""Random number streams as functions of (seed, stream, step), so that a resumed run draws what it would have drawn."""

from __future__ import annotations

import hashlib

import torch


def derived_seed(seed: int, stream: str, step: int = 0) -> int:
    """A 63-bit seed for one purpose (`stream`) at one step. It is a hash, so different streams do not overlap."""
    text = f"{seed}/{stream}/{step}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def generator(seed: int, stream: str, step: int = 0) -> torch.Generator:
    """Generator for `(seed, stream, step)` on the default device. CPU and CUDA generators draw different numbers."""
    return torch.Generator(torch.get_default_device()).manual_seed(derived_seed(seed, stream, step))
