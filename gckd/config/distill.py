"""Teacher, pseudo labels and cross-domain matching (CMKD)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gckd.config.component import MatchingConfig, TargetsConfig, TeacherConfig
from gckd.config.fields import option, section


@dataclass(frozen=True)
class Ema(TeacherConfig):
    """EMA teacher (eq. 5): moving average of the student's parameters and buffers."""

    kind: ClassVar[str] = "ema"
    m: float = option(0.999, "momentum of the moving average", ge=0, lt=1)
    start: str = option(
        "student",
        "initial teacher: the source-trained student, or the momentum model of pre-training (with pretrain.steps = 0: "
        "the momentum copies in backbone.weights)",
        choices=("student", "momentum"),
    )

    @property
    def starts_from_momentum(self) -> bool:
        return self.start == "momentum"


@dataclass(frozen=True)
class NoTeacher(TeacherConfig):
    """No teacher. The banks hold detached embeddings of the student."""

    kind: ClassVar[str] = "none"
    off: ClassVar[bool] = True


@dataclass(frozen=True)
class SoftTargets(TargetsConfig):
    """Pseudo similarity targets of the teacher (eq. 6-8). The defaults are the paper's."""

    kind: ClassVar[str] = "soft"
    needs_teacher: ClassVar[bool] = True
    sharpen: float = option(
        1.0, "temperature of the targets, as a multiple of tau; below 1 they are sharper", gt=0, le=4
    )
    agree: bool = option(False, "multiply p(key | query) by p(query | key), so that both directions have to agree")
    confidence: float = option(
        0.0, "a query weighs exp(-confidence x entropy of its targets in nats); 0: all weigh the same", ge=0, le=10
    )
    hard: bool = option(False, "one-hot targets on the most similar key; their entropy is 0")

    @property
    def temperature_scale(self) -> float:
        return self.sharpen


@dataclass(frozen=True)
class MutualNeighbours(TargetsConfig):
    """One-hot targets without a teacher: mutual nearest neighbours of propagated target images and captions."""

    kind: ClassVar[str] = "mutual"
    needs_graph: ClassVar[bool] = True


@dataclass(frozen=True)
class TransportCost(TargetsConfig):
    """Transport cost between target images and captions, instead of pseudo targets (POUF)."""

    kind: ClassVar[str] = "transport"
    pseudo_labels: ClassVar[bool] = False
    information: float = option(0.3, "weight of the mutual information between images and captions", ge=0, le=100)


@dataclass(frozen=True)
class PropagatedLabels(TargetsConfig):
    """Pseudo targets by label propagation, where both modalities agree (ReCLIP)."""

    kind: ClassVar[str] = "labels"
    k: int = option(20, "largest number of neighbours per node", unit="nodes", ge=1, le=1024)
    alpha: float = option(
        0.99,
        "weight of the neighbours' labels against a node's own; labels travel farther with a larger one",
        gt=0,
        lt=1,
    )
    rank: int = option(
        250, "largest rank of the projection onto the directions in which labels differ most", ge=1, le=65_536
    )


@dataclass(frozen=True)
class EntropyMinimisation(TargetsConfig):
    """Entropy of retrieval instead of pseudo targets, for captions and images that retrieve each other (Tent)."""

    kind: ClassVar[str] = "entropy"
    pseudo_labels: ClassVar[bool] = False


@dataclass(frozen=True)
class NoTargets(TargetsConfig):
    """No loss on the target."""

    kind: ClassVar[str] = "none"
    off: ClassVar[bool] = True
    pseudo_labels: ClassVar[bool] = False


@dataclass(frozen=True)
class CrossDomainMatching(MatchingConfig):
    """Binary matching of target images and captions by the fusion encoder (eq. 9)."""

    kind: ClassVar[str] = "cross"
    needs_source: ClassVar[bool] = True
    delta: float = option(0.8, "delta: cosine that an accepted positive pair has to exceed", ge=-1, le=1)
    negatives: str = option(
        "hard",
        "source entry that is the negative of a pair: the most similar one, or a random one",
        choices=("hard", "random"),
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

    teacher: TeacherConfig = section(Ema, "teacher")
    targets: TargetsConfig = section(
        SoftTargets, "pseudo targets of the student on the target, or the loss in their place"
    )
    matching: MatchingConfig = section(CrossDomainMatching, "matching of target images and captions")
    alpha: float = option(
        0.4,
        "alpha: weight of soft targets against identity targets on the source, ramped up over the first epoch",
        ge=0,
        le=1,
    )
