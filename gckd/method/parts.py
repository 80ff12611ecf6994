"""Objects that an adaptation step works with."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from gckd.config.schema import Config
from gckd.data.batches import Feed
from gckd.graph.propagation import Graphs
from gckd.method.alignment import AlignmentLoss
from gckd.method.banks import Banks
from gckd.method.matching import MatchingLoss
from gckd.method.metric_loss import MetricLoss
from gckd.method.pseudo_labels import TargetDistribution, TargetLoss
from gckd.method.teacher import Teacher
from gckd.models.base import Backbone


@dataclass(frozen=True)
class Parts:
    """The objects a config names, ready for a step."""

    config: Config
    feed: Feed
    student: Backbone
    teacher: Teacher[Backbone]
    banks: Banks
    propagate: Graphs
    target_loss: TargetLoss
    matching: MatchingLoss
    align: AlignmentLoss
    metric: MetricLoss

    @property
    def targets(self) -> TargetDistribution:
        """The pseudo targets that the target loss pulls to; rows of zeros where it has none."""
        return self.target_loss.targets

    @property
    def opens_target(self) -> bool:
        """Whether any term reads the target."""
        distill = self.config.distill
        return not (distill.targets.off and distill.matching.off and self.config.align.off)

    def stateful(self) -> dict[str, nn.Module]:
        """What is trained, and what a checkpoint must hold."""
        names = "student", "teacher", "banks", "propagate", "align"
        modules = {name: getattr(self, name) for name in names}
        return {name: module for name, module in modules.items() if isinstance(module, nn.Module)}
