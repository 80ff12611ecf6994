"""A small part of a run's graphs, from its checkpoint, for a picture."""

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
from gckd.graph.memory import centred
from gckd.graph.subgraph import KnnIndex
from gckd.method.banks import PerBank
from gckd.storage.checkpoint import load_checkpoint
from gckd.storage.path import StoragePath
from gckd.training.curves import KnnGraph, knn_graph

NODES = 240  # about as many as can be told apart in a picture
FILE = "graph.npz"

Arrays = dict[str, NDArray[Any]]


def snapshot(config: Config, checkpoint: Path | StoragePath) -> Arrays:
    """Nodes of both domains in equal number, their K nearest neighbours, and all edges among these.

    Returns:
        For each modality m: `m_nodes` [n, d], unit embeddings in the space of the graph; `m_target` [n], whether a node
        is of the target; `m_edges` [E, 2], from node to neighbour. Empty where the config builds no graph.

    Raises:
        InputError: the checkpoint is not one, or has no banks.
    """
    modules = load_checkpoint(checkpoint)["modules"]
    if "banks" not in modules:
        raise InputError(f"{checkpoint}: does not hold memory banks")
    views = [_bank(modules["banks"], name, config.centre) for name in PerBank._fields]
    found: Arrays = {}
    for modality, bank in (("image", TARGET_IMAGE), ("text", TARGET_TEXT)):
        graph = knn_graph(config.graph, views, bank, KnnIndex(views[bank])) if len(views[bank]) else None
        if graph is not None:
            nodes = torch.cat([views[number] for number in graph.banks])
            found |= {f"{modality}_{name}": array for name, array in _part(graph, nodes).items()}
    return found


def _bank(state: dict[str, Tensor], name: str, centre: bool) -> Tensor:
    filled = state[f"{name}.embeddings"][: int(state[f"{name}.count"])]
    return centred(filled, filled.mean(0) * float(centre))


def _part(graph: KnnGraph, nodes: Tensor) -> Arrays:
    begin = _chosen(graph)
    near = torch.unique(torch.cat((graph.receivers[begin], graph.index[begin].flatten())))
    place = torch.full((graph.nodes,), -1, dtype=torch.long)
    place[near] = torch.arange(len(near))
    ends = torch.stack((graph.receivers[:, None].expand_as(graph.index), graph.index), -1).flatten(0, 1)
    edges = place[ends]
    return {
        "nodes": nodes[near].numpy(),
        "target": (near >= graph.source).numpy(),
        "edges": edges[(edges >= 0).all(1)].int().numpy(),
    }


def _chosen(graph: KnnGraph) -> Tensor:
    """Receivers to begin with, of each domain as many, always the same ones."""
    wanted = max(2, NODES // (1 + graph.index.shape[1]))
    order = torch.randperm(len(graph.receivers), generator=torch.Generator().manual_seed(0))
    of_target = graph.receivers[order] >= graph.source
    return torch.cat(
        (order[of_target][: -(-wanted // 2) if graph.source else wanted], order[~of_target][: wanted // 2])
    )


def save_snapshot(config: Config, checkpoint: Path | StoragePath, folder: Path) -> None:
    """Writes it into `folder`, if there is a graph.

    Raises:
        InputError: see `snapshot`.
    """
    arrays = snapshot(config, checkpoint)
    if arrays:
        np.savez_compressed(folder / FILE, allow_pickle=False, **arrays)
