"""Cosines of bank entries without their mean, in float64, and bounds on them after the mean has moved."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

BLOCK = 4096  # entries that exist in float64 at a time
MIN_DISTANCE = 1e-3  # distance of entries from their mean
ROUNDING = 1e-9  # more than the float64 rounding of a cosine or a limit, above this distance


class CentredCosine(NamedTuple):
    """Scalars from which the cosine of any two entries follows, given their dot product.

    cos_ij = (x_i . x_j - a_i - a_j + |mu|^2) / (n_i n_j),  a_i = x_i . mu,  n_i = |x_i - mu|
    """

    mean: Tensor  # mu, [d]
    a: Tensor  # [N]
    n: Tensor  # [N]

    @classmethod
    def of(cls, entries: Tensor, mean: Tensor) -> CentredCosine:
        """Scalars of entries [N, d] and their mean [d]."""
        mu = mean.double()
        blocks = (block.double() for block in entries.split(BLOCK))
        scalars = [(x @ mu, torch.linalg.vector_norm(x - mu, dim=1)) for x in blocks]
        return cls(mu, torch.cat([a for a, _ in scalars]), torch.cat([n for _, n in scalars]))

    def __call__(self, rows: Tensor, members: Tensor, dots: Tensor) -> Tensor:
        """Cosines of `rows` [n] and their members [n, W], from the dot products x_i . x_j [n, W]."""
        shifted = dots - self.a[members] + (self.mean.square().sum() - self.a[rows])[:, None]
        return shifted / (self.n[members] * self.n[rows][:, None])


def raised_limits(limits: Tensor, old: CentredCosine, new: CentredCosine, unchanged: Tensor) -> Tensor:
    """Limits [N] on the cosines with all `unchanged` [N] entries under a new mean, from the limits under the old one.

        cos'_ij = (n_i n_j cos_ij - p_i - p_j + |e|^2) / (n'_i n'_j),  e = mu' - mu,  p_i = (x_i - mu) . e

    Each term is bounded by its largest value over all unchanged entries j.
    """
    step = new.mean - old.mean
    p = new.a - old.a - old.mean @ step
    inverse = 1 / new.n
    ratio, inverses = (old.n * inverse)[unchanged], inverse[unchanged]
    scaled, shift = old.n * limits, step.square().sum() - p
    bound = torch.maximum(scaled * ratio.max(), scaled * ratio.min())
    bound += torch.maximum(shift * inverses.max(), shift * inverses.min())
    bound += (-p * inverse)[unchanged].max()
    return bound * inverse + ROUNDING
