"""Teacher, pseudo labels and cross-domain matching (CMKD)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gckd.config.component import MatchingConfig, TargetsConfig, TeacherConfig
from gckd.config.fields import option, section


@dataclass(frozen=True)
class Ema(TeacherConfig):
    """EMA teacher (eq. 5): parameters and buffers."""

    kind: ClassVar[str] = "ema"
    m: float = option(0.999, "momentum of the teacher", ge=0, lt=1)
    start: str = option(
        "student",
        "what it is at the first step: the source-trained student, or the momentum model of its pre-training (with "
        "pretrain.steps = 0: the momentum copies in backbone.weights)",
        choices=("student", "momentum"),
    )

    @property
    def starts_from_momentum(self) -> bool:
        return self.start == "momentum"


@dataclass(frozen=True)
class NoTeacher(TeacherConfig):
    """No teacher: the banks hold detached embeddings of the student itself."""

    kind: ClassVar[str] = "none"
    off: ClassVar[bool] = True


@dataclass(frozen=True)
class SoftTargets(TargetsConfig):
    """Pseudo similarity targets of the teacher (eq. 6-8)."""

    kind: ClassVar[str] = "soft"
    needs_teacher: ClassVar[bool] = True
    sharpen: float = option(1.0, "targets use temperature sharpen x tau", gt=0, le=4)
    agree: bool = option(False, "multiply p(key | query) by p(query | key): both directions must agree")
    confidence: float = option(0.0, "a row weighs exp(-confidence x its entropy in nats); 0 = all alike", ge=0, le=10)
    hard: bool = option(False, "all of a row on its most similar key; its entropy is 0 then")

    @property
    def temperature_scale(self) -> float:
        return self.sharpen


@dataclass(frozen=True)
class MutualNeighbours(TargetsConfig):
    """Targets without a teacher: mutual nearest neighbours between propagated target images and captions."""

    kind: ClassVar[str] = "mutual"
    needs_graph: ClassVar[bool] = True


@dataclass(frozen=True)
class TransportCost(TargetsConfig):
    """No targets: transport cost between target images and captions (POUF)."""

    kind: ClassVar[str] = "transport"
    pseudo_labels: ClassVar[bool] = False
    information: float = option(0.3, "weight of the mutual information of images and captions", ge=0, le=100)


@dataclass(frozen=True)
class PropagatedLabels(TargetsConfig):
    """Targets by label propagation, where the views of both modalities agree (ReCLIP)."""

    kind: ClassVar[str] = "labels"
    k: int = option(20, "neighbours per node, at most", unit="nodes", ge=1, le=1024)
    alpha: float = option(0.99, "how far labels go: weight of the neighbours' against a node's own", gt=0, lt=1)
    rank: int = option(250, "directions in which the labels differ most that are kept, at most", ge=1, le=65_536)


@dataclass(frozen=True)
class EntropyMinimisation(TargetsConfig):
    """No targets: the student is to be sure of what it retrieves for captions, where both sides choose each other."""

    kind: ClassVar[str] = "entropy"
    pseudo_labels: ClassVar[bool] = False


@dataclass(frozen=True)
class NoTargets(TargetsConfig):
    """Nothing is learned from the target."""

    kind: ClassVar[str] = "none"
    off: ClassVar[bool] = True
    pseudo_labels: ClassVar[bool] = False


@dataclass(frozen=True)
class CrossDomainMatching(MatchingConfig):
    """Binary matching of target images and captions (eq. 9)."""

    kind: ClassVar[str] = "cross"
    needs_source: ClassVar[bool] = True
    delta: float = option(0.8, "least cosine of an accepted positive pair", ge=-1, le=1)
    negatives: str = option(
        "hard", "which source entry is a pair's negative: the most similar one, or any", choices=("hard", "random")
    )

    @property
    def least_cosine(self) -> float:
        return self.delta


@dataclass(frozen=True)
class NoMatching(MatchingConfig):
    """No cross-domain matching."""

    kind: ClassVar[str] = "none"
    off: ClassVar[bool] = True


@dataclass(frozen=True)
class Distill:
    """Cross-modal knowledge distillation (CMKD)."""

    teacher: TeacherConfig = section(Ema, "the teacher, or none")
    targets: TargetsConfig = section(
        SoftTargets, "what the student's target distributions follow, or what is learned from the target instead"
    )
    matching: MatchingConfig = section(CrossDomainMatching, "cross-domain matching, or none")
    alpha: float = option(
        0.4, "weight of soft targets against identity targets on the source, ramped over the first epoch", ge=0, le=1
    )
