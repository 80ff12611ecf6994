"""What makes source and target embeddings look alike: the protocol, and the object that stands for its absence."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor


class Compared(NamedTuple):
    """The student's embeddings of one domain's batch, [B, d] each: unit vectors in the space they are compared in."""

    image: Tensor
    text: Tensor


class Alignment(Protocol):
    """Loss terms of the domains' difference; `progress` in [0, 1) is the share of adaptation that is done."""

    def __call__(self, source: Compared, target: Compared, progress: float) -> dict[str, Tensor]: ...


class NoAlignmentTerm:
    """The domains are not aligned."""

    def __call__(self, source: Compared, target: Compared, progress: float) -> dict[str, Tensor]:
        return {}
