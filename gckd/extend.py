"""Names that a plugin needs: config bases, registries and protocols of every slot. Each is imported on first use.

# my_losses.py; use it with: gckd train --plugin my_losses.py --set align=mean ...
from gckd.extend import ALIGNMENTS, AlignmentConfig, option
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gckd.config.component import AlignmentConfig as AlignmentConfig
    from gckd.config.component import AugmentationConfig as AugmentationConfig
    from gckd.config.component import BackboneConfig as BackboneConfig
    from gckd.config.component import MatchingConfig as MatchingConfig
    from gckd.config.component import MetricLossConfig as MetricLossConfig
    from gckd.config.component import NeighbourSearchConfig as NeighbourSearchConfig
    from gckd.config.component import ObjectiveConfig as ObjectiveConfig
    from gckd.config.component import OptimizerConfig as OptimizerConfig
    from gckd.config.component import PropagationConfig as PropagationConfig
    from gckd.config.component import SelfSupervisionConfig as SelfSupervisionConfig
    from gckd.config.component import TargetsConfig as TargetsConfig
    from gckd.config.component import TeacherConfig as TeacherConfig
    from gckd.config.fields import ConfigError as ConfigError
    from gckd.config.fields import option as option
    from gckd.config.fields import section as section
    from gckd.config.schema import Config as Config
    from gckd.data.batches import Feed as Feed
    from gckd.data.readers import DatasetReader as DatasetReader
    from gckd.data.readers import register_reader as register_reader
    from gckd.data.transforms import AUGMENTATIONS as AUGMENTATIONS
    from gckd.data.transforms import Augmentation as Augmentation
    from gckd.data.transforms import clean_view as clean_view
    from gckd.data.types import Record as Record
    from gckd.data.types import SplitCounts as SplitCounts
    from gckd.data.types import TargetBatch as TargetBatch
    from gckd.distributed import local_rows as local_rows
    from gckd.errors import InputError as InputError
    from gckd.graph.knn import Neighbours as Neighbours
    from gckd.graph.knn import NeighbourSearch as NeighbourSearch
    from gckd.graph.neighbour_search import NEIGHBOUR_SEARCHES as NEIGHBOUR_SEARCHES
    from gckd.graph.similarity import BankPair as BankPair
    from gckd.graph.similarity import DirectSimilarity as DirectSimilarity
    from gckd.graph.similarity import RetrievalDirection as RetrievalDirection
    from gckd.graph.similarity import Similarity as Similarity
    from gckd.method.alignment import ALIGNMENTS as ALIGNMENTS
    from gckd.method.alignment import AlignmentLoss as AlignmentLoss
    from gckd.method.alignment import StudentEmbeddings as StudentEmbeddings
    from gckd.method.banks import Banks as Banks
    from gckd.method.banks import PerBank as PerBank
    from gckd.method.losses import identity_targets as identity_targets
    from gckd.method.losses import matching_loss as matching_loss
    from gckd.method.losses import soft_cross_entropy as soft_cross_entropy
    from gckd.method.matching import MATCHINGS as MATCHINGS
    from gckd.method.matching import MatchingLoss as MatchingLoss
    from gckd.method.matching import TargetQueries as TargetQueries
    from gckd.method.metric_loss import METRIC_LOSSES as METRIC_LOSSES
    from gckd.method.metric_loss import CrossModalMetricLoss as CrossModalMetricLoss
    from gckd.method.metric_loss import MetricLoss as MetricLoss
    from gckd.method.propagation import PROPAGATIONS as PROPAGATIONS
    from gckd.method.propagation import BankPropagation as BankPropagation
    from gckd.method.propagation import EmbeddingPropagation as EmbeddingPropagation
    from gckd.method.pseudo_labels import TARGETS as TARGETS
    from gckd.method.pseudo_labels import NoPseudoLabels as NoPseudoLabels
    from gckd.method.pseudo_labels import PseudoLabeller as PseudoLabeller
    from gckd.method.pseudo_labels import PseudoLabelLoss as PseudoLabelLoss
    from gckd.method.pseudo_labels import PseudoLabels as PseudoLabels
    from gckd.method.pseudo_labels import StudentQueries as StudentQueries
    from gckd.method.pseudo_labels import TargetLoss as TargetLoss
    from gckd.method.self_supervision import SELF_SUPERVISIONS as SELF_SUPERVISIONS
    from gckd.method.self_supervision import SelfSupervisedLoss as SelfSupervisedLoss
    from gckd.method.teacher import TEACHERS as TEACHERS
    from gckd.method.teacher import Teacher as Teacher
    from gckd.models.base import BACKBONES as BACKBONES
    from gckd.models.base import Backbone as Backbone
    from gckd.models.base import Encoded as Encoded
    from gckd.models.base import InputSizes as InputSizes
    from gckd.models.base import layer_norms as layer_norms
    from gckd.models.base import log_temperature as log_temperature
    from gckd.training.objectives import OBJECTIVES as OBJECTIVES
    from gckd.training.objectives import Objective as Objective
    from gckd.training.objectives import strong_views as strong_views
    from gckd.training.optimizer import OPTIMIZERS as OPTIMIZERS
    from gckd.training.optimizer import decay_groups as decay_groups
    from gckd.tune.space.range_type import RangeType as RangeType
    from gckd.validators import UnlabelledEmbeddings as UnlabelledEmbeddings
    from gckd.validators import register_score as register_score

_MODULES = {
    "gckd.config.component": (
        "AlignmentConfig",
        "AugmentationConfig",
        "BackboneConfig",
        "MatchingConfig",
        "MetricLossConfig",
        "NeighbourSearchConfig",
        "ObjectiveConfig",
        "OptimizerConfig",
        "PropagationConfig",
        "SelfSupervisionConfig",
        "TargetsConfig",
        "TeacherConfig",
    ),
    "gckd.config.fields": ("ConfigError", "option", "section"),
    "gckd.config.schema": ("Config",),
    "gckd.data.batches": ("Feed",),
    "gckd.data.readers": ("DatasetReader", "register_reader"),
    "gckd.data.transforms": ("AUGMENTATIONS", "Augmentation", "clean_view"),
    "gckd.data.types": ("Record", "SplitCounts", "TargetBatch"),
    "gckd.distributed": ("local_rows",),
    "gckd.errors": ("InputError",),
    "gckd.graph.knn": ("NeighbourSearch", "Neighbours"),
    "gckd.graph.neighbour_search": ("NEIGHBOUR_SEARCHES",),
    "gckd.graph.similarity": ("BankPair", "DirectSimilarity", "RetrievalDirection", "Similarity"),
    "gckd.method.alignment": ("ALIGNMENTS", "AlignmentLoss", "StudentEmbeddings"),
    "gckd.method.banks": ("Banks", "PerBank"),
    "gckd.method.losses": ("identity_targets", "matching_loss", "soft_cross_entropy"),
    "gckd.method.matching": ("MATCHINGS", "MatchingLoss", "TargetQueries"),
    "gckd.method.metric_loss": ("CrossModalMetricLoss", "METRIC_LOSSES", "MetricLoss"),
    "gckd.method.propagation": ("BankPropagation", "EmbeddingPropagation", "PROPAGATIONS"),
    "gckd.method.pseudo_labels": (
        "NoPseudoLabels",
        "PseudoLabelLoss",
        "PseudoLabeller",
        "PseudoLabels",
        "StudentQueries",
        "TARGETS",
        "TargetLoss",
    ),
    "gckd.method.self_supervision": ("SELF_SUPERVISIONS", "SelfSupervisedLoss"),
    "gckd.method.teacher": ("TEACHERS", "Teacher"),
    "gckd.models.base": ("BACKBONES", "Backbone", "Encoded", "InputSizes", "layer_norms", "log_temperature"),
    "gckd.training.objectives": ("OBJECTIVES", "Objective", "strong_views"),
    "gckd.training.optimizer": ("OPTIMIZERS", "decay_groups"),
    "gckd.tune.space.range_type": ("RangeType",),
    "gckd.validators": ("UnlabelledEmbeddings", "register_score"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


if not TYPE_CHECKING:  # for mypy, a module with __getattr__ has every attribute

    def __getattr__(name: str) -> object:
        """Import a name at first use."""
        if name not in _MODULE_OF:
            raise AttributeError(f"gckd.extend has no name {name!r}; choose from {', '.join(__dir__())}")
        return getattr(importlib.import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(_MODULE_OF)
