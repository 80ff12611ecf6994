"""Maximum mean discrepancy between the domains."""

from __future__ import annotations

import torch
from torch import Tensor

from gckd.config.align import Mmd
from gckd.distill.align import Compared


class MmdTerm:
    """MMD^2 of source and target embeddings: the mean of both modalities' (`mmd2`).

    Source: Gretton et al., "A kernel two-sample test", JMLR 2012, eq. 3; several kernels after Long et al., "Learning
    transferable features with deep adaptation networks", ICML 2015. Ours: the kernels weigh alike instead of by
    learned weights, and the embeddings are those that retrieval compares (two modalities, without their domain's mean
    if so configured) instead of a classifier's last layers.
    """

    def __init__(self, config: Mmd) -> None:
        self.config = config

    def __call__(self, source: Compared, target: Compared, progress: float) -> dict[str, Tensor]:
        losses = [mmd2(x, y, self.config.kernels) for x, y in zip(source, target, strict=True)]
        return {"align": torch.stack(losses).mean()}


def mmd2(x: Tensor, y: Tensor, kernels: int) -> Tensor:
    """The unbiased estimate of MMD^2 of samples [n, d] and [m, d]; below 0 at times, 0 on average if they are alike.

    k(a, b) is the mean over i < `kernels` of exp(-|a - b|^2 / (2^(i - kernels // 2) s)), where s is the median of the
    squared distances in the pooled sample, a constant to the gradient.
    """
    pooled = torch.cat((x, y))
    length = pooled.square().sum(1)
    distance = (length[:, None] + length - 2 * pooled @ pooled.T).clamp(min=0)
    upper = torch.ones_like(distance, dtype=torch.bool).triu(1)
    median = distance.detach()[upper].median().clamp(min=torch.finfo(x.dtype).tiny)
    widths = [2.0 ** (i - kernels // 2) for i in range(kernels)]
    kernel = torch.stack([torch.exp(-distance / (width * median)) for width in widths]).mean(0)
    n, m = len(x), len(y)
    within_x = (kernel[:n, :n].sum() - kernel[:n, :n].trace()) / (n * (n - 1))
    within_y = (kernel[n:, n:].sum() - kernel[n:, n:].trace()) / (m * (m - 1))
    return within_x + within_y - 2 * kernel[:n, n:].mean()
