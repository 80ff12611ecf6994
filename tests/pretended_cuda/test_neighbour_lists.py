"""Updated neighbour lists on pretended CUDA equal those on the CPU."""

from __future__ import annotations

import torch
from torch import Tensor

from gckd.graph.knn import Neighbours
from gckd.graph.neighbour_lists import NeighbourLists
from gckd.pretended_cuda.device import pretended_cuda
from tests.graph.test_neighbour_lists import B, K, N, Training, centred_bank
from tests.pretended_cuda.marks import needs_pretended_cuda

pytestmark = needs_pretended_cuda


def update(lists: NeighbourLists, entries: Tensor) -> Neighbours:
    return lists.update(centred_bank(entries), K)


def test_updates_are_placed_well() -> None:
    training, on_cpu = Training(N, 0.05), NeighbourLists()
    training.warm_start()
    banks = [training.step().clone() for _ in range(4)]
    banks[2][:30:2] = banks[2][0].clone()  # ties
    expected = [update(on_cpu, entries) for entries in banks]
    assert on_cpu.searched > B
    with pretended_cuda():
        lists = NeighbourLists()
        results = [update(lists, entries.to("cuda")) for entries in banks]
        assert all(tensor.is_cuda for result in results for tensor in result)
        for result, (indices, cosine) in zip(results, expected, strict=True):
            assert torch.equal(result.indices.cpu(), indices)
            torch.testing.assert_close(result.cosine.cpu(), cosine)
