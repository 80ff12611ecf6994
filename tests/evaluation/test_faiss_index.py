"""Galleries against torch's topk, and what is approximate against what is exact."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from benchmarks.gallery import clustered
from gckd.errors import InputError
from gckd.evaluation.faiss_index import SMALLEST, Exact, Gallery, IvfPq, Nearest, Vectors, ivf_pq, recall


def by_torch(vectors: Vectors, queries: Vectors, k: int) -> Nearest:
    found = (torch.from_numpy(queries) @ torch.from_numpy(vectors).T).topk(k)
    return Nearest(found.values.numpy(), found.indices.numpy())


@pytest.mark.parametrize(("count", "k"), [(1, 1), (50, 50), (3000, 7)])
def test_exact_is_exact(count: int, k: int) -> None:
    vectors, queries = clustered(count, 20, 16, seed=1)
    found, expected = Gallery(vectors, Exact()).search(queries, k), by_torch(vectors, queries, k)
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_allclose(found.cosines, expected.cosines, atol=1e-6)


def test_vectors_need_not_lie_in_one_piece() -> None:
    vectors, queries = clustered(60, 5, 16, seed=1)
    wide = np.asfortranarray(vectors)
    np.testing.assert_array_equal(Gallery(wide, Exact()).search(queries, 3).rows, by_torch(vectors, queries, 3).rows)


@pytest.fixture(scope="module")
def large() -> tuple[Vectors, Vectors]:
    return clustered(SMALLEST + 16, 200, 32, seed=2)


def test_ivf_pq_finds_nearly_all(large: tuple[Vectors, Vectors]) -> None:
    vectors, queries = large
    expected = by_torch(vectors, queries, 10)
    found = Gallery(vectors, ivf_pq(*vectors.shape)).search(queries, 10)
    assert recall(found, expected) > 0.9
    right = found.rows == expected.rows
    np.testing.assert_allclose(found.cosines[right], expected.cosines[right], atol=0.01)  # of copies in bytes


def test_a_second_look_is_worth_it(large: tuple[Vectors, Vectors]) -> None:
    vectors, queries = large
    expected = by_torch(vectors, queries, 10)
    one, several = (
        recall(Gallery(vectors, IvfPq(lists=64, probes=16, codes=16, again=again)).search(queries, 10), expected)
        for again in (1, 8)
    )
    assert one < several


def test_recall_by_hand() -> None:
    """Of (0, 1) both are found, in another order; of (2, 3) one; -1 is nobody."""
    found, exact = np.array([[1, 0], [3, -1]]), np.array([[0, 1], [2, 3]])
    cosines = np.zeros((2, 2), dtype=np.float32)
    assert recall(Nearest(cosines, found), Nearest(cosines, exact)) == 0.75


def test_the_rule() -> None:
    assert ivf_pq(1_000_000, 256) == IvfPq(lists=1024, probes=64, codes=128, again=8)
    assert ivf_pq(10_000, 256) == IvfPq(lists=128, probes=16, codes=128, again=8)
    for width in (1, 3, 6, 30, 255):
        assert width % ivf_pq(10_000, width).codes == 0


def test_bad_input() -> None:
    with pytest.raises(InputError, match="ivf-pq: a gallery of 4095 is below its limit: 4096 vectors"):
        ivf_pq(SMALLEST - 1, 256)
    with pytest.raises(InputError, match="k: 4 is above its limit: a gallery of 3"):
        Gallery(clustered(3, 1, 8, seed=0)[0], Exact()).search(np.ones((1, 8), dtype=np.float32), 4)


def test_without_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(InputError, match=r"^faiss is not installed; install gckd\[cpu\] or gckd\[gpu\]$"):
        Gallery(np.ones((1, 8), dtype=np.float32), Exact())
