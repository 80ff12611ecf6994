"""What test embeddings go through before they are ranked: the run's graph, or nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from gckd.train.evaluate import Join, as_they_are
from gckd.train.parts import Parts


def joined(parts: Parts) -> Join:
    """`evaluate.propagate`: each test item is joined, by itself, to the graph over the banks as the run left them.

    Inductive, as in GraphSAGE (Hamilton et al., NIPS 2017): the item receives from its K nearest bank entries, and from
    their neighbours through them. It sends nothing, so that no test item has a part in another one's embedding. Ours.
    """
    if not parts.config.evaluate.propagate:
        return as_they_are
    views = parts.banks.space(parts.config.centre).views

    @torch.no_grad()
    def join(bank: int, embeddings: Tensor) -> Tensor:
        return parts.propagate.join(views, bank, embeddings)

    return join
