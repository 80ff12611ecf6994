"""Message passing over the four banks (GMP, eq. 3-4): on embeddings, on pseudo similarities, or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from torch import Tensor

from gckd.config.component import PropagationConfig
from gckd.config.graph import Clusters, Diffusion, Gnn, NoPropagation
from gckd.config.registry import Registry
from gckd.graph.bank_graphs import BankGraphs, PerBankTensors, bank_graphs
from gckd.graph.clustered import ClusteredSimilarity
from gckd.graph.similarity import DiffusedSimilarity, DirectSimilarity, Similarity


class EmbeddingPropagation(Protocol):
    """Message passing on the embeddings of the four banks Q_SI, Q_ST, Q_TI and Q_TT."""

    def __call__(self, banks: PerBankTensors, positions: PerBankTensors) -> Sequence[Tensor]:
        """Propagated unit embeddings [B, d] of some entries of each bank.

        Args:
            banks: unit embeddings [N, d] per bank.
            positions: indices [B] of the entries per bank.
        """
        ...

    def join(self, banks: PerBankTensors, bank: int, items: Tensor) -> Tensor:
        """Propagated unit embeddings of items that are in no bank; each joins the graph of bank number `bank` alone.

        Items receive messages and send none, so that no item changes the embedding of another.

        Shapes:
            items [n, d], unit vectors -> [n, d].
        """
        ...


class BankPropagation(NamedTuple):
    """Message passing of one kind (slot `graph.propagate`); what it does not change passes through."""

    embeddings: EmbeddingPropagation
    similarity: Similarity  # of propagated queries and the target bank of the other modality


# The argument is the embedding width d.
PROPAGATIONS: Registry[PropagationConfig, BankPropagation, int] = Registry(PropagationConfig)


@PROPAGATIONS.register(Gnn)
def _on_embeddings(node: Gnn, width: int) -> BankPropagation:
    return BankPropagation(bank_graphs(node, width), DirectSimilarity())


@PROPAGATIONS.register(Diffusion)
def _on_similarities(node: Diffusion, width: int) -> BankPropagation:
    return BankPropagation(BankGraphs(), DiffusedSimilarity(node))


@PROPAGATIONS.register(Clusters)
def _over_clusters(node: Clusters, width: int) -> BankPropagation:
    return BankPropagation(BankGraphs(), ClusteredSimilarity(node))


@PROPAGATIONS.register(NoPropagation)
def _no_propagation(node: NoPropagation, width: int) -> BankPropagation:
    return BankPropagation(BankGraphs(), DirectSimilarity())


def propagate_bank(propagate: EmbeddingPropagation, banks: PerBankTensors, bank: int, positions: Tensor) -> Tensor:
    """Propagated unit embeddings [B, d] of the entries at `positions` [B] of bank number `bank` alone."""
    empty = positions[:0]
    return propagate(banks, [positions if number == bank else empty for number in range(len(banks))])[bank]
