"""Everything a step works with, and the one table from config types to classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gckd.config.backbone import Albef, Blip, Clip
from gckd.config.distill import (
    CrossDomainMatching,
    Ema,
    MutualNeighbours,
    NoMatching,
    NoTargets,
    NoTeacher,
    SoftTargets,
)
from gckd.config.graph import Diffusion, Gnn, NoPropagation, graphs
from gckd.config.schema import Config
from gckd.config.train import CrossBatchMemory, MomentumDistillation
from gckd.data.records import Vocabulary
from gckd.distill.targets import MutualNearest, NoTarget, PseudoSimilarity, Targets
from gckd.distill.teacher import EmaTeacher, StudentItself, Teacher
from gckd.errors import InputError
from gckd.graph.graphs import Graphs, message_passing
from gckd.graph.similarity import Diffused, Direct
from gckd.model.albef import AlbefModel
from gckd.model.backbone import Backbone
from gckd.model.blip import BlipBackbone
from gckd.model.clip import ClipBackbone
from gckd.train.banks import Banks
from gckd.train.feed import Feed
from gckd.train.matching import CrossDomainMatchingTerm, Matching, NoMatchingTerm
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
    targets: Targets
    matching: Matching

    def stateful(self) -> dict[str, nn.Module]:
        """What a checkpoint must hold."""
        modules = {"student": self.student, "teacher": self.teacher, "banks": self.banks, "propagate": self.propagate}
        return {name: module for name, module in modules.items() if isinstance(module, nn.Module)}


_BUILD: dict[type, Callable[..., Any]] = {
    Gnn: lambda node, width: message_passing(node, width),
    Diffusion: lambda node, width: Graphs(),
    NoPropagation: lambda node, width: Graphs(),
    Ema: lambda node, student: EmaTeacher(node, student),
    NoTeacher: lambda node, student: StudentItself(student),
    SoftTargets: lambda node, similarity: PseudoSimilarity(node, similarity),
    MutualNeighbours: lambda node, similarity: MutualNearest(similarity),
    NoTargets: lambda node, similarity: NoTarget(),
    CrossDomainMatching: lambda node, *parts: CrossDomainMatchingTerm(node, *parts),
    NoMatching: lambda node, *parts: NoMatchingTerm(),
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
        targets=build(config.distill.targets, Diffused(graph) if isinstance(graph, Diffusion) else Direct()),
        matching=build(config.distill.matching, feed, student, banks),
    )


def _check_nodes(graph: Gnn | Diffusion | NoPropagation, banks: Banks) -> None:
    if isinstance(graph, NoPropagation):
        return
    sizes = [len(bank.embeddings) for bank in banks.all()]
    nodes = min(nodes.total(sizes) for nodes in graphs(graph))
    if graph.k >= nodes:
        raise InputError(f"graph.propagate.k: K = {graph.k} is outside its limit: < {nodes} nodes of these datasets")
