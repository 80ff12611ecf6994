"""Config nodes of exchangeable parts: one base class for each slot, and the kinds that may fill it.

A subclass of a slot's base becomes a choice of that slot by having a `kind`:

    @dataclass(frozen=True)
    class Huber(TargetsConfig):
        '''Pseudo similarity targets under a Huber loss.'''

        kind: ClassVar[str] = "huber"
        width: float = option(1.0, "where the loss turns linear", gt=0, le=10)

Edits, config files, search spaces and `gckd config` accept the new kind at once. The class that the node configures is
registered in the `Registry` of its slot.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from gckd.config.banks import GraphNodes
from gckd.config.fields import ConfigError, option


@dataclass(frozen=True)
class Component:
    """Config node of an exchangeable part. Direct subclasses are slots; their subclasses are the choices of a slot."""

    kind: ClassVar[str]
    off: ClassVar[bool] = False  # whether the component does nothing; true for the "none" of a slot
    _choices: ClassVar[dict[str, type[Component]]]

    def __init_subclass__(cls) -> None:
        if Component in cls.__bases__:
            cls._choices = {}
        elif "kind" in cls.__dict__:
            cls._add_choice()
        elif hasattr(cls, "kind"):
            raise ConfigError([f"{cls.__qualname__}: no kind; a subclass of a component needs a kind of its own"])

    @classmethod
    def _add_choice(cls) -> None:
        present = cls._choices.get(cls.kind, cls)
        # A notebook cell that runs twice defines the same class twice.
        if (present.__module__, present.__qualname__) != (cls.__module__, cls.__qualname__):
            where = f"{present.__module__}.{present.__qualname__}"
            raise ConfigError([f"{cls.__qualname__}: kind {cls.kind!r} is taken by {where}; choose another kind"])
        cls._choices[cls.kind] = cls

    @classmethod
    def is_slot(cls) -> bool:
        """Whether this is the base class of a slot."""
        return Component in cls.__bases__

    @classmethod
    def choices(cls) -> tuple[type[Component], ...]:
        """Every node class that may fill this slot, plugins included.

        Raises:
            ConfigError: a class is not a dataclass, or a field of it has no documentation.
        """
        if problems := [line for choice in cls._choices.values() for line in choice._definition_problems()]:
            raise ConfigError(problems)
        return tuple(cls._choices.values())

    @classmethod
    def _definition_problems(cls) -> Iterator[str]:
        # A class definition cannot check this: the decorator that makes the dataclass runs after it.
        if "__dataclass_fields__" not in cls.__dict__:
            yield f"{cls.__qualname__}: not a dataclass; write @dataclass(frozen=True) above it"
            return
        for field in dataclasses.fields(cls):
            if "limits" not in field.metadata:
                yield f"{cls.__qualname__}.{field.name}: no documentation; make its default with option() or section()"

    def problems(self, config: Any) -> Iterator[str]:
        """Problems that involve other fields, one line each, such as `path: value is outside its limit: ...`.

        Args:
            config: the whole `Config` that holds this component.
        """
        yield from ()


@dataclass(frozen=True)
class TokenizerConfig(Component):
    """Vocabulary of the captions."""

    @property
    def pretrained(self) -> str:
        """Local folder or hub name of a pretrained tokenizer; empty: trained on the captions."""
        return ""

    @property
    def masks_unseen(self) -> bool:
        """Whether words that no source caption holds start adaptation with the embedding of [MASK]."""
        return False


@dataclass(frozen=True)
class AugmentationConfig(Component):
    """The student's strong view of images and captions."""

    word_dropout: float = option(0.0, "share of caption tokens replaced by [MASK]", ge=0, lt=1)

    def scaled(self, strength: float) -> Self:
        """The same augmentation with every strength and rate (float field) times `strength`, in [0, 1]."""
        names = [field.name for field in dataclasses.fields(self) if field.type in ("float", float)]
        return dataclasses.replace(self, **{name: getattr(self, name) * strength for name in names})


@dataclass(frozen=True)
class BackboneConfig(Component):
    """Image, text and fusion encoder."""

    weights: str = option("", "pretrained weights to start from; empty: random weights")

    weights_are_a_file: ClassVar[bool] = False  # whether `weights` is a checkpoint file, not a folder or hub name
    has_mlm_head: ClassVar[bool] = False  # whether there is a head for masked language modelling

    @property
    def caption_form(self) -> str:
        """Form of the captions that its pretrained weights expect: `written` or `albef`."""
        return "written"

    @property
    def has_fusion(self) -> bool:
        """Whether there is a fusion encoder, which matching and re-ranking need."""
        return True


@dataclass(frozen=True)
class NeighbourSearchConfig(Component):
    """Search of the nearest neighbours in a graph (eq. 3)."""

    @property
    def approximate(self) -> bool:
        """Whether the search may miss a neighbour, so that the curves show its recall."""
        return True


@dataclass(frozen=True)
class PropagationConfig(Component):
    """Message passing (GMP)."""

    on_similarities: ClassVar[bool] = False  # whether it changes pseudo similarities; else embeddings
    joins_items: ClassVar[bool] = False  # whether it can embed an item that is in no bank, as evaluate.propagate asks
    reads_source: ClassVar[bool] = False  # whether its graphs have nodes of the source banks

    @property
    def neighbours(self) -> int:
        """K: neighbours per node; 0: no graph."""
        return 0

    @property
    def neighbour_search(self) -> NeighbourSearchConfig | None:
        """Search of the nearest neighbours; None: exact search."""
        return None

    @property
    def learns(self) -> bool:
        """Whether it has weights, which learn from source identities."""
        return False

    def graphs(self) -> list[GraphNodes]:
        """Its graphs over the four banks."""
        return []


@dataclass(frozen=True)
class TeacherConfig(Component):
    """The model that the targets come from."""

    @property
    def starts_from_momentum(self) -> bool:
        """Whether it starts as the momentum model of pre-training, not as the student."""
        return False


@dataclass(frozen=True)
class TargetsConfig(Component):
    """Loss on the target, and the pseudo labels that it pulls to."""

    pseudo_labels: ClassVar[bool] = True  # whether there is a distribution over the bank for each query
    needs_teacher: ClassVar[bool] = False
    needs_graph: ClassVar[bool] = False

    @property
    def temperature_scale(self) -> float:
        """Temperature of the targets as a multiple of tau."""
        return 1.0


@dataclass(frozen=True)
class MatchingConfig(Component):
    """Matching of target images and captions by the fusion encoder."""

    needs_source: ClassVar[bool] = False  # whether it reads source samples

    @property
    def least_cosine(self) -> float | None:
        """delta: cosine above which a pair is accepted; None: no pairs."""
        return None


@dataclass(frozen=True)
class AlignmentConfig(Component):
    """Loss that makes the embeddings of source and target look alike."""


@dataclass(frozen=True)
class MetricLossConfig(Component):
    """Metric loss on the source during adaptation, beside the contrastive loss."""


@dataclass(frozen=True)
class SelfSupervisionConfig(Component):
    """Loss within each modality of the target, which needs neither labels nor pseudo labels."""


@dataclass(frozen=True)
class ObjectiveConfig(Component):
    """Contrastive objective of source pre-training."""

    momentum_model: ClassVar[bool] = False  # whether it trains a momentum model, which a teacher may start from


@dataclass(frozen=True)
class OptimizerConfig(Component):
    """Optimiser of a stage of training."""
