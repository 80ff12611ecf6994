"""Everything a step works with, and the one table from config types to classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gckd.config.align import Adversarial, Mmd, NoAlignment
from gckd.config.backbone import Albef, Blip, Clip
from gckd.config.distill import (
    CrossDomainMatching,
    Ema,
    EntropyMinimisation,
    MutualNeighbours,
    NoMatching,
    NoTargets,
    NoTeacher,
    PropagatedLabels,
    SoftTargets,
    TransportCost,
)
from gckd.config.graph import Diffusion, Gnn, NoPropagation, graphs
from gckd.config.metric import MultiSimilarity, NoMetric, Triplet
from gckd.config.schema import Config
from gckd.config.train import CrossBatchMemory, MomentumDistillation
from gckd.data.records import Vocabulary
from gckd.distill.adversarial import AdversarialTerm
from gckd.distill.align import Alignment, NoAlignmentTerm
from gckd.distill.entropy import Entropy
from gckd.distill.labels import LabelPropagation
from gckd.distill.mmd import MmdTerm
from gckd.distill.targets import MutualNearest, NoTargetLoss, PseudoSimilarity, TargetLoss, Targets
from gckd.distill.teacher import EmaTeacher, StudentItself, Teacher
from gckd.distill.transport import Transport
from gckd.errors import InputError
from gckd.graph.graphs import Graphs, message_passing
from gckd.graph.similarity import Diffused, Direct
from gckd.model.albef import AlbefModel
from gckd.model.backbone import Backbone
from gckd.model.blip import BlipBackbone
from gckd.model.clip import ClipBackbone
from gckd.train.banks import Banks
from gckd.train.feed import Feed
from gckd.train.follow import FollowTargets
from gckd.train.matching import CrossDomainMatchingTerm, Matching, NoMatchingTerm
from gckd.train.metric import Metric, NoMetricTerm, multi_similarity, triplet
from gckd.train.momentum import Momentum
from gckd.train.objectives import CrossBatch
from gckd.train.randomness import derived_seed


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
    matching: Matching
    align: Alignment
    metric: Metric

    @property
    def targets(self) -> Targets:
        """The pseudo targets that the target loss pulls to; rows of zeros where it has none."""
        return self.target_loss.targets

    @property
    def opens_target(self) -> bool:
        """Whether any term reads the target."""
        config = self.config
        off = (config.distill.targets, NoTargets), (config.distill.matching, NoMatching), (config.align, NoAlignment)
        return not all(isinstance(node, nothing) for node, nothing in off)

    def stateful(self) -> dict[str, nn.Module]:
        """What is trained, and what a checkpoint must hold."""
        names = "student", "teacher", "banks", "propagate", "align"
        modules = {name: getattr(self, name) for name in names}
        return {name: module for name, module in modules.items() if isinstance(module, nn.Module)}


_BUILD: dict[type, Callable[..., Any]] = {
    Gnn: lambda node, width: message_passing(node, width),
    Diffusion: lambda node, width: Graphs(),
    NoPropagation: lambda node, width: Graphs(),
    Ema: lambda node, student: EmaTeacher(node, student),
    NoTeacher: lambda node, student: StudentItself(student),
    SoftTargets: lambda node, similarity: FollowTargets(PseudoSimilarity(node, similarity)),
    MutualNeighbours: lambda node, similarity: FollowTargets(MutualNearest(similarity)),
    TransportCost: lambda node, similarity: Transport(node),
    PropagatedLabels: lambda node, similarity: FollowTargets(LabelPropagation(node)),
    EntropyMinimisation: lambda node, similarity: Entropy(),
    NoTargets: lambda node, similarity: NoTargetLoss(),
    CrossDomainMatching: lambda node, *parts: CrossDomainMatchingTerm(node, *parts),
    NoMatching: lambda node, *parts: NoMatchingTerm(),
    Mmd: lambda node, width: MmdTerm(node),
    Adversarial: lambda node, width: AdversarialTerm(node, width),
    NoAlignment: lambda node, width: NoAlignmentTerm(),
    Triplet: lambda node: triplet(node),
    MultiSimilarity: lambda node: multi_similarity(node),
    NoMetric: lambda node: NoMetricTerm(),
    CrossBatchMemory: lambda node, config, feed, model, copies: CrossBatch(node, config, feed, model),
    MomentumDistillation: lambda node, *parts: Momentum(node, *parts),
}


_BACKBONES: dict[type, Callable[..., Backbone]] = {Albef: AlbefModel, Clip: ClipBackbone, Blip: BlipBackbone}


def build(node: Any, *arguments: Any) -> Any:
    """The object of a component's config node."""
    return _BUILD[type(node)](node, *arguments)


def build_model(config: Config, vocabulary: Vocabulary) -> Backbone:
    """A backbone, randomly initialised unless it comes whole from transformers; the same config gives the same one."""
    torch.manual_seed(derived_seed(config.seed, "weights"))
    size = {"height": config.data.height, "width": config.data.width, "max_tokens": config.data.max_tokens}
    model: Backbone = _BACKBONES[type(config.backbone)](config.backbone, vocabulary=vocabulary, **size)
    return model


def build_parts(config: Config, feed: Feed, student: Backbone) -> Parts:
    """The parts of the method for a student with source-trained weights.

    Raises:
        InputError: K is not below the number of nodes that these datasets give.
    """
    torch.manual_seed(derived_seed(config.seed, "parts"))
    graph = config.graph.propagate
    capacities = config.graph.memory.capacities(config.adapt.batch)
    banks = Banks(capacities, student.embed_dim, feed.source, feed.target)
    _check_nodes(graph, banks)
    return Parts(
        config=config,
        feed=feed,
        student=student,
        teacher=build(config.distill.teacher, student),
        banks=banks,
        propagate=build(graph, student.embed_dim),
        target_loss=build(config.distill.targets, Diffused(graph) if isinstance(graph, Diffusion) else Direct()),
        matching=build(config.distill.matching, feed, student, banks),
        align=build(config.align, student.embed_dim),
        metric=build(config.metric),
    )


def _check_nodes(graph: Gnn | Diffusion | NoPropagation, banks: Banks) -> None:
    if isinstance(graph, NoPropagation):
        return
    sizes = [len(bank.embeddings) for bank in banks.all()]
    nodes = min(nodes.total(sizes) for nodes in graphs(graph))
    if graph.k >= nodes:
        raise InputError(f"graph.propagate.k: K = {graph.k} is outside its limit: < {nodes} nodes of these datasets")
