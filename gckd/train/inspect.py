"""What the parts of the method do at a point of the run, for the curves: read-only, and without any label."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.config.distill import CrossDomainMatching
from gckd.config.graph import Diffusion
from gckd.distill.targets import entropies
from gckd.graph.shape import components, hubness
from gckd.graph.similarity import Diffused, Direct
from gckd.train.directions import Direction, KnnGraph, directions
from gckd.train.parts import Parts

QUANTILES = (10, 50, 90)  # percent, of the confidence


@torch.no_grad()
def inspect(parts: Parts) -> dict[str, float]:
    """Targets, confidence, what delta accepts, and of each modality's graph what it joins. Empty without target terms.

    Entropies, in nats, are of images over the bank of captions; the student's own is at temperature tau. Confidence is
    the largest cosine of a target entry with the target bank of the other modality, over both directions. Of targets
    nothing is said where there are none.
    """
    if not parts.opens_target:
        return {}
    both = directions(parts)
    seen = _entropies(parts, both[0]) | _confidence(parts, both)
    for direction in both:
        if direction.graph is not None:
            found = {"propagation_change": _change(parts, direction), **dict(_shape(direction.graph))}
            seen |= {f"{name}_{direction.modality}": value for name, value in found.items()}
    return seen


def _entropies(parts: Parts, direction: Direction) -> dict[str, float]:
    tau, keys = float(parts.student.tau), direction.side.banks.keys.embeddings
    wanted = parts.targets(direction.side, tau)
    taught = F.normalize(wanted[wanted.sum(1) > 0], p=1, dim=1)
    own = F.softmax(direction.raw @ keys.T / tau, 1)
    seen = {"target_entropy": float(entropies(taught).mean())} if len(taught) else {}
    return seen | {"bank_entropy": float(entropies(own).mean())}


def _confidence(parts: Parts, both: tuple[Direction, Direction]) -> dict[str, float]:
    largest = torch.cat([confidence(direction)[0] for direction in both])
    steps = torch.tensor([percent / 100 for percent in QUANTILES])
    values = largest.float().quantile(steps).tolist()
    seen = {f"confidence_{percent}": value for percent, value in zip(QUANTILES, values, strict=True)}
    matching = parts.config.distill.matching
    if isinstance(matching, CrossDomainMatching):
        seen["accepted_share"] = float((largest > matching.delta).float().mean())
    return seen


def confidence(direction: Direction) -> tuple[Tensor, Tensor]:
    """Cosine and place [n] of each query's most similar key: the pair that eq. 9 accepts or not."""
    cosine, best = (direction.side.queries @ direction.side.banks.keys.embeddings.T).max(1)
    return cosine, best


def _change(parts: Parts, direction: Direction) -> float:
    """What message passing does: mean 1 - cosine of embeddings before and after it; or, where it is on similarities,
    mean total variation of p(key | query) before and after; in [0, 1] then. 0: nothing.
    """
    config = parts.config
    if isinstance(config.graph.propagate, Diffusion):
        t = float(parts.student.tau) * getattr(config.distill.targets, "sharpen", 1.0)
        plain = Direct()(direction.side, t, agree=False)
        votes = Diffused(config.graph.propagate)(direction.side, t, agree=False)
        return float((F.normalize(votes, p=1, dim=1) - plain).abs().sum(1).mean()) / 2
    return float(1 - (direction.side.queries * direction.raw).sum(1).mean())


def _shape(graph: KnnGraph) -> Iterator[tuple[str, float]]:
    """Share of the K edges of target nodes that come from the source; hubs and parts where every edge is known."""
    if graph.source:
        _, edges = graph.of_target()
        yield "cross_edges", float((edges < graph.source).float().mean())
    if graph.whole:
        yield "hubness", hubness(graph.index)
        yield "components", float(components(graph.index))
