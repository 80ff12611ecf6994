"""Eq. 3: graphs over the four banks, against one dense graph with a mask."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.config.graph import Gnn
from gckd.graph.bank_graphs import BankGraphs, bank_graphs
from gckd.method.propagation import propagate_bank
from tests.dense import smoothed
from tests.tensors import units

CONFIG = Gnn(k=3, layers=2, conv="smooth", residual=0.3, temperature=0.2)
JOINT = dataclasses.replace(CONFIG, joint=True)
RECIPROCAL = dataclasses.replace(CONFIG, reciprocal=True)
SELF_EDGE = dataclasses.replace(CONFIG, threshold=0.2, self_edge=True)
WIDTH = 6
SIZES = (7, 9, 8, 6)  # Q_SI, Q_ST, Q_TI, Q_TT
DOMAIN = torch.tensor([0, 0, 1, 1]).repeat_interleave(torch.tensor(SIZES))
MODALITY = torch.tensor([0, 1, 0, 1]).repeat_interleave(torch.tensor(SIZES))
POSITIONS = [torch.tensor(positions) for positions in ([6, 0, 3], [2], [5, 5, 0], [1, 4])]


def four_banks() -> list[Tensor]:
    return list(units(sum(SIZES), WIDTH, seed=4).split(SIZES))


def same(label: Tensor) -> Tensor:
    """Mask [N, N] of node pairs with the same label."""
    return label[:, None] == label[None, :]


Rule = Callable[[], Tensor]
CASES: dict[str, tuple[Gnn, Rule]] = {
    "a graph per modality": (CONFIG, lambda: same(MODALITY)),
    "no cross edges": (dataclasses.replace(CONFIG, cross_edges=False), lambda: same(MODALITY) & same(DOMAIN)),
    "no graph of images": (dataclasses.replace(CONFIG, images=False), lambda: same(MODALITY) & (MODALITY == 1)),
    "no graph of texts": (dataclasses.replace(CONFIG, texts=False), lambda: same(MODALITY) & (MODALITY == 0)),
    "a joint graph": (JOINT, lambda: same(MODALITY) | True),
    "joint, no cross edges": (dataclasses.replace(JOINT, cross_edges=False), lambda: same(DOMAIN)),
    "reciprocal": (RECIPROCAL, lambda: same(MODALITY)),
    "reciprocal, no cross edges": (
        dataclasses.replace(RECIPROCAL, cross_edges=False),
        lambda: same(MODALITY) & same(DOMAIN),
    ),
    "threshold and self-edge": (SELF_EDGE, lambda: same(MODALITY)),
}


@pytest.mark.parametrize("name", CASES)
def test_neighbours_against_a_masked_graph(name: str) -> None:
    config, linked = CASES[name]
    banks = four_banks()
    propagated = bank_graphs(config, WIDTH)(banks, POSITIONS)
    expected = smoothed(torch.cat(banks), config, linked()).split(SIZES)
    for number, positions in enumerate(POSITIONS):
        torch.testing.assert_close(propagated[number], expected[number][positions])


def test_one_bank_is_propagated_alone() -> None:
    banks, module = four_banks(), bank_graphs(CONFIG, WIDTH)
    torch.testing.assert_close(propagate_bank(module, banks, 2, POSITIONS[2]), module(banks, POSITIONS)[2])


@pytest.mark.parametrize("layers", [1, 3])
def test_graphs_have_the_layers_of_the_config(layers: int) -> None:
    graphs = bank_graphs(Gnn(k=2, layers=layers), 4)
    assert {graph.layers for graph in graphs.layers.values()} == {layers}


def test_without_graphs_embeddings_do_not_change() -> None:
    banks = four_banks()
    for bank, positions, propagated in zip(banks, POSITIONS, BankGraphs()(banks, POSITIONS), strict=True):
        assert torch.equal(propagated, bank[positions])


def test_domains_share_layers_and_a_joint_graph_has_one_set() -> None:
    for config, count, names in ((CONFIG, 4, ["image", "text"]), (JOINT, 2, ["joint"])):
        module = bank_graphs(dataclasses.replace(config, conv="sage", cross_edges=False), WIDTH)
        assert (len(module.graphs), list(module.layers)) == (count, names)


def test_a_domain_without_inputs_needs_no_nodes() -> None:
    """K = 3, and the source banks are empty."""
    banks = four_banks()
    empty = [banks[0][:0], banks[1][:0], *banks[2:]]
    module = bank_graphs(dataclasses.replace(CONFIG, cross_edges=False), WIDTH)
    none = torch.zeros(0, dtype=torch.long)
    propagated = module(empty, [none, none, *POSITIONS[2:]])[2:]
    torch.testing.assert_close(propagated, module(banks, POSITIONS)[2:])


JOINED = [name for name in CASES if not name.startswith("no graph")]


@pytest.mark.parametrize("bank", [2, 3])
@pytest.mark.parametrize("name", JOINED)
def test_each_item_joins_alone(name: str, bank: int) -> None:
    """Each item against a graph with it as an additional node that is nobody's neighbour."""
    config, linked = CASES[name]
    banks, module = four_banks(), bank_graphs(config, WIDTH)
    items = units(40, WIDTH, seed=9)
    allowed_in_bank = linked()[sum(SIZES[:bank])]  # neighbours that a node of the bank may have, itself included
    joined = module.join(banks, bank, items)
    for item, propagated in zip(items, joined, strict=True):
        allowed = F.pad(linked(), (0, 1, 0, 1))
        allowed[-1, :-1] = allowed_in_bank
        expected = smoothed(torch.cat((*banks, item[None])), config, allowed)[-1]
        torch.testing.assert_close(propagated, expected)
    torch.testing.assert_close(module.join(banks, bank, items[7:8]), joined[7:8])


def test_an_item_of_a_modality_without_a_graph_does_not_change() -> None:
    banks, module = four_banks(), bank_graphs(dataclasses.replace(CONFIG, texts=False), WIDTH)
    assert torch.equal(module.join(banks, 3, banks[0]), banks[0])
