"""How many directions embeddings use."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def effective_rank(embeddings: Tensor) -> float:
    """exp(entropy of the singular values over their sum) of embeddings [N, d]; in [1, d].

    Garrido et al., "RankMe: assessing the downstream performance of pretrained self-supervised representations by
    their rank", ICML 2023. Differs: no 1e-7 is added to the shares, as 0 log 0 = 0 here; embeddings of zero have 1.
    """
    values = singular_values(embeddings.double())
    shares = values / values.sum().clamp_min(torch.finfo(values.dtype).tiny)
    return math.exp(float(torch.special.entr(shares).sum()))


def singular_values(x: Tensor) -> Tensor:
    """Those of float64 x [a, b], from its smaller Gram matrix: several times quicker than an SVD, and symmetric.

    Squaring loses what is below 1e-8 of the largest.
    """
    gram = x @ x.T if len(x) <= x.shape[1] else x.T @ x
    values: Tensor = torch.linalg.eigvalsh(gram)
    return values.clamp_min(0).sqrt()
