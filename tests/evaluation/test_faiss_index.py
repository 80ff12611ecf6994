"""FAISS galleries: exact search equals torch.topk, approximate search comes close to it."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from benchmarks.gallery import clustered
from gckd.errors import InputError
from gckd.evaluation.faiss_index import (
    MIN_IVF_PQ_SIZE,
    Exact,
    FaissGallery,
    IvfPq,
    SearchResult,
    Vectors,
    ivf_pq,
    recall,
)


def by_torch(vectors: Vectors, queries: Vectors, k: int) -> SearchResult:
    top = (torch.from_numpy(queries) @ torch.from_numpy(vectors).T).topk(k)
    return SearchResult(top.values.numpy(), top.indices.numpy())


@pytest.mark.parametrize(("count", "k"), [(1, 1), (50, 50), (3000, 7)])
def test_exact_search_equals_topk(count: int, k: int) -> None:
    vectors, queries = clustered(count, 20, 16, seed=1)
    result, expected = FaissGallery(vectors, Exact()).search(queries, k), by_torch(vectors, queries, k)
    np.testing.assert_array_equal(result.rows, expected.rows)
    np.testing.assert_allclose(result.cosines, expected.cosines, atol=1e-6)


def test_vectors_need_not_be_contiguous() -> None:
    vectors, queries = clustered(60, 5, 16, seed=1)
    result = FaissGallery(np.asfortranarray(vectors), Exact()).search(queries, 3)
    np.testing.assert_array_equal(result.rows, by_torch(vectors, queries, 3).rows)


@pytest.fixture(scope="module")
def large() -> tuple[Vectors, Vectors]:
    return clustered(MIN_IVF_PQ_SIZE + 16, 200, 32, seed=2)


def test_ivf_pq_has_high_recall(large: tuple[Vectors, Vectors]) -> None:
    vectors, queries = large
    expected = by_torch(vectors, queries, 10)
    result = FaissGallery(vectors, ivf_pq(*vectors.shape)).search(queries, 10)
    assert recall(result, expected) > 0.9
    same = result.rows == expected.rows
    np.testing.assert_allclose(result.cosines[same], expected.cosines[same], atol=0.01)  # computed from 8-bit copies


def test_refinement_increases_recall(large: tuple[Vectors, Vectors]) -> None:
    vectors, queries = large
    expected = by_torch(vectors, queries, 10)

    def recall_with(candidates: int) -> float:
        kind = IvfPq(lists=64, probes=16, codes=16, candidates=candidates)
        return recall(FaissGallery(vectors, kind).search(queries, 10), expected)

    assert recall_with(1) < recall_with(8)


def test_recall_by_hand() -> None:
    """Both of (0, 1) are found, in another order; one of (2, 3); -1 is no result."""
    approximate, exact = np.array([[1, 0], [3, -1]]), np.array([[0, 1], [2, 3]])
    cosines = np.zeros((2, 2), dtype=np.float32)
    assert recall(SearchResult(cosines, approximate), SearchResult(cosines, exact)) == 0.75


def test_recall_is_a_share_of_the_exact_results() -> None:
    """One of two exact results is among four approximate ones."""
    approximate, exact = np.array([[0, 1, 2, 3]]), np.array([[2, 9]])
    cosines = np.zeros((1, 4), dtype=np.float32)
    assert recall(SearchResult(cosines, approximate), SearchResult(cosines[:, :2], exact)) == 0.5


def test_default_settings() -> None:
    assert ivf_pq(1_000_000, 256) == IvfPq(lists=1024, probes=64, codes=128, candidates=8)
    assert ivf_pq(10_000, 256) == IvfPq(lists=128, probes=16, codes=128, candidates=8)
    for width in (1, 3, 6, 30, 255):
        assert width % ivf_pq(10_000, width).codes == 0


def test_sizes_outside_the_limits_are_refused() -> None:
    with pytest.raises(InputError, match="ivf-pq: a gallery of 4095 is below its limit: 4096 vectors"):
        ivf_pq(MIN_IVF_PQ_SIZE - 1, 256)
    with pytest.raises(InputError, match="k: 4 is above its limit: a gallery of 3"):
        FaissGallery(clustered(3, 1, 8, seed=0)[0], Exact()).search(np.ones((1, 8), dtype=np.float32), 4)


def test_a_missing_faiss_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(InputError, match=r"^faiss is not installed; install gckd\[cpu\] or gckd\[gpu\]$"):
        FaissGallery(np.ones((1, 8), dtype=np.float32), Exact())
