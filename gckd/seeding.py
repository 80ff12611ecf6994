"""Random streams that are functions of (seed, stream, step): a resumed run draws what the uninterrupted one drew."""

from __future__ import annotations

import hashlib

import torch


def derived_seed(seed: int, stream: str, step: int = 0) -> int:
    """A 63-bit seed for one purpose at one step; streams do not overlap for practical purposes."""
    text = f"{seed}/{stream}/{step}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def generator(seed: int, stream: str, step: int = 0) -> torch.Generator:
    """A generator for `(seed, stream, step)` on the default device; another kind of device draws other numbers."""
    return torch.Generator(torch.get_default_device()).manual_seed(derived_seed(seed, stream, step))
