"""Counts of GPU work of operations whose kernels, waits, FLOPs and bytes are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch.nn import functional as F

from gckd.config.data import RandAugment
from gckd.data.prefetch import on_default_device
from gckd.data.transforms import strong_view
from gckd.estimate.kernel_counter import Counts, KernelCounter
from gckd.graph.memory import MemoryBank
from gckd.pretended_cuda.device import pretended_cuda
from gckd.training.trainer import terms_as_floats
from tests.pretended_cuda.marks import needs_pretended_cuda

pytestmark = needs_pretended_cuda
MIB = 2**20


@pytest.fixture(autouse=True)
def device() -> Iterator[None]:
    with pretended_cuda():
        yield


def counted(work: Callable[[], object]) -> Counts:
    counter = KernelCounter("all")
    with counter.observing():
        work()
    return counter.counts.get("all", Counts())


def on_gpu(*shape: int) -> torch.Tensor:
    return torch.ones(shape, device="cuda")


def test_a_product_has_one_kernel_and_two_flops_for_each_pair_of_numbers() -> None:
    a, b = on_gpu(2, 3), on_gpu(3, 4)
    counts = counted(lambda: a @ b)
    assert (counts.kernels, counts.flops, counts.moved) == (1, 2 * 2 * 3 * 4, 4 * (6 + 12 + 8))


def test_views_and_allocations_have_no_kernel() -> None:
    a = on_gpu(2, 3)
    assert counted(lambda: (a.T, a[0], a.view(6), a.detach(), torch.empty(5, device="cuda"))).kernels == 0


def test_work_on_the_cpu_is_not_counted() -> None:
    assert counted(lambda: torch.ones(3) + 1) == Counts()


def test_casts_and_uploads_are_counted() -> None:
    a = on_gpu(2)
    assert counted(lambda: a.bfloat16()).casts == 1
    assert counted(lambda: a.float()).casts == 0
    assert counted(lambda: torch.ones(2).to("cuda")).uploads == 1
    assert counted(lambda: a.copy_(torch.zeros(2))).uploads == 1


def test_uploads_from_pinned_memory_without_a_wait_are_counted() -> None:
    numbers = torch.ones(2, device="cpu")
    assert counted(lambda: numbers.pin_memory().to("cuda", non_blocking=True)) == Counts(1, 0, 0, 1, 1, 0, 8, 8)
    assert counted(lambda: numbers.pin_memory().to("cuda")).pinned == 0
    assert counted(lambda: numbers.to("cuda", non_blocking=True)).pinned == 0
    assert counted(lambda: on_default_device(numbers)).uploads == 0
    with torch.device("cuda"):
        assert counted(lambda: on_default_device(numbers)).pinned == 1


WAITS: dict[str, Callable[[torch.Tensor], object]] = {
    "number": lambda a: float(a[0]),
    "condition": lambda a: bool((a > 0).all()),
    "copy to the CPU": lambda a: a.cpu(),
    "mask": lambda a: a[a > 0],
    "nonzero": lambda a: a.nonzero(),
}


@pytest.mark.parametrize("name", WAITS)
def test_a_wait_for_the_gpu_is_counted(name: str) -> None:
    a = on_gpu(3)
    assert counted(lambda: WAITS[name](a)).syncs == 1
    assert counted(lambda: (a + 1, a[torch.tensor([0, 1])], torch.where(a > 0, a, 0))).syncs == 0


def test_peak_memory_is_that_of_the_tensors_alive_at_one_time() -> None:
    def work() -> None:
        for _ in range(40):  # each result is freed in the next round
            on_gpu(MIB // 4).add(1.0)

    one = counted(lambda: on_gpu(MIB // 4)).peak
    assert one == MIB
    assert counted(work).peak <= 20 * MIB  # freed memory is noticed every 16 operators
    results: list[torch.Tensor] = []
    assert counted(lambda: results.extend(on_gpu(MIB // 4) for _ in range(40))).peak == 40 * MIB


def test_attention_is_one_kernel() -> None:
    states = on_gpu(2, 3, 4, 8).requires_grad_()
    with torch.no_grad():
        assert counted(lambda: F.scaled_dot_product_attention(states, states, states)).kernels == 1
    output = F.scaled_dot_product_attention(*(states.clone() for _ in range(3)))
    gradient = torch.ones_like(output)
    # Two more add the gradients of queries, keys and values.
    assert counted(lambda: torch.autograd.grad(output, states, gradient)).kernels == 3


class Part:
    def work(self) -> torch.Tensor:
        return on_gpu(3) + 1


def test_work_belongs_to_the_innermost_labelled_method() -> None:
    counter = KernelCounter("rest")
    with counter.observing(), counter.labelled(Part, "work", "part"):
        Part().work()
        on_gpu(3)
    Part().work()
    assert {name: counts.kernels for name, counts in counter.counts.items()} == {"part": 2, "rest": 1}


def test_loss_terms_are_read_by_one_wait() -> None:
    terms = {"first": on_gpu() / 3, "second": on_gpu() * 2}
    assert counted(lambda: terms_as_floats(terms)).syncs == 1
    assert terms_as_floats(terms) == {name: float(term) for name, term in terms.items()}
    assert terms_as_floats({}) == {}


def test_the_size_of_a_bank_is_read_without_a_wait() -> None:
    with torch.device("cuda"):
        bank = MemoryBank(capacity=5, width=2)
        bank.push(torch.eye(2), rows=torch.tensor([3, 8]))
    assert counted(bank.filled).syncs == 0
    assert bank.filled().shape == (2, 2)
    with torch.device("cuda"):
        assert counted(lambda: bank.push(torch.eye(2), rows=torch.tensor([8, 4], device="cpu"))).syncs == 0
    restored = MemoryBank(capacity=5, width=2)
    restored.load_state_dict({name: value.cpu() for name, value in bank.state_dict().items()})
    assert len(restored) == 3 and int(restored.pointer) == 3


def test_rand_augment_runs_each_kind_of_operation_once_and_never_waits() -> None:
    """Five kinds, twice for each image: 16 groups of images need no more kernels than 4."""
    counts = []
    for batch in (16, 64):
        images = torch.randint(256, (batch, 3, 16, 8), dtype=torch.uint8, device="cuda")
        random = torch.Generator("cuda").manual_seed(0)
        with torch.device("cuda"):
            counts.append(counted(lambda images=images, random=random: strong_view(images, RandAugment(), random)))
    assert all(count.syncs == 0 and count.kernels <= 270 and count.uploads <= 20 for count in counts)
