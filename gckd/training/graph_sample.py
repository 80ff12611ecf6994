"""Sample of a run's graphs, from its checkpoint, for a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gckd.config.banks import TARGET_IMAGE, TARGET_TEXT
from gckd.config.schema import Config
from gckd.errors import InputError
from gckd.graph.knn import KnnIndex
from gckd.graph.memory import centred
from gckd.method.banks import PerBank
from gckd.storage import atomic
from gckd.storage.checkpoint import load_checkpoint
from gckd.storage.path import StoragePath
from gckd.training.target_graph import KnnGraph, knn_graph

NODES = 240  # about as many as a figure can show
FILE = "graph.npz"

Arrays = dict[str, NDArray[Any]]


def sample_graphs(config: Config, checkpoint: Path | StoragePath) -> Arrays:
    """Equal numbers of nodes of both domains, their K nearest neighbours, and all edges among these.

    Returns:
        For each modality m: `m_nodes` [n, d], unit embeddings in the space of the graph; `m_target` [n], whether a node
        is of the target; `m_edges` [E, 2], from node to neighbour. Empty if the config builds no graph.

    Raises:
        InputError: the file is not a checkpoint, or has no banks.
    """
    modules = load_checkpoint(checkpoint)["modules"]
    if "banks" not in modules:
        raise InputError(f"{checkpoint}: does not hold memory banks")
    views = [_bank(modules["banks"], name, config.centre) for name in PerBank._fields]
    arrays: Arrays = {}
    for modality, bank in (("image", TARGET_IMAGE), ("text", TARGET_TEXT)):
        graph = knn_graph(config.graph, views, bank, KnnIndex(views[bank])) if len(views[bank]) else None
        if graph is not None:
            nodes = torch.cat([views[number] for number in graph.banks])
            arrays |= {f"{modality}_{name}": array for name, array in _subgraph(graph, nodes).items()}
    return arrays


def save_graph_sample(config: Config, checkpoint: Path | StoragePath, folder: Path) -> None:
    """Write the sample to `folder`, unless the config builds no graph.

    Raises:
        InputError: see `sample_graphs`.
    """
    arrays = sample_graphs(config, checkpoint)
    if arrays:
        with atomic.writing(folder / FILE) as partial, partial.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)


def _bank(state: dict[str, Tensor], name: str, centre: bool) -> Tensor:
    filled = state[f"{name}.embeddings"][: int(state[f"{name}.count"])]
    return centred(filled, filled.mean(0) * float(centre))


def _subgraph(graph: KnnGraph, nodes: Tensor) -> Arrays:
    start = _sample_receivers(graph)
    sampled = torch.unique(torch.cat((graph.receivers[start], graph.neighbours[start].flatten())))
    position = torch.full((graph.node_count,), -1, dtype=torch.long)
    position[sampled] = torch.arange(len(sampled))
    pairs = torch.stack((graph.receivers[:, None].expand_as(graph.neighbours), graph.neighbours), -1).flatten(0, 1)
    edges = position[pairs]
    return {
        "nodes": nodes[sampled].numpy(),
        "target": (sampled >= graph.source_count).numpy(),
        "edges": edges[(edges >= 0).all(1)].int().numpy(),
    }


def _sample_receivers(graph: KnnGraph) -> Tensor:
    """Positions of a fixed random sample of the receivers, equally many of each domain."""
    count = max(2, NODES // (1 + graph.neighbours.shape[1]))
    order = torch.randperm(len(graph.receivers), generator=torch.Generator().manual_seed(0))
    of_target = graph.receivers[order] >= graph.source_count
    target_count = -(-count // 2) if graph.source_count else count
    return torch.cat((order[of_target][:target_count], order[~of_target][: count // 2]))
