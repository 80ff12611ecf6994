"""Everything a step works with, and the one table from config types to classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gckd.config.distill import (
    CrossDomainMatching,
    Ema,
    MutualNeighbours,
    NoMatching,
    NoTargets,
    NoTeacher,
    SoftTargets,
)
from gckd.config.graph import Diffusion, Gnn, NoPropagation, node_count
from gckd.config.schema import Config
from gckd.config.train import CrossBatchMemory, MomentumDistillation
from gckd.distill.targets import MutualNearest, NoTarget, PseudoSimilarity, Targets
from gckd.distill.teacher import EmaTeacher, StudentItself, Teacher
from gckd.errors import InputError
from gckd.graph.propagation import Identity, Propagation
from gckd.graph.similarity import Diffused, Direct
from gckd.model.albef import AlbefModel
from gckd.train.banks import Banks
from gckd.train.feed import Feed
from gckd.train.matching import CrossDomainMatchingTerm, Matching, NoMatchingTerm
from gckd.train.momentum import Momentum
from gckd.train.objectives import CrossBatch
from gckd.train.randomness import derived_seed


@dataclass(frozen=True)
class Parts:
    """The objects a config names, ready for a step. `propagate` holds one module for images and one for texts."""

    config: Config
    feed: Feed
    student: AlbefModel
    teacher: Teacher[AlbefModel]
    banks: Banks
    propagate: nn.ModuleList
    targets: Targets
    matching: Matching

    def stateful(self) -> dict[str, nn.Module]:
        """What a checkpoint must hold."""
        modules = {"student": self.student, "teacher": self.teacher, "banks": self.banks, "propagate": self.propagate}
        return {name: module for name, module in modules.items() if isinstance(module, nn.Module)}


_BUILD: dict[type, Callable[..., Any]] = {
    Gnn: lambda node, config: Propagation(node, config.backbone.embed_dim),
    Diffusion: lambda node, config: Identity(),
    NoPropagation: lambda node, config: Identity(),
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


def build(node: Any, *arguments: Any) -> Any:
    """The object of a component's config node."""
    return _BUILD[type(node)](node, *arguments)


def build_model(config: Config, vocab_size: int) -> AlbefModel:
    """A randomly initialised backbone; the same config gives the same weights."""
    torch.manual_seed(derived_seed(config.seed, "weights"))
    return AlbefModel(
        config.backbone,
        vocab_size=vocab_size,
        height=config.data.height,
        width=config.data.width,
        max_tokens=config.data.max_tokens,
    )


def build_parts(config: Config, feed: Feed, student: AlbefModel) -> Parts:
    """The parts of the method for a student with source-trained weights.

    Raises:
        InputError: K is not below the number of nodes that these datasets give.
    """
    torch.manual_seed(derived_seed(config.seed, "parts"))
    graph = config.graph.propagate
    banks = Banks(config.graph.memory.capacity, config.backbone.embed_dim, feed.source, feed.target)
    _check_nodes(graph, banks)
    return Parts(
        config=config,
        feed=feed,
        student=student,
        teacher=build(config.distill.teacher, student),
        banks=banks,
        propagate=nn.ModuleList(build(graph, config) for _ in ("image", "text")),
        targets=build(config.distill.targets, Diffused(graph) if isinstance(graph, Diffusion) else Direct()),
        matching=build(config.distill.matching, feed, student, banks),
    )


def _check_nodes(graph: Gnn | Diffusion | NoPropagation, banks: Banks) -> None:
    sizes = [len(bank.embeddings) for bank in banks.all()]
    nodes = min(node_count(graph, sizes[0], sizes[2]), node_count(graph, sizes[1], sizes[3]))
    if not isinstance(graph, NoPropagation) and graph.k >= nodes:
        raise InputError(f"graph.propagate.k: K = {graph.k} is outside its limit: < {nodes} nodes of these datasets")
