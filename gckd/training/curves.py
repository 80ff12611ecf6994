"""Label-free statistics of targets, confidence and graph for the curves. They change nothing that is trained."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn import functional as F

from gckd.graph.similarity import DirectSimilarity
from gckd.graph.statistics import components, hubness
from gckd.method.parts import Parts
from gckd.method.pseudo_labels import entropies
from gckd.training.target_graph import DirectionSample, KnnGraph, direction_samples

QUANTILES = (10, 50, 90)  # percent, of the confidence


@torch.no_grad()
def method_statistics(parts: Parts) -> dict[str, float]:
    """Statistics by name; empty if no loss term reads the target.

    `target_entropy`, `bank_entropy`: mean entropy in nats of the targets, and of the student's own distribution at
    temperature tau, of images over the bank of captions. `confidence_10`, `_50`, `_90`: quantiles of the largest cosine
    of a target entry with the target bank of the other modality, over both directions. `accepted_share`: share of them
    above delta. Per modality: `propagation_change`, `cross_edges`, `hubness` and `components` of its graph,
    and `neighbour_recall` of an approximate search.
    """
    if not parts.opens_target:
        return {}
    samples = direction_samples(parts)
    statistics = _entropies(parts, samples[0]) | _confidence(parts, samples)
    for sample in samples:
        if sample.graph is not None:
            values = {"propagation_change": _propagation_change(parts, sample), **dict(_graph_statistics(sample.graph))}
            if (node := parts.config.graph.propagate.neighbour_search) is not None and node.approximate:
                values["neighbour_recall"] = sample.graph.recall(parts.search)
            statistics |= {f"{name}_{sample.modality}": value for name, value in values.items()}
    return statistics


def _entropies(parts: Parts, sample: DirectionSample) -> dict[str, float]:
    tau, keys = float(parts.student.tau), sample.direction.banks.key_bank.embeddings
    targets = parts.labeller.labels(sample.direction, tau)
    present = F.normalize(targets[targets.sum(1) > 0], p=1, dim=1)
    student = F.softmax(sample.unpropagated @ keys.T / tau, 1)
    values = {"target_entropy": float(entropies(present).mean())} if len(present) else {}
    return values | {"bank_entropy": float(entropies(student).mean())}


def _confidence(parts: Parts, samples: tuple[DirectionSample, DirectionSample]) -> dict[str, float]:
    largest = torch.cat([sample.best_keys()[0] for sample in samples])
    steps = torch.tensor([percent / 100 for percent in QUANTILES])
    quantiles = largest.float().quantile(steps).tolist()
    values = {f"confidence_{percent}": value for percent, value in zip(QUANTILES, quantiles, strict=True)}
    least_cosine = parts.config.distill.matching.least_cosine
    if least_cosine is not None:
        values["accepted_share"] = float((largest > least_cosine).float().mean())
    return values


def _propagation_change(parts: Parts, sample: DirectionSample) -> float:
    """Effect of message passing; 0 is none.

    On embeddings: mean of 1 - cosine of a query before and after it. On similarities: mean total variation of
    p(key | query) before and after it, in [0, 1].
    """
    config = parts.config
    if config.graph.propagate.on_similarities:
        t = float(parts.student.tau) * config.distill.targets.temperature_scale
        before = DirectSimilarity()(sample.direction, t, agree=False)
        after = parts.similarity(sample.direction, t, agree=False)
        return float((F.normalize(after, p=1, dim=1) - before).abs().sum(1).mean()) / 2
    return float(1 - (sample.direction.queries * sample.unpropagated).sum(1).mean())


def _graph_statistics(graph: KnnGraph) -> Iterator[tuple[str, float]]:
    """Share of target nodes' edges that come from the source; hubness and components if all edges are known."""
    if graph.source_count:
        _, edges = graph.target_edges()
        yield "cross_edges", float((edges < graph.source_count).float().mean())
    if graph.is_complete:
        yield "hubness", hubness(graph.neighbours)
        yield "components", float(components(graph.neighbours))
