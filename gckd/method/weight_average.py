"""Average of the weights of the source model and the student."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from gckd.method.teacher import unique_tensors


class WeightAverage(nn.Module):
    """Weights that are evaluated in place of the student's: an average with those of the source model.

        Theta = share Theta_0 + (1 - share) Theta_S

    Theta_0 are the student's parameters and buffers at the start of adaptation, Theta_S its present ones. Integer
    buffers are the student's. Not in the paper; source: WiSE-FT (Wortsman et al., CVPR 2022).

    Args:
        student: the model at the start of adaptation.
        share: in (0, 1).
    """

    def __init__(self, student: nn.Module, share: float) -> None:
        super().__init__()
        self.share = share
        self.start = copy.deepcopy(student).eval().requires_grad_(False)

    @contextmanager
    def applied(self, student: nn.Module) -> Iterator[None]:
        """Give the student the averaged weights, and its own ones back afterwards, bit for bit."""
        own = [tensor.detach().clone() for tensor in unique_tensors(student)]
        self.apply_to(student)
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(unique_tensors(student), own)

    @torch.no_grad()
    def apply_to(self, student: nn.Module) -> None:
        """Replace the student's weights by the average."""
        pairs = zip(unique_tensors(student), unique_tensors(self.start), strict=True)
        averaged = [(own, start) for own, start in pairs if own.is_floating_point()]
        torch._foreach_lerp_([own for own, _ in averaged], [start for _, start in averaged], self.share)
