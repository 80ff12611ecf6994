"""The target side of eq. 8: the student's distributions over the target banks follow targets."""

from __future__ import annotations

import torch
from torch import Tensor

from gckd.distill.targets import Direction, Targets
from gckd.model.losses import soft_cross_entropy


class FollowTargets:
    """Cross-entropy of the student's distributions over Q_TT and Q_TI to targets, the mean of both."""

    def __init__(self, targets: Targets) -> None:
        self.targets = targets

    def __call__(self, image: Direction, text: Direction, tau: Tensor) -> dict[str, Tensor]:
        loss = tau.new_zeros(())
        for student, side in (image, text):
            with torch.no_grad():
                wanted = self.targets(side, float(tau))
            loss = loss + soft_cross_entropy(student @ side.banks.keys.embeddings.T / tau, wanted) / 2
        return {"target_contrastive": loss}
