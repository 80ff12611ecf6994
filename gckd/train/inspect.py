"""What the parts of the method do at a point of the run, for the curves: read-only, and without any label."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.config.distill import CrossDomainMatching
from gckd.config.graph import TARGET_IMAGE, Gnn, graphs
from gckd.distill.targets import entropies
from gckd.graph.knn import nearest
from gckd.graph.similarity import Side, TwoBanks
from gckd.train.parts import Parts

SAMPLE = 256  # nodes looked at


@torch.no_grad()
def inspect(parts: Parts) -> dict[str, float]:
    """Share of edges that cross domains; entropy of the targets; what delta accepts. Empty without target terms.

    Of targets nothing is said where there are none. Entropies are in nats, over the bank of the other modality; the
    student's own is at temperature tau.
    """
    config = parts.config
    if not parts.opens_target:
        return {}
    views, tau = parts.banks.space(config.centre).views, float(parts.student.tau)
    seen = {}
    place = torch.arange(len(views.target_image))[-SAMPLE:]
    queries = parts.propagate.of(views, TARGET_IMAGE, place)
    similarity = queries @ views.target_text.T
    wanted = parts.targets(Side(queries, place, TwoBanks(views.target_image, views.target_text)), tau)
    taught = wanted.sum(1) > 0
    if bool(taught.any()):
        seen["target_entropy"] = float(entropies(F.normalize(wanted[taught], p=1, dim=1)).mean())
    seen["bank_entropy"] = float(entropies(F.softmax(views.target_image[place] @ views.target_text.T / tau, 1)).mean())
    if isinstance(config.distill.matching, CrossDomainMatching):
        seen["accepted_share"] = float((similarity.max(1).values > config.distill.matching.delta).float().mean())
    if isinstance(config.graph.propagate, Gnn) and config.graph.propagate.cross_edges:
        for graph in graphs(config.graph.propagate):
            source, target = (torch.cat([views[b] for b in graph.banks if b // 2 == domain]) for domain in (0, 1))
            seen[f"cross_edges_{graph.name}"] = cross_edges(source, target, config.graph.propagate.k)
    return seen


def cross_edges(source: Tensor, target: Tensor, k: int) -> float:
    """Share of the K edges of (the newest) target nodes that come from the source; both banks unit vectors [N, d]."""
    nodes = torch.cat((source, target))
    queries = torch.arange(len(source), len(nodes))[-SAMPLE:]
    return float((nearest(nodes, queries, k).index < len(source)).float().mean())
