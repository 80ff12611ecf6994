"""Nearest neighbours with faiss, which is imported on first use: exact, or approximate by inverted lists."""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
from torch import Tensor

from gckd.errors import InputError
from gckd.graph.knn import Neighbours, NeighbourSearch, check_count, nearest

MIN_LIST = 64  # entries of an inverted list on average; faiss warns below 39


class FaissNeighbourSearch(NeighbourSearch):
    """Search of the K nearest neighbours with faiss, on the device of the nodes.

    The inverted lists of `ivf` belong to at most sqrt(N) centres, which k-means finds anew in each search. The result
    thus depends on the nodes alone, and an interrupted run resumes with identical neighbours. A node for which the
    searched lists have fewer than K others gets its exact neighbours.

    Args:
        index: `flat`, exact; or `ivf`, approximate.
        probes: inverted lists that are searched for each node.

    Source: inverted lists of Sivic and Zisserman, "Video Google", ICCV 2003, in faiss (Douze et al., 2024).

    Raises:
        InputError: in a search, faiss is not installed, or it has no GPU support and the nodes are on a GPU.
    """

    def __init__(self, index: str = "flat", probes: int = 16) -> None:
        self.index, self.probes = index, probes

    def __call__(self, nodes: Tensor, queries: Tensor, k: int, senders: int | None = None) -> Neighbours:
        count = check_count(nodes, k, senders)
        candidates = nodes[:count].float().contiguous()
        index = self._filled(candidates)
        cosine, indices = index.search(nodes[queries].float().contiguous(), k + 1)
        others = indices != queries[:, None]
        others[others.all(1), -1] = False  # k of the k + 1 results, where the node itself is none of them
        result = Neighbours(indices[others].view(-1, k), cosine[others].view(-1, k).to(nodes.dtype))
        incomplete = (result.indices < 0).any(1)
        for full, exact in zip(result, nearest(nodes, queries[incomplete], k, senders=senders), strict=True):
            full[incomplete] = exact
        return result

    def _filled(self, vectors: Tensor) -> Any:
        """Index of unit vectors [N, d]."""
        faiss, (count, width) = import_faiss(), vectors.shape
        index = faiss.IndexFlatIP(width)
        lists = min(math.isqrt(count), count // MIN_LIST)
        if self.index == "ivf" and lists > 1:
            index = faiss.IndexIVFFlat(index, width, lists, faiss.METRIC_INNER_PRODUCT)
            index.nprobe = min(self.probes, lists)
        if vectors.is_cuda:
            index = _on_gpu(faiss, index, vectors.device)
        index.train(vectors)
        index.add(vectors)
        return index


def import_faiss() -> Any:
    """The module faiss, whose indices also take tensors.

    Raises:
        InputError: faiss is not installed.
    """
    try:
        import faiss
        import faiss.contrib.torch_utils
    except ImportError as error:
        raise InputError("faiss is not installed; install gckd[cpu] or gckd[gpu]") from error
    return faiss


def _on_gpu(faiss: Any, index: Any, device: torch.device) -> Any:
    if not hasattr(faiss, "StandardGpuResources"):
        raise InputError(
            "graph.propagate.search: this faiss has no GPU support; install gckd[gpu] instead of gckd[cpu], "
            "or use graph.propagate.search=torch"
        )
    return faiss.index_cpu_to_gpu(_gpu_resources(faiss), device.index or 0, index)


@functools.lru_cache(maxsize=1)
def _gpu_resources(faiss: Any) -> Any:
    """Scratch memory of faiss on the GPU, allocated once and not at each step."""
    return faiss.StandardGpuResources()
