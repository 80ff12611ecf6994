"""Random operations of ALBEF's RandAugment. kornia draws them on the CPU; each kind runs once for all of its images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from kornia.augmentation import GeometricAugmentationBase2D, IntensityAugmentationBase2D
from kornia.augmentation.auto import RandAugment as KorniaRandAugment
from kornia.augmentation.auto.operations.base import OperationBase
from kornia.augmentation.container.params import ParamItem
from kornia.geometry.transform import warp_affine
from torch import Tensor

from gckd.data.prefetch import on_default_device
from gckd.distributed import local_rows

GROUP = 4  # consecutive images that get the same operations; kornia draws operations once per call
LEVELS = 30  # number of kornia's magnitudes

# Operations of ALBEF's fine-tuning (`dataset/__init__.py` of salesforce/ALBEF at b9727e4), in kornia's ranges.
OPERATIONS: list[list[tuple[str, float, float | None]]] = [
    [("auto_contrast", 0, 1)],
    [("equalize", 0, 1)],
    [("brightness", 0.1, 1.9)],
    [("sharpness", 0.1, 1.9)],
    [("rotate", -30.0, 30.0)],
    [("shear_x", -0.3, 0.3)],
    [("shear_y", -0.3, 0.3)],
    [("translate_x", -0.1, 0.1)],
    [("translate_y", -0.1, 0.1)],
]


class DrawnOperation(NamedTuple):
    """Operation on a group of images, with one value of each parameter per image, on the CPU."""

    images: Tensor  # indices [n] of the group
    operation: GeometricAugmentationBase2D | IntensityAugmentationBase2D
    parameters: dict[str, Tensor]

    @property
    def kind(self) -> str:
        """Operations of one kind run together: all geometric ones are affine maps of the same form."""
        return "affine" if isinstance(self.operation, GeometricAugmentationBase2D) else type(self.operation).__name__

    def on(self, rows: Tensor) -> DrawnOperation:
        """The operation on those images that are among `rows` [b], which are consecutive, as indices into them."""
        is_local = torch.isin(self.images, rows)
        per_image = {name: value for name, value in self.parameters.items() if name != "forward_input_shape"}
        parameters = {name: value[is_local] for name, value in per_image.items()}
        return DrawnOperation(self.images[is_local] - rows[0], self.operation, parameters)

    def matrices(self, height: int, width: int) -> Tensor:
        """Affine maps [n, 2, 3] of a geometric operation, in pixels."""
        like = torch.zeros((), device="cpu").expand(len(self.images), 3, height, width)  # kornia reads its size only
        return self.operation.compute_transformation(like, self.parameters, self.operation.flags)[:, :2]


def random_operations(x: Tensor, operations: int, level: int, seed: int, batch: int) -> Tensor:
    """Random operations on this worker's rows [b, 3, H, W] of B = `batch` images in [0, 1].

    GROUP consecutive images of the batch get the same operations. The values of each image are those of kornia's
    policy, applied to its group alone.

    Args:
        operations: number of operations, one after another.
        level: strength, from 1 to LEVELS - 1.
    """
    with torch.device("cpu"):
        drawn = draw_operations(torch.Size((batch, *x.shape[1:])), operations, level, seed)
        rows = local_rows(torch.arange(batch))
    for each_group in zip(*drawn, strict=True):
        x = _apply(x, [operation.on(rows) for operation in each_group])
    return x


def draw_operations(shape: torch.Size, operations: int, level: int, seed: int) -> list[list[DrawnOperation]]:
    """Operations of each group of images [B, 3, H, W]. The CPU must be the default device.

    kornia draws some parameters on the CPU and others on the default device, and adds them. It draws from the global
    random stream of the CPU, whose state stays as it is.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        policy = KorniaRandAugment(operations, level, OPERATIONS)
        groups = []
        for images in torch.arange(shape[0]).split(GROUP):
            items = policy.forward_parameters(torch.Size((len(images), *shape[1:])))
            groups.append([_drawn(policy, item, images) for item in items])
        return groups


def _drawn(policy: KorniaRandAugment, item: ParamItem, images: Tensor) -> DrawnOperation:
    (wrapper,) = policy.get_submodule(item.name).children()
    assert isinstance(wrapper, OperationBase)
    assert isinstance(item.data, list)
    operation, parameters = wrapper.op, item.data[0].data
    assert isinstance(operation, GeometricAugmentationBase2D | IntensityAugmentationBase2D)
    assert isinstance(parameters, dict)
    return DrawnOperation(images, operation, parameters)


def _apply(x: Tensor, drawn: Sequence[DrawnOperation]) -> Tensor:
    """Images [B, 3, H, W] after one operation each."""
    kinds: dict[str, list[DrawnOperation]] = {}
    for operation in drawn:
        if len(operation.images):
            kinds.setdefault(operation.kind, []).append(operation)
    rows = [torch.cat([operation.images for operation in group]) for group in kinds.values()]
    order = torch.cat(rows)
    parts = x[on_default_device(order)].split([len(part) for part in rows])
    results = [_apply_kind(part, group) for part, group in zip(parts, kinds.values(), strict=True)]
    return torch.cat(results)[on_default_device(order.argsort())]


def _apply_kind(x: Tensor, drawn: Sequence[DrawnOperation]) -> Tensor:
    """Images [n, 3, H, W] after operations of one kind; n is the number of images of all of them."""
    if drawn[0].kind == "affine":
        size = x.shape[2], x.shape[3]
        matrices = torch.cat([operation.matrices(*size) for operation in drawn])
        return warp_affine(x, on_default_device(matrices), size, align_corners=True)
    names = drawn[0].parameters.keys()
    parameters = {name: torch.cat([operation.parameters[name] for operation in drawn]) for name in names}
    return drawn[0].operation.apply_transform(x, parameters, drawn[0].operation.flags)
