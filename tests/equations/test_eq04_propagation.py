"""Eq. 4: message passing over the two-hop neighbourhood equals dense N x N matrices over the whole graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import GCNConv

from gckd.graph.propagation import Gcn, GraphPropagation
from tests.dense import edge_weights
from tests.tensors import units

Convolve = Callable[[Any, Tensor, Tensor], Tensor]  # a layer, features [N, d], linked [N, N] -> [N, d]
N, WIDTH, INPUTS = 60, 6, torch.tensor([59, 3, 17, 30])


def gnn(conv: str = "smooth", layers: int = 2, residual: float = 0.3, temperature: float = 0.2) -> dict[str, Any]:
    """Arguments of `GraphPropagation`."""
    return {"k": 3, "layers": layers, "conv": conv, "residual": residual, "temperature": temperature}


def unit_nodes(n: int = N) -> Tensor:
    return units(n, WIDTH, seed=2)


def dense_sage(conv: Any, x: Tensor, linked: Tensor) -> Tensor:
    mean = linked.double() @ x / linked.sum(1, keepdim=True)
    out: Tensor = mean @ conv.lin_l.weight.T + conv.lin_l.bias + x @ conv.lin_r.weight.T
    return out


def dense_gatv2(conv: Any, x: Tensor, linked: Tensor) -> Tensor:
    sent = x @ conv.lin_l.weight.T + conv.lin_l.bias
    received = x @ conv.lin_r.weight.T + conv.lin_r.bias
    score = (F.leaky_relu(received[:, None] + sent[None], 0.2) * conv.att.flatten()).sum(2)
    out: Tensor = score.masked_fill(~linked, -torch.inf).softmax(1) @ sent + conv.bias
    return out


def dense_gcn(conv: Any, x: Tensor, linked: Tensor) -> Tensor:
    """D^-1/2 (A + I) D^-1/2 x W, D the degrees of the whole graph."""
    looped = linked.double() + torch.eye(len(x), dtype=torch.float64)
    scale = looped.sum(1).rsqrt()
    out: Tensor = (scale[:, None] * looped * scale) @ x @ conv.conv.lin.weight.T + conv.conv.bias
    return out


def dense_gin(conv: Any, x: Tensor, linked: Tensor) -> Tensor:
    out: Tensor = conv.nn(x + linked.double() @ x)
    return out


DENSE = {"gcn": dense_gcn, "sage": dense_sage, "gatv2": dense_gatv2, "gin": dense_gin}


def pyg_layer(conv: Any, x: Tensor, linked: Tensor) -> Tensor:
    """PyG's own layer on the whole graph."""
    receivers, sources = linked.nonzero(as_tuple=True)
    if isinstance(conv, Gcn):
        plain = GCNConv(*conv.conv.lin.weight.T.shape).double()
        plain.load_state_dict(conv.conv.state_dict())
        conv = plain
    out: Tensor = conv(x, torch.stack((sources, receivers)))
    return out


def whole_graph(nodes: Tensor, module: Any, convolve: Convolve | None = None) -> Tensor:
    """Every layer on every node, with the convolution as dense matrices or as given."""
    x, weights = nodes, edge_weights(nodes, module.edge_rule)
    for layer in range(module.layers):
        message = weights @ x
        if module.conv != "smooth":
            out = (convolve or DENSE[module.conv])(module.convs[layer], x, weights > 0)
            message = message + F.gelu(out) @ module.gates[layer].weight.T
        x = F.normalize(module.residual * x + (1 - module.residual) * message, dim=1)
    return x


def propagation(config: dict[str, Any], *, learned: bool = True) -> Any:
    """A module in double precision; its zero-initialised gates are drawn at random if `learned`."""
    torch.manual_seed(3)
    module: Any = GraphPropagation(**config, width=WIDTH).double()
    for gate in module.gates if learned else ():
        nn.init.normal_(gate.weight)
    return module


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("conv", ["smooth", *DENSE])
def test_equals_the_whole_graph(conv: str, layers: int) -> None:
    nodes, module = unit_nodes(), propagation(gnn(conv, layers))
    torch.testing.assert_close(module(nodes, INPUTS), whole_graph(nodes, module)[INPUTS], atol=1e-10, rtol=0)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("conv", DENSE)
def test_equals_pyg_layers_on_the_whole_graph(conv: str, layers: int) -> None:
    nodes, module = unit_nodes(), propagation(gnn(conv, layers))
    expected = whole_graph(nodes, module, pyg_layer)[INPUTS]
    torch.testing.assert_close(module(nodes, INPUTS), expected, atol=1e-10, rtol=0)


def test_one_layer_by_hand() -> None:
    nodes = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8]])
    out = GraphPropagation(k=1, layers=1, residual=0.5)(nodes, torch.tensor([0]))
    torch.testing.assert_close(out, F.normalize(torch.tensor([[1.8, 0.6]]), dim=1))


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_only_the_neighbourhood_is_computed(layers: int) -> None:
    nodes, module = unit_nodes(400), propagation(gnn(layers=layers))
    touched: list[int] = []
    module.smooth.register_forward_hook(lambda _, given, __: touched.append(len(given[0])))
    module(nodes, INPUTS)
    linked, reached = edge_weights(nodes, module.edge_rule) > 0, torch.zeros(400, dtype=torch.bool)
    reached[INPUTS] = True
    for _ in range(layers):
        reached = reached | linked[reached].any(0)
    assert max(touched) <= int(reached.sum()) < 400


@pytest.mark.parametrize("conv", ["smooth", "sage"])
def test_residual_1_is_the_identity(conv: str) -> None:
    nodes, config = unit_nodes(), gnn(conv, residual=1.0)
    torch.testing.assert_close(propagation(config)(nodes, INPUTS), nodes[INPUTS])


def test_residual_0_in_the_limit_of_cold_edges_is_the_nearest_neighbour() -> None:
    nodes = unit_nodes()
    out = propagation(gnn(layers=1, residual=0.0, temperature=1e-6))(nodes, INPUTS)
    cosine = (nodes @ nodes.T).fill_diagonal_(-2)
    torch.testing.assert_close(out, nodes[cosine[INPUTS].argmax(1)])


@pytest.mark.parametrize("conv", DENSE)
def test_a_learned_convolution_starts_as_smoothing(conv: str) -> None:
    nodes = unit_nodes()
    torch.testing.assert_close(propagation(gnn(conv), learned=False)(nodes, INPUTS), propagation(gnn())(nodes, INPUTS))


def test_outputs_are_unit_vectors_and_equal_for_repeated_inputs() -> None:
    out = propagation(gnn("gatv2"))(unit_nodes(), torch.tensor([5, 9, 5]))
    torch.testing.assert_close(out.norm(dim=1), torch.ones(3, dtype=torch.float64))
    assert torch.equal(out[0], out[2])
