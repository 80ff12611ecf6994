"""Random unit vectors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def units(count: int, width: int = 4, seed: int = 0) -> Tensor:
    """Random unit vectors [count, width], float64."""
    random = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(count, width, generator=random, dtype=torch.float64), dim=1)
