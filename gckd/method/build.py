"""Construction of a step's parts, and of the step itself, from a config."""

from __future__ import annotations

import torch

from gckd.config.component import PropagationConfig
from gckd.config.schema import Config
from gckd.data.batches import Feed
from gckd.errors import InputError
from gckd.graph.neighbour_search import neighbour_search
from gckd.method.alignment import ALIGNMENTS
from gckd.method.banks import Banks
from gckd.method.baselines import pouf, reclip, tent  # noqa: F401 (they register their losses)
from gckd.method.matching import MATCHINGS
from gckd.method.metric_loss import METRIC_LOSSES
from gckd.method.parts import Parts
from gckd.method.propagation import PROPAGATIONS
from gckd.method.pseudo_labels import TARGETS
from gckd.method.self_supervision import SELF_SUPERVISIONS
from gckd.method.source_free import SourceFree
from gckd.method.step import CrossDomain, SourceOnly
from gckd.method.teacher import TEACHERS
from gckd.method.weight_average import WeightAverage
from gckd.models.base import Backbone
from gckd.seeding import derived_seed


def build_parts(config: Config, feed: Feed, student: Backbone) -> Parts:
    """Parts of the method around a student with source-trained weights.

    Raises:
        InputError: K is not below the number of nodes of a graph over the banks of these datasets.
    """
    torch.manual_seed(derived_seed(config.seed, "parts"))
    width = student.embed_dim
    memory = config.graph.memory
    capacities = memory.capacities(config.adapt.batch)
    banks = Banks(capacities, width, feed.source, feed.target, memory.mean_every)
    _check_node_count(config.graph.propagate, banks)
    teacher = TEACHERS.build(config.distill.teacher, student)
    propagation = PROPAGATIONS.build(config.graph.propagate, width)
    return Parts(
        config=config,
        feed=feed,
        student=student,
        teacher=teacher,
        banks=banks,
        search=neighbour_search(config.graph.propagate),
        propagate=propagation.embeddings,
        similarity=propagation.similarity,
        target_loss=TARGETS.build(config.distill.targets, propagation.similarity),
        matching=MATCHINGS.build(config.distill.matching, feed, student, banks),
        align=ALIGNMENTS.build(config.align, width),
        metric=METRIC_LOSSES.build(config.metric),
        selfsup=SELF_SUPERVISIONS.build(config.selfsup, feed, student),
        average=WeightAverage(student, config.adapt.source_share) if config.adapt.source_share else None,
    )


def _check_node_count(propagate: PropagationConfig, banks: Banks) -> None:
    sizes = [len(bank.embeddings) for bank in banks.all()]
    k, nodes = propagate.neighbours, min((graph.total(sizes) for graph in propagate.graphs()), default=None)
    if nodes is not None and k >= nodes:
        raise InputError(f"graph.propagate.k: K = {k} is outside its limit: < {nodes} nodes of these datasets")


def build_step(parts: Parts) -> SourceOnly:
    """Step that the config needs; a step without target terms loads no target batch."""
    if not parts.opens_target:
        return SourceOnly(parts)
    return CrossDomain(parts) if parts.config.adapt.source == "samples" else SourceFree(parts)
