"""Objects that an adaptation step works with."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from torch import nn

from gckd.config.schema import Config
from gckd.data.batches import Feed
from gckd.graph.knn import NeighbourSearch
from gckd.graph.similarity import Similarity
from gckd.method.alignment import AlignmentLoss
from gckd.method.banks import Banks
from gckd.method.matching import MatchingLoss
from gckd.method.metric_loss import MetricLoss
from gckd.method.propagation import EmbeddingPropagation
from gckd.method.pseudo_labels import PseudoLabeller, TargetLoss
from gckd.method.self_supervision import SelfSupervisedLoss
from gckd.method.teacher import Teacher
from gckd.method.weight_average import WeightAverage
from gckd.models.base import Backbone


@dataclass(frozen=True)
class Parts:
    """One object per component slot of the method, the data feed, the student and the banks."""

    config: Config
    feed: Feed
    student: Backbone
    teacher: Teacher[Backbone]
    banks: Banks
    search: NeighbourSearch
    propagate: EmbeddingPropagation
    similarity: Similarity
    target_loss: TargetLoss
    matching: MatchingLoss
    align: AlignmentLoss
    metric: MetricLoss
    selfsup: SelfSupervisedLoss
    average: WeightAverage | None  # None: the student is evaluated as it is

    @property
    def labeller(self) -> PseudoLabeller:
        """Source of the pseudo labels; `NoPseudoLabels` if the target loss uses none."""
        return self.target_loss.labeller

    @property
    def opens_target(self) -> bool:
        """Whether any loss term reads target batches."""
        distill = self.config.distill
        nodes = distill.targets, distill.matching, self.config.align, self.config.selfsup
        return not all(node.off for node in nodes)

    def evaluated(self) -> AbstractContextManager[None]:
        """Context in which the student has the weights that are evaluated."""
        return self.average.applied(self.student) if self.average else nullcontext()

    def stateful(self) -> dict[str, nn.Module]:
        """Modules that are trained and saved in a checkpoint, by name."""
        # The similarity is part of the target loss.
        parts = {name: part for name, part in vars(self).items() if name != "similarity"}
        return {name: part for name, part in parts.items() if isinstance(part, nn.Module)}
