"""Eq. 4 on pseudo similarities, against dense N x N matrices."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.config.graph import Diffusion
from gckd.graph import bank_softmax, similarity
from gckd.graph.bank_softmax import log_partitions
from gckd.graph.similarity import BankPair, DiffusedSimilarity, DirectSimilarity, RetrievalDirection
from gckd.method.pseudo_labels import PseudoLabels
from tests.dense import edge_weights
from tests.tensors import units

T = 0.2


def banks() -> tuple[Tensor, Tensor]:
    return units(50, 6, seed=1), units(70, 6, seed=2)


def config(layers: int = 2, residual: float = 0.3, **modalities: bool) -> Diffusion:
    return Diffusion(k=3, layers=layers, residual=residual, temperature=0.1, **modalities)


def edges(nodes: Tensor) -> Tensor:
    return edge_weights(nodes, config().edge_rule)


def dense(signal: Tensor, queries: Tensor, keys: Tensor, layers: int, r: float) -> Tensor:
    """L layers on the graph of the rows and on the graph of the columns, for all nodes."""
    for _ in range(layers):
        signal = r * signal + (1 - r) * edges(queries) @ signal
        signal = r * signal + (1 - r) * signal @ edges(keys).T
    return signal


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_equals_the_whole_graph(layers: int) -> None:
    queries, keys = banks()
    positions = torch.tensor([49, 3, 17, 30, 3])
    direction, scores = RetrievalDirection(queries[positions], positions, BankPair(queries, keys)), queries @ keys.T / T
    forward, backward = (dense(scores.softmax(dim), queries, keys, layers, 0.3)[positions] for dim in (1, 0))
    diffused = DiffusedSimilarity(config(layers))
    torch.testing.assert_close(diffused(direction, T, agree=False), forward)
    torch.testing.assert_close(diffused(direction, T, agree=True), forward * backward)


@pytest.mark.parametrize("agree", [True, False])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("images", [False, True])
def test_a_modality_without_a_graph(images: bool, reverse: bool, agree: bool) -> None:
    """Message passing among images only or among captions only, for queries of either modality."""
    both = BankPair(*banks())
    pair = both.reversed() if reverse else both
    queries, keys = pair.query_bank.embeddings, pair.key_bank.embeddings
    positions = torch.tensor([49, 3, 17, 30, 3])
    diffused = DiffusedSimilarity(config(images=images, texts=not images))(
        RetrievalDirection(queries[positions], positions, pair), T, agree
    )
    votes = images != reverse  # the modality of the queries has the graph
    expected = torch.ones(len(queries), len(keys), dtype=queries.dtype)
    for dim in (1, 0) if agree else (1,):
        signal = (queries @ keys.T / T).softmax(dim)
        for _ in range(2):
            signal = 0.3 * signal + 0.7 * (edges(queries) @ signal if votes else signal @ edges(keys).T)
        expected = expected * signal
    torch.testing.assert_close(diffused, expected[positions])


RULES: dict[str, dict[str, Any]] = {
    "reciprocal": {"reciprocal": True},
    "threshold and self-edge": {"threshold": 0.3, "self_edge": True},
    "confidence": {"confidence": 2.0},
    "relative": {"relative": True, "temperature": 1.0},
    "overlap of images": {"image_overlap": 0.4},
    "all": {"reciprocal": True, "threshold": 0.3, "self_edge": True, "confidence": 2.0, "image_overlap": 0.4},
}


def entropies(scores: Tensor) -> Tensor:
    """Entropy [N] of the softmax of each row of [N, M]."""
    return torch.distributions.Categorical(logits=scores).entropy()


@pytest.mark.parametrize("agree", [True, False])
@pytest.mark.parametrize("reverse", [True, False])
@pytest.mark.parametrize("name", RULES)
def test_edges_of_each_rule(name: str, reverse: bool, agree: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both graphs have the rule, that of images alone in the case `overlap of images`; penalties are entropies."""
    monkeypatch.setattr(bank_softmax, "CPU_BLOCK", 300)  # several blocks of rows and of keys, the last one smaller
    both = BankPair(*banks())
    pair = both.reversed() if reverse else both
    queries, keys = pair.query_bank.embeddings, pair.key_bank.embeddings
    config = Diffusion(**{"k": 3, "layers": 2, "residual": 0.3, "temperature": 0.1} | RULES[name])
    scores, positions = queries @ keys.T / T, torch.tensor([49, 3, 17, 30, 3])
    query_rule, key_rule = config.edge_rules[::-1] if reverse else config.edge_rules
    query_graph = edge_weights(queries, query_rule, penalties=config.confidence * entropies(scores))
    key_graph = edge_weights(keys, key_rule, penalties=config.confidence * entropies(scores.T))
    expected = torch.ones_like(scores)
    for dim in (1, 0) if agree else (1,):
        signal = scores.softmax(dim)
        for _ in range(2):
            signal = 0.3 * signal + 0.7 * query_graph @ signal
        for _ in range(2):
            signal = 0.3 * signal + 0.7 * signal @ key_graph.T
        expected = expected * signal
    diffused = DiffusedSimilarity(config)(RetrievalDirection(queries[positions], positions, pair), T, agree)
    torch.testing.assert_close(diffused, expected[positions])


