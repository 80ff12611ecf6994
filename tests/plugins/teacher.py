"""Teacher: the source model, which adaptation never changes."""

import copy
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from gckd.extend import TEACHERS, Backbone, TeacherConfig


@dataclass(frozen=True)
class Frozen(TeacherConfig):
    """The source model, unchanged."""

    kind: ClassVar[str] = "frozen"


@TEACHERS.register(Frozen)
class FrozenTeacher(nn.Module):
    def __init__(self, node: Frozen, student: Backbone) -> None:
        super().__init__()
        self.copy = copy.deepcopy(student).eval().requires_grad_(False)

    def model(self) -> Backbone:
        return self.copy

    def update(self, student: nn.Module) -> None:
        pass
