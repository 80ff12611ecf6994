"""`GraphPropagation` on a user's own tensors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from gckd.config.graph import Gnn
from gckd.graph.memory import MemoryBank
from gckd.graph.propagation import GraphPropagation
from tests.dense import smoothed


def unit_vectors(count: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(count, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=1)


def test_all_nodes_are_propagated_by_default() -> None:
    embeddings, propagation = unit_vectors(40), GraphPropagation()
    config = Gnn(k=10, layers=2, conv="smooth", residual=0.5, temperature=0.05)
    torch.testing.assert_close(propagation(embeddings), smoothed(embeddings, config))
    torch.testing.assert_close(propagation(embeddings, torch.tensor([7, 3])), propagation(embeddings)[[7, 3]])


def test_defaults_equal_those_of_the_config() -> None:
    propagation, config = GraphPropagation(), Gnn()
    for name in ("layers", "conv", "residual", "edge_rule"):
        assert getattr(propagation, name) == getattr(config, name)


def test_gradients_reach_embeddings_and_layers() -> None:
    embeddings = unit_vectors(30).float().requires_grad_()
    propagation = GraphPropagation(k=3, conv="sage", width=8)
    propagation(embeddings).square().sum().backward()
    propagation(embeddings)[:, 0].sum().backward()
    assert embeddings.grad is not None and bool(embeddings.grad.abs().sum() > 0)
    assert all(gate.weight.grad is not None for gate in propagation.gates)


def test_a_memory_bank_gives_the_nodes() -> None:
    bank = MemoryBank(capacity=64, width=8).double()
    bank.push(unit_vectors(50, seed=1))
    positions = bank.push(unit_vectors(6, seed=2))
    propagated = GraphPropagation(k=5)(bank.filled(), positions)
    assert propagated.shape == (6, 8)
    torch.testing.assert_close(propagated.norm(dim=1), torch.ones(6, dtype=torch.float64))


def test_a_learned_convolution_needs_the_width() -> None:
    with pytest.raises(ValueError, match="conv: 'gcn' has parameters; give width = d"):
        GraphPropagation(conv="gcn")


@pytest.mark.parametrize("option", [{"reciprocal": True}, {"threshold": 0.5}, {"self_edge": True}])
def test_a_learned_convolution_reads_all_edges(option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="conv: 'sage' reads all K edges; use reciprocal=false, threshold=-1 and self"):
        GraphPropagation(conv="sage", width=8, **option)


def test_gin_has_a_network_of_two_layers_on_the_sum_of_a_node_and_its_neighbours() -> None:
    """GIN-0: MLP(x_i + sum of x_j over the edges j -> i), by loops."""
    torch.manual_seed(0)
    (conv,) = GraphPropagation(3, 1, conv="gin", width=4).convs
    x, edges = torch.randn(5, 4), [(1, 0), (2, 0), (4, 1), (0, 2), (3, 2), (1, 3)]
    first, first_bias, second, second_bias = (parameter.detach() for parameter in conv.parameters())
    with torch.no_grad():
        out = conv((x, x), torch.tensor(edges).T)
    for node in range(5):
        total = x[node] + sum(x[sender] for sender, receiver in edges if receiver == node)
        hidden = (first @ total + first_bias).clamp(min=0)
        torch.testing.assert_close(out[node], second @ hidden + second_bias)


def test_an_unknown_convolution_is_refused() -> None:
    with pytest.raises(ValueError, match="conv: unknown convolution 'mean'; choose from smooth, gcn, sage, gatv2, gin"):
        GraphPropagation(conv="mean")


def test_k_must_be_below_the_number_of_nodes() -> None:
    with pytest.raises(ValueError, match="K = 10 is outside its limit: < 10 nodes"):
        GraphPropagation()(unit_vectors(10))
