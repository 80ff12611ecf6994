"""Exact and IVF-PQ search of large galleries with FAISS, which is imported on first use."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gckd.errors import InputError
from gckd.graph.faiss_search import import_faiss

Vectors = NDArray[np.float32]  # [N, d], unit rows

MIN_IVF_PQ_SIZE = 4096  # vectors; smaller galleries are too small to train on, and exact search is as fast
_TRAINING_VECTORS = 64  # per inverted list; FAISS warns below 39


@dataclass(frozen=True)
class Exact:
    """Compare every query with every vector, on all GPUs that FAISS sees."""

    kind: ClassVar[str] = "exact"


@dataclass(frozen=True)
class IvfPq:
    """Inverted lists of product-quantised vectors (Jégou et al., TPAMI 2011), with refinement of the best candidates.

    Codes have 4 bits, so that lookup tables fit into CPU registers (André et al., VLDB 2015). FAISS has no GPU version.

    Args:
        lists: inverted lists that the gallery is divided into.
        probes: lists that are searched per query, nearest first.
        codes: 4-bit codes per vector.
        candidates: candidates per result that are compared again, with one byte per dimension.
    """

    kind: ClassVar[str] = "ivf-pq"
    lists: int
    probes: int
    codes: int
    candidates: int


def ivf_pq(count: int, width: int) -> IvfPq:
    """Default settings for N = `count` vectors of d = `width` dimensions.

    sqrt(N) lists, rounded to a power of two; an eighth of them probed, at most 64; d / 2 codes.

    Raises:
        InputError: N is below MIN_IVF_PQ_SIZE.
    """
    if count < MIN_IVF_PQ_SIZE:
        raise InputError(
            f"ivf-pq: a gallery of {count} is below its limit: {MIN_IVF_PQ_SIZE} vectors; use exact, which is as fast"
        )
    lists = 2 ** round(math.log2(count) / 2)
    codes = next(n for n in range(max(1, width // 2), 0, -1) if width % n == 0)
    return IvfPq(lists=lists, probes=min(64, lists // 8), codes=codes, candidates=8)


class SearchResult(NamedTuple):
    """The k nearest vectors to each of M queries, nearest first: cosines and rows of the gallery, both [M, k].

    A row is -1 if the probed lists contain fewer than k vectors.
    """

    cosines: Vectors
    rows: NDArray[np.int64]


class FaissGallery:
    """Unit vectors [N, d] that can be searched by cosine.

    Raises:
        InputError: faiss is not installed.
    """

    def __init__(self, vectors: Vectors, kind: Exact | IvfPq) -> None:
        self.kind, self.count = kind, len(vectors)
        self._index = _CREATE_INDEX[type(kind)](import_faiss(), kind, vectors.shape[1])
        if isinstance(kind, IvfPq):
            step = max(1, self.count // (_TRAINING_VECTORS * kind.lists))
            self._index.train(np.ascontiguousarray(vectors[::step]))
        self._index.add(np.ascontiguousarray(vectors))

    def search(self, queries: Vectors, k: int) -> SearchResult:
        """The k nearest vectors to each of M unit queries [M, d].

        Raises:
            InputError: k exceeds N.
        """
        if k > self.count:
            raise InputError(f"k: {k} is above its limit: a gallery of {self.count}")
        return SearchResult(*self._index.search(np.ascontiguousarray(queries), k))


def recall(approximate: SearchResult, exact: SearchResult) -> float:
    """recall@k: share of the k exact results that are among the k approximate ones, in any order; mean over queries."""
    return float((approximate.rows[:, :, None] == exact.rows[:, None, :]).any(1).mean())


def _exact_index(faiss: Any, kind: Exact, width: int) -> Any:
    index = faiss.IndexFlatIP(width)
    return faiss.index_cpu_to_all_gpus(index) if faiss.get_num_gpus() else index


def _ivf_pq_index(faiss: Any, kind: IvfPq, width: int) -> Any:
    lists = faiss.index_factory(width, f"IVF{kind.lists},PQ{kind.codes}x4fs", faiss.METRIC_INNER_PRODUCT)
    lists.nprobe = kind.probes
    refinement = faiss.IndexScalarQuantizer(width, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    index = faiss.IndexRefine(lists, refinement)
    index.k_factor = kind.candidates
    return index


_CREATE_INDEX: dict[type, Callable[[Any, Any, int], Any]] = {Exact: _exact_index, IvfPq: _ivf_pq_index}