def test_entropies_in_blocks_equal_those_of_a_categorical_distribution() -> None:
    queries, keys = units(1300, 6, seed=3), units(7, 6, seed=4)
    banks = BankPair(queries, keys)
    torch.testing.assert_close(banks.entropies(T), entropies(queries @ keys.T / T))
    torch.testing.assert_close(banks.reversed().entropies(T), entropies(keys @ queries.T / T))


def test_residual_1_equals_no_graph() -> None:
    queries, keys = banks()
    direction = RetrievalDirection(queries[:5], torch.arange(5), BankPair(queries, keys))
    for agree in (False, True):
        torch.testing.assert_close(
            DiffusedSimilarity(config(residual=1.0))(direction, T, agree), DirectSimilarity()(direction, T, agree)
        )


def test_neighbours_outvote_a_misleading_image() -> None:
    """Five images per person and two captions per person; image 0 of person 0 is nearest to a caption of person 1."""
    e = torch.eye(8)
    queries = torch.stack([e[0] + 0.5 * e[i] for i in range(2, 7)] + [e[1] + 0.5 * e[i] for i in range(2, 7)])
    queries[0] = e[0] + 1.6 * e[7]
    keys = torch.stack([e[0], e[0] + 0.1 * e[2], e[1] + e[7], e[1] + e[7] + 0.1 * e[2]])
    direction = RetrievalDirection(
        F.normalize(queries[:1]), torch.tensor([0]), BankPair(F.normalize(queries), F.normalize(keys))
    )
    diffused = DiffusedSimilarity(Diffusion(k=1, layers=2, residual=0.2))
    alone = PseudoLabels(agree=True).labels(direction, 0.1)
    voted = PseudoLabels(agree=True, similarity=diffused).labels(direction, 0.1)
    assert int(alone.argmax()) in (2, 3)
    assert int(voted.argmax()) in (0, 1)


@pytest.mark.parametrize("block", [1, 50, 2**19])
@pytest.mark.parametrize("t", [T, 0.0139, 0.002])
def test_log_partitions_in_blocks_equal_logsumexp(t: float, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 0.0139, exp(1 / t) is almost the largest float32 number; at 0.002, it is none."""
    monkeypatch.setattr(bank_softmax, "CPU_BLOCK", block)
    queries, keys = units(1300, 6, seed=3), units(7, 6, seed=4)
    keys[0] = -queries[0]
    scores = queries.double() @ keys.double().T / t
    actual = log_partitions(queries, keys, t)
    torch.testing.assert_close([part.double() for part in actual], [scores.logsumexp(0), scores.logsumexp(1)])
    one = log_partitions(queries[:1], keys[:1], t)
    torch.testing.assert_close([part.double() for part in one], [scores[0, :1], scores[0, :1]])


def test_each_direction_has_its_partition_and_both_share_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, keys = units(9, 6, seed=3), units(7, 6, seed=4)
    banks = BankPair(queries, keys)
    partitions = [
        banks.log_partition(T),
        banks.reversed().log_partition(T),
        banks.reversed().reversed().log_partition(2 * T),
    ]
    scores = queries @ keys.T / T
    torch.testing.assert_close(partitions, [scores.logsumexp(0), scores.logsumexp(1), (scores / 2).logsumexp(0)])
    # The partition of the reverse direction was computed in the same pass.
    monkeypatch.setattr(similarity, "log_partitions", None)
    torch.testing.assert_close(banks.reversed().log_partition(2 * T), (scores / 2).logsumexp(1))
