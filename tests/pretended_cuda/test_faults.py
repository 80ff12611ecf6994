"""The pretended device refuses planted placement faults of each kind, and computes what is placed well."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.utils.checkpoint import checkpoint

from gckd.pretended_cuda.device import pretended_cuda
from gckd.pretended_cuda.tensor import PlacementError
from tests.pretended_cuda.marks import needs_pretended_cuda

pytestmark = needs_pretended_cuda


@pytest.fixture(autouse=True)
def device() -> Iterator[None]:
    with pretended_cuda():
        yield


def on_gpu(*shape: int) -> torch.Tensor:
    return torch.ones(shape, device="cuda")


def on_cpu(*shape: int) -> torch.Tensor:
    return torch.ones(shape, device="cpu")


def seeded(device: str) -> torch.Generator:
    return torch.Generator(device).manual_seed(1)


FAULTS: dict[str, Callable[[], object]] = {
    "sum": lambda: on_gpu(3) + on_cpu(3),
    "product": lambda: on_cpu(2, 3) @ on_gpu(3, 2),
    "concatenation": lambda: torch.cat((on_gpu(3), on_cpu(3))),
    "stack of numbers": lambda: torch.stack((on_gpu(), on_cpu())),
    "change of a CPU tensor": lambda: on_cpu(3).add_(on_gpu(3)),
    "change of a CPU number": lambda: on_cpu().add_(on_gpu()),
    "layer": lambda: nn.Linear(3, 3, device="cpu")(on_gpu(2, 3)),
    "embedding": lambda: nn.Embedding(4, 3, device="cuda")(torch.zeros(2, dtype=torch.long)),
    "index": lambda: on_cpu(3)[torch.zeros(1, dtype=torch.long, device="cuda")],
    "mask": lambda: on_cpu(3)[on_gpu(3) > 0],
    "assignment": lambda: on_gpu(3).__setitem__(torch.tensor([0, 1]), on_cpu(2)),
    "gather": lambda: on_gpu(3).gather(0, torch.zeros(1, dtype=torch.long)),
    "condition": lambda: torch.where(on_cpu(3) > 0, on_gpu(3), on_gpu(3)),
    "CPU generator": lambda: torch.rand(3, device="cuda", generator=seeded("cpu")),
    "CUDA generator": lambda: torch.rand(3, device="cpu", generator=seeded("cuda")),
    "permutation": lambda: torch.randperm(3, generator=seeded("cuda"), device="cpu"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_placement_fault_is_refused(name: str) -> None:
    with pytest.raises(PlacementError, match="pretended CUDA"):
        FAULTS[name]()


def test_conversion_to_numpy_is_refused() -> None:
    with pytest.raises(TypeError, match="copy it to the CPU first"):
        on_gpu(3).numpy()
    assert on_gpu(3).cpu().numpy().tolist() == [1.0, 1.0, 1.0]


def test_a_fault_in_the_backward_pass_is_refused() -> None:
    class Misplaced(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: object, gradient: torch.Tensor) -> torch.Tensor:
            return gradient + on_cpu(3)

    with pytest.raises(PlacementError):
        Misplaced.apply(on_gpu(3).requires_grad_()).sum().backward()


@pytest.mark.parametrize(("backend", "refused"), [("nccl", True), ("cpu:gloo,cuda:nccl", False), ("gloo", False)])
def test_cpu_tensors_are_refused_under_nccl_alone(tmp_path: Path, backend: str, refused: bool) -> None:
    dist.init_process_group(backend, init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        dist.all_reduce(on_gpu(2))
        dist.barrier()
        if refused:
            with pytest.raises(PlacementError, match="NCCL transfers no CPU tensors"):
                dist.all_reduce(on_cpu(2))
        else:
            dist.all_reduce(on_cpu(2))
    finally:
        dist.destroy_process_group()


CLEAN: dict[str, Callable[[], torch.Tensor]] = {
    "factory": lambda: on_gpu(3),
    "copy": lambda: on_cpu(3).to("cuda"),
    "filled": lambda: torch.empty(3, device="cuda").copy_(on_cpu(3)),
    "list": lambda: torch.tensor([1.0, 1.0, 1.0], device="cuda"),
    "number": lambda: on_gpu(3) * on_cpu(),
    "CPU index": lambda: on_gpu(5)[torch.tensor([0, 1, 3])],
    "assigned number": lambda: torch.where(on_gpu(3) > 2, on_gpu(3), on_cpu()),
    "new shape": lambda: on_gpu(3).unsqueeze_(0).squeeze_(0),
    "layer": lambda: nn.Linear(2, 3).to("cuda")(on_gpu(2)) * 0 + 1,
    "copied layer": lambda: copy.deepcopy(nn.Linear(2, 3).to("cuda"))(on_gpu(2)) * 0 + 1,
}


@pytest.mark.parametrize("name", CLEAN)
def test_a_well_placed_operation_is_computed_on_the_gpu(name: str) -> None:
    result = CLEAN[name]()
    assert result.device.type == "cuda" and result.is_cuda and not result.is_cpu
    assert result.tolist() == [1.0, 1.0, 1.0]
    assert result.cpu().device.type == "cpu" and not result.cpu().is_cuda


def test_the_default_device_creates_tensors_on_the_gpu() -> None:
    assert torch.ones(3).device.type == "cpu"
    with torch.device("cuda"):
        assert torch.ones(3).is_cuda and torch.get_default_device().type == "cuda"
        assert all(parameter.is_cuda for parameter in nn.Linear(2, 2).parameters())


def trained_layer(device: str, layer: Callable[[nn.Module, torch.Tensor], torch.Tensor]) -> list[float]:
    """Weight of a layer after three steps of Adam."""
    torch.manual_seed(0)
    module = nn.Linear(3, 1).to(device)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (layer(module, torch.arange(6.0, device=device).view(2, 3)) ** 2).sum().backward()
        optimizer.step()
    return module.weight.detach().cpu().flatten().tolist()


@pytest.mark.parametrize("checkpointed", [False, True])
def test_training_equals_training_on_the_cpu(checkpointed: bool) -> None:
    def layer(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return checkpoint(module, x, use_reentrant=False) if checkpointed else module(x)

    assert trained_layer("cuda", layer) == trained_layer("cpu", layer)


def test_autocast_follows_the_rules_of_cuda() -> None:
    with torch.autocast("cuda", torch.bfloat16):
        product = on_gpu(2, 2) @ on_gpu(2, 2)
        assert product.dtype == torch.bfloat16
        assert torch.softmax(product, 0).dtype == torch.float32


def test_files_of_the_gpu_are_readable_on_the_cpu(tmp_path: Path) -> None:
    torch.save({"weight": on_gpu(3)}, tmp_path / "file.pt")
    loaded = torch.load(tmp_path / "file.pt", weights_only=True)["weight"]
    assert type(loaded) is torch.Tensor and loaded.tolist() == [1.0, 1.0, 1.0]
