"""Eq. 1-2: the banks are FIFO queues of the C most recent embeddings."""

from __future__ import annotations

from collections import deque

import pytest
import torch
from torch.nn import functional as F

from gckd.graph.memory import MemoryBank, centred


def numbered(first: int, count: int) -> torch.Tensor:
    """Embeddings [count, 2] with the values first, first + 1, ..."""
    return torch.arange(first, first + count).float()[:, None].expand(-1, 2)


def test_by_hand_with_wrap_around() -> None:
    bank = MemoryBank(5, 2)
    assert len(bank) == 0
    assert bank.push(numbered(0, 3), torch.tensor([10, 11, 12]), torch.tensor([7, 7, 8])).tolist() == [0, 1, 2]
    assert bank.filled()[:, 0].tolist() == [0, 1, 2]
    assert bank.push(numbered(3, 3), torch.tensor([13, 14, 15]), torch.tensor([8, 9, 9])).tolist() == [3, 4, 0]
    assert bank.filled()[:, 0].tolist() == [5, 1, 2, 3, 4]
    assert bank.rows.tolist() == [15, 11, 12, 13, 14]
    assert bank.identities.tolist() == [9, 7, 8, 8, 9]
    assert (len(bank), int(bank.pointer)) == (5, 1)


@pytest.mark.parametrize(("capacity", "batch"), [(1, 1), (6, 3), (7, 3), (4, 4)])
def test_holds_the_c_most_recent(capacity: int, batch: int) -> None:
    bank, queue = MemoryBank(capacity, 2), deque[int](maxlen=capacity)
    for step in range(6):
        rows = torch.arange(step * batch, (step + 1) * batch)
        positions = bank.push(numbered(step * batch, batch), rows)
        queue.extend(rows.tolist())
        assert bank.rows[positions].tolist() == rows.tolist()
        assert sorted(bank.filled()[:, 0].tolist()) == sorted(queue)
        assert bank.filled()[:, 0].tolist() == bank.rows[: len(bank)].tolist()


def test_pointer_and_count_survive_a_checkpoint() -> None:
    saved, resumed = MemoryBank(4, 2), MemoryBank(4, 2)
    saved.push(numbered(0, 3), torch.arange(3))
    resumed.load_state_dict(saved.state_dict())
    for bank in (saved, resumed):
        bank.push(numbered(3, 2), torch.tensor([3, 4]))
    assert resumed.filled()[:, 0].tolist() == saved.filled()[:, 0].tolist() == [4, 1, 2, 3]
    assert int(resumed.pointer) == 1


def test_a_cleared_bank_equals_a_new_one() -> None:
    bank, new = MemoryBank(4, 2), MemoryBank(4, 2)
    bank.push(numbered(0, 3), torch.arange(3), torch.arange(3))
    bank.clear()
    assert all(torch.equal(value, bank.state_dict()[name]) for name, value in new.state_dict().items())


def test_target_banks_hold_no_identity() -> None:
    bank = MemoryBank(4, 2)
    bank.push(numbered(0, 4), torch.arange(4))
    assert bank.identities.tolist() == [-1] * 4


def test_entries_are_detached() -> None:
    z = torch.ones(2, 2, requires_grad=True)
    bank = MemoryBank(4, 2)
    bank.push(z * 2, torch.arange(2))
    assert not bank.filled().requires_grad


def test_a_batch_larger_than_the_bank_is_refused() -> None:
    with pytest.raises(ValueError, match="batch of 5 .* C = 4"):
        MemoryBank(4, 2).push(numbered(0, 5), torch.arange(5))


def test_the_mean_is_over_filled_entries() -> None:
    bank = MemoryBank(4, 2)
    assert bank.mean().tolist() == [0, 0]
    bank.push(numbered(1, 2), torch.arange(2))
    assert bank.mean().tolist() == [1.5, 1.5]


def test_centring_removes_a_common_offset() -> None:
    z = F.normalize(torch.randn(200, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    z = z - z.mean(0)
    shifted = z + torch.full((8,), 3.0)
    torch.testing.assert_close(centred(shifted, shifted.mean(0)), F.normalize(z, dim=1), atol=1e-5, rtol=0)


def test_no_example_is_in_a_bank_twice() -> None:
    """By a list: an example in the bank replaces its entry, any other the oldest entry."""
    random = torch.Generator().manual_seed(3)
    bank, expected, pointer = MemoryBank(6, 2), [-1] * 6, 0
    for step in range(40):
        rows = torch.randperm(9, generator=random)[:3]
        present = {row: expected.index(row) for row in rows.tolist() if row in expected}
        for row in rows.tolist():
            if row in present:
                continue
            while pointer in present.values():
                pointer = (pointer + 1) % 6
            expected[pointer], pointer = row, (pointer + 1) % 6
        positions = bank.push(torch.stack((rows.float(), torch.full((3,), float(step))), 1), rows)
        assert bank.rows.tolist() == expected
        assert bank.embeddings[positions].tolist() == [[row, step] for row in rows.tolist()]
        assert len(bank) == sum(row >= 0 for row in expected)


def test_without_rows_a_bank_is_a_plain_fifo_queue() -> None:
    bank = MemoryBank(4, 2)
    assert bank.push(numbered(0, 3), torch.tensor([5, 6, 7]), torch.tensor([1, 1, 2])).tolist() == [0, 1, 2]
    assert bank.push(numbered(3, 3)).tolist() == [3, 0, 1]
    assert bank.filled()[:, 0].tolist() == [4, 5, 2, 3]
    assert bank.rows.tolist() == [-1, -1, 7, -1]
    assert bank.identities.tolist() == [-1, -1, 2, -1]
