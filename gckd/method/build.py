"""Everything a step works with, and the one table from config types to classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from gckd.config.component import PropagationConfig
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
from gckd.config.graph import Diffusion, Gnn, NoPropagation
from gckd.config.losses import Adversarial, Mmd, MultiSimilarity, NoAlignment, NoMetric, Triplet
from gckd.config.schema import Config
from gckd.data.batches import Feed
from gckd.errors import InputError
from gckd.graph.propagation import Graphs, message_passing
from gckd.graph.similarity import DiffusedSimilarity, DirectSimilarity
from gckd.method.alignment import AdversarialLoss, MmdLoss, NoAlignmentLoss
from gckd.method.banks import Banks
from gckd.method.baselines.pouf import TransportLoss
from gckd.method.baselines.reclip import LabelPropagation
from gckd.method.baselines.tent import EntropyLoss
from gckd.method.matching import CrossDomainMatchingLoss, NoMatchingLoss
from gckd.method.metric_loss import NoMetricLoss, multi_similarity, triplet
from gckd.method.parts import Parts
from gckd.method.pseudo_labels import MutualNearestNeighbours, NoTargetLoss, PseudoLabelLoss, PseudoLabels
from gckd.method.source_free import SourceFree
from gckd.method.step import CrossDomain, SourceOnly
from gckd.method.teacher import EmaTeacher, StudentAsTeacher
from gckd.models.base import Backbone
from gckd.seeding import derived_seed

_BUILD: dict[type, Callable[..., Any]] = {
    Gnn: lambda node, width: message_passing(node, width),
    Diffusion: lambda node, width: Graphs(),
    NoPropagation: lambda node, width: Graphs(),
    Ema: lambda node, student: EmaTeacher(node, student),
    NoTeacher: lambda node, student: StudentAsTeacher(student),
    SoftTargets: lambda node, similarity: PseudoLabelLoss(PseudoLabels(node, similarity)),
    MutualNeighbours: lambda node, similarity: PseudoLabelLoss(MutualNearestNeighbours(similarity)),
    TransportCost: lambda node, similarity: TransportLoss(node),
    PropagatedLabels: lambda node, similarity: PseudoLabelLoss(LabelPropagation(node)),
    EntropyMinimisation: lambda node, similarity: EntropyLoss(),
    NoTargets: lambda node, similarity: NoTargetLoss(),
    CrossDomainMatching: lambda node, *parts: CrossDomainMatchingLoss(node, *parts),
    NoMatching: lambda node, *parts: NoMatchingLoss(),
    Mmd: lambda node, width: MmdLoss(node),
    Adversarial: lambda node, width: AdversarialLoss(node, width),
    NoAlignment: lambda node, width: NoAlignmentLoss(),
    Triplet: lambda node: triplet(node),
    MultiSimilarity: lambda node: multi_similarity(node),
    NoMetric: lambda node: NoMetricLoss(),
}


def build(node: Any, *arguments: Any) -> Any:
    """The object of a component's config node."""
    return _BUILD[type(node)](node, *arguments)


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
        target_loss=build(
            config.distill.targets, DiffusedSimilarity(graph) if isinstance(graph, Diffusion) else DirectSimilarity()
        ),
        matching=build(config.distill.matching, feed, student, banks),
        align=build(config.align, student.embed_dim),
        metric=build(config.metric),
    )


def _check_nodes(propagate: PropagationConfig, banks: Banks) -> None:
    sizes = [len(bank.embeddings) for bank in banks.all()]
    k, nodes = propagate.neighbours, min((graph.total(sizes) for graph in propagate.graphs()), default=None)
    if nodes is not None and k >= nodes:
        raise InputError(f"graph.propagate.k: K = {k} is outside its limit: < {nodes} nodes of these datasets")


def step_of(parts: Parts) -> SourceOnly:
    """The step that a config's parts need: without a term of the target nothing of it is opened."""
    if not parts.opens_target:
        return SourceOnly(parts)
    return CrossDomain(parts) if parts.config.adapt.source == "samples" else SourceFree(parts)
