"""Galleries as FAISS indexes, exact or IVF-PQ. FAISS is imported where it is asked for, and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gckd.errors import InputError

Vectors = NDArray[np.float32]  # [N, d], rows of length 1

SMALLEST = 4096  # gallery for IVF-PQ: enough to train on, and below it exact search is as quick
_TRAINING = 64  # vectors for each list; FAISS warns below 39


@dataclass(frozen=True)
class Exact:
    """Every query is compared with every vector; on all GPUs where faiss sees any."""

    kind: ClassVar[str] = "exact"


@dataclass(frozen=True)
class IvfPq:
    """Inverted lists of product-quantised vectors (Jégou et al., TPAMI 2011), the best of them compared once more.

    Codes are of 4 bits, so that a processor's registers hold the tables (André et al., VLDB 2015): it has no GPU form.

    Args:
        lists: into which the gallery is divided. probes: of them, those nearest to a query, that are looked through.
        codes: of 4 bits, of a vector there. again: candidates for each answer that are compared once more, by copies
            that have a byte for each dimension.
    """

    kind: ClassVar[str] = "ivf-pq"
    lists: int
    probes: int
    codes: int
    again: int


def ivf_pq(count: int, width: int) -> IvfPq:
    """Our rule for N vectors of d: sqrt(N) lists, to a power of two; an eighth of them probed, at most 64; d / 2 codes.

    Raises:
        InputError: N is below SMALLEST.
    """
    if count < SMALLEST:
        raise InputError(f"ivf-pq: a gallery of {count} is below its limit: {SMALLEST} vectors; exact is as quick")
    lists = 2 ** round(math.log2(count) / 2)
    codes = next(n for n in range(max(1, width // 2), 0, -1) if width % n == 0)
    return IvfPq(lists=lists, probes=min(64, lists // 8), codes=codes, again=8)


class Nearest(NamedTuple):
    """The k best answers to M queries, best first: cosines and rows of the gallery, both [M, k].

    A row is -1 where the probed lists hold fewer than k vectors.
    """

    cosines: Vectors
    rows: NDArray[np.int64]


class Gallery:
    """N unit vectors that are searched by cosine.

    Args:
        vectors: [N, d].

    Raises:
        InputError: faiss is not installed.
    """

    def __init__(self, vectors: Vectors, kind: Exact | IvfPq) -> None:
        self.kind, self.count = kind, len(vectors)
        self._index = _MAKE[type(kind)](_faiss(), kind, vectors.shape[1])
        if isinstance(kind, IvfPq):
            step = max(1, self.count // (_TRAINING * kind.lists))
            self._index.train(np.ascontiguousarray(vectors[::step]))
        self._index.add(np.ascontiguousarray(vectors))

    def search(self, queries: Vectors, k: int) -> Nearest:
        """The k nearest vectors to each of M unit queries [M, d].

        Raises:
            InputError: k exceeds N.
        """
        if k > self.count:
            raise InputError(f"k: {k} is above its limit: a gallery of {self.count}")
        return Nearest(*self._index.search(np.ascontiguousarray(queries), k))


def recall(found: Nearest, exact: Nearest) -> float:
    """recall@k: the share of the k exact answers that are among the k found, in any order; mean over queries."""
    return float((found.rows[:, :, None] == exact.rows[:, None, :]).any(1).mean())


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise InputError("faiss is not installed; install gckd[cpu] or gckd[gpu]") from error
    return faiss


def _exact(faiss: Any, kind: Exact, width: int) -> Any:
    index = faiss.IndexFlatIP(width)
    return faiss.index_cpu_to_all_gpus(index) if faiss.get_num_gpus() else index


def _ivf_pq(faiss: Any, kind: IvfPq, width: int) -> Any:
    lists = faiss.index_factory(width, f"IVF{kind.lists},PQ{kind.codes}x4fs", faiss.METRIC_INNER_PRODUCT)
    lists.nprobe = kind.probes
    copies = faiss.IndexScalarQuantizer(width, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    index = faiss.IndexRefine(lists, copies)
    index.k_factor = kind.again
    return index


_MAKE: dict[type, Callable[[Any, Any, int], Any]] = {Exact: _exact, IvfPq: _ivf_pq}
