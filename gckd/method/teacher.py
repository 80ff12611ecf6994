"""The EMA teacher (eq. 5), and the object that stands for its absence."""

from __future__ import annotations

import copy
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from gckd.config.distill import Ema

M = TypeVar("M", bound=nn.Module)
M_co = TypeVar("M_co", bound=nn.Module, covariant=True)


class Teacher(Protocol[M_co]):
    """Gives the model that fills the banks, and follows the student after each of its steps."""

    def model(self) -> M_co: ...

    def follow(self, student: nn.Module) -> None: ...


class EmaTeacher(nn.Module, Generic[M]):
    """Theta_T <- m Theta_T + (1 - m) Theta_S over parameters and buffers; starts as a copy of the student.

    Whole-number buffers (counters) cannot be averaged and are copied.
    """

    def __init__(self, config: Ema, student: M) -> None:
        super().__init__()
        self.m = config.m
        self.copy = copy.deepcopy(student).eval().requires_grad_(False)

    def model(self) -> M:
        return self.copy

    @torch.no_grad()
    def follow(self, student: nn.Module) -> None:
        ours, theirs = _tensors(self.copy), _tensors(student)
        floats = [i for i, tensor in enumerate(ours) if tensor.is_floating_point()]
        torch._foreach_lerp_([ours[i] for i in floats], [theirs[i] for i in floats], 1.0 - self.m)
        for i in set(range(len(ours))) - set(floats):
            ours[i].copy_(theirs[i])


class StudentAsTeacher(nn.Module, Generic[M]):
    """No teacher: the banks hold detached embeddings of the student."""

    def __init__(self, student: M) -> None:
        super().__init__()
        self._student = (student,)  # in a tuple, so that its weights are not saved twice

    def model(self) -> M:
        return self._student[0]

    def follow(self, student: nn.Module) -> None:
        """The student is where it is."""


def _tensors(module: nn.Module) -> list[Tensor]:
    """Parameters, then the buffers that are saved; tied parameters once."""
    saved = module.state_dict(keep_vars=True)
    return list({id(tensor): tensor for tensor in saved.values()}.values())
