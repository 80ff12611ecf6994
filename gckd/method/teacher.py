"""The EMA teacher (eq. 5), and the student in its place."""

from __future__ import annotations

import copy
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from gckd.config.component import TeacherConfig
from gckd.config.distill import Ema, NoTeacher
from gckd.config.registry import Registry
from gckd.models.base import Backbone

M = TypeVar("M", bound=nn.Module)
M_co = TypeVar("M_co", bound=nn.Module, covariant=True)


class Teacher(Protocol[M_co]):
    """Model whose embeddings fill the banks (slot `distill.teacher`)."""

    def model(self) -> M_co:
        """The model itself."""
        ...

    def update(self, student: nn.Module) -> None:
        """Update the teacher after an optimiser step of the student."""
        ...


TEACHERS: Registry[TeacherConfig, Teacher[Backbone], Backbone] = Registry(TeacherConfig)


class EmaTeacher(nn.Module, Generic[M]):
    """Exponential moving average of the student (eq. 5).

        Theta_T <- m Theta_T + (1 - m) Theta_S

    Theta are all parameters and buffers. Theta_T starts as a copy of Theta_S; it has no gradient and no dropout.

    Example:
        >>> student = torch.nn.Linear(512, 256)
        >>> teacher = EmaTeacher(student, m=0.999)
        >>> teacher.model()(torch.randn(32, 512)).shape
        torch.Size([32, 256])
        >>> teacher.update(student)  # after each optimiser step

    Args:
        student: the model with the weights Theta_S.
        m: momentum in [0, 1).

    Differences from the paper: integer buffers (counters) are copied, because an average of counters is not a count.
    """

    def __init__(self, student: M, m: float = 0.999) -> None:
        super().__init__()
        self.m = m
        self.copy = copy.deepcopy(student).eval().requires_grad_(False)

    def model(self) -> M:
        return self.copy

    @torch.no_grad()
    def update(self, student: nn.Module) -> None:
        teacher_tensors, student_tensors = unique_tensors(self.copy), unique_tensors(student)
        pairs = list(zip(teacher_tensors, student_tensors, strict=True))
        averaged = [(t, s) for t, s in pairs if t.is_floating_point()]
        torch._foreach_lerp_([t for t, _ in averaged], [s for _, s in averaged], 1.0 - self.m)
        for teacher_tensor, student_tensor in pairs:
            if not teacher_tensor.is_floating_point():
                teacher_tensor.copy_(student_tensor)


class StudentAsTeacher(nn.Module, Generic[M]):
    """The student in the teacher's place: the banks hold detached embeddings of the student.

    Args:
        student: the model that is trained. Its weights are not part of this module's state.
    """

    def __init__(self, student: M) -> None:
        super().__init__()
        self._student = (student,)  # a tuple hides the student from `nn.Module`, so that it is not saved twice

    def model(self) -> M:
        return self._student[0]

    def update(self, student: nn.Module) -> None:
        """Do nothing: the student's own step has updated it."""


@TEACHERS.register(Ema)
def _ema(node: Ema, student: Backbone) -> Teacher[Backbone]:
    return EmaTeacher(student, node.m)


@TEACHERS.register(NoTeacher)
def _no_teacher(node: NoTeacher, student: Backbone) -> Teacher[Backbone]:
    return StudentAsTeacher(student)


def unique_tensors(module: nn.Module) -> list[Tensor]:
    """Parameters and persistent buffers of a module; tied parameters once."""
    state = module.state_dict(keep_vars=True)
    return list({id(tensor): tensor for tensor in state.values()}.values())
