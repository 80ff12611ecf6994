"""Label-free statistics of the curves, compared with loops over the banks and at limits."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gckd.config import Config, apply
from gckd.config.graph import Diffusion
from gckd.method.parts import Parts
from gckd.training import target_graph
from gckd.training.adapt import prepare_adaptation
from gckd.training.curves import method_statistics
from tests.training.micro import row


def ready(config: Config, cache: Path) -> Parts:
    """Parts with warm banks, before the first step."""
    adaptation = prepare_adaptation(config, cache, lambda progress: None)
    adaptation.step.warm_start(adaptation.warm_start)
    return adaptation.parts


def neighbours(nodes: Tensor, k: int) -> list[list[int]]:
    """By sorting each row of cosines."""
    result = []
    for i, cosines in enumerate((nodes @ nodes.T).tolist()):
        order = sorted((j for j in range(len(nodes)) if j != i), key=lambda j: -cosines[j])
        result.append(order[:k])
    return result


@pytest.mark.parametrize("modality", ["image", "text"])
def test_graph_statistics_equal_loops_over_the_banks(config: Config, cache: Path, modality: str) -> None:
    parts = ready(config, cache)
    views = parts.banks.space(centre=True).banks._asdict()
    source, target = views[f"source_{modality}"], views[f"target_{modality}"]
    near = neighbours(torch.cat((source, target)), 3)
    crossing = [j < len(source) for edges in near[len(source) :] for j in edges]
    seen = method_statistics(parts)
    assert seen[f"cross_edges_{modality}"] == pytest.approx(sum(crossing) / len(crossing))
    degrees = torch.tensor([sum(j in edges for edges in near) for j in range(len(near))], dtype=torch.float64)
    off = degrees - degrees.mean()
    assert seen[f"hubness_{modality}"] == pytest.approx(float((off**3).mean() / (off**2).mean() ** 1.5))
    part = list(range(len(near)))
    for _ in near:  # the smallest label spreads along the edges, both ways
        for i, edges in enumerate(near):
            for j in edges:
                part[i] = part[j] = min(part[i], part[j])
    assert seen[f"components_{modality}"] == len(set(part))


def test_confidence_and_accepted_share_equal_a_direct_computation(config: Config, cache: Path) -> None:
    config = apply(row(config, "gmp"), {"distill.matching.delta": 0.3})
    parts = ready(config, cache)
    views = parts.banks.space(centre=True).banks
    cosine = views.target_image @ views.target_text.T
    largest = sorted([*cosine.max(1).values.tolist(), *cosine.max(0).values.tolist()])
    seen = method_statistics(parts)
    assert seen["accepted_share"] == pytest.approx(sum(c > 0.3 for c in largest) / len(largest))
    assert seen["confidence_50"] == pytest.approx(statistics.median(largest), abs=1e-5)
    assert largest[0] <= seen["confidence_10"] <= seen["confidence_50"] <= seen["confidence_90"] <= largest[-1]
    assert not [name for name in seen if name.startswith(("cross_edges", "hubness", "components", "propagation"))]


GRAPHS: dict[str, dict[str, Any]] = {
    "gnn": {},
    "diffusion": {"graph.propagate": Diffusion(k=3)},
}


@pytest.mark.parametrize("kind", GRAPHS)
def test_a_residual_of_1_changes_nothing_and_a_smaller_one_does(config: Config, cache: Path, kind: str) -> None:
    config = apply(config, GRAPHS[kind])
    for modality in ("image", "text"):
        name = f"propagation_change_{modality}"
        still = method_statistics(ready(apply(config, {"graph.propagate.residual": 1.0}), cache))[name]
        moved = method_statistics(ready(config, cache))[name]
        assert abs(still) < 1e-5
        assert 0.01 < moved <= 1


def test_a_large_graph_is_sampled(config: Config, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = ready(config, cache)
    exact = method_statistics(parts)
    monkeypatch.setattr(target_graph, "MAX_NODES", 5)
    sampled = method_statistics(parts)
    assert set(exact) - set(sampled) == {f"{n}_{m}" for n in ("hubness", "components") for m in ("image", "text")}
    assert sampled["cross_edges_image"] == pytest.approx(exact["cross_edges_image"])  # 7 target nodes: all sampled


def test_only_an_approximate_search_has_a_recall(config: Config, cache: Path) -> None:
    approximate = {"kind": "faiss", "index": "ivf"}
    exact = method_statistics(ready(config, cache))
    statistics = method_statistics(ready(apply(config, {"graph.propagate.search": approximate}), cache))
    added = {"neighbour_recall_image", "neighbour_recall_text"}
    assert set(statistics) - set(exact) == added
    assert all(statistics[name] == 1 for name in added)  # so few nodes are in one inverted list


def test_statistics_are_empty_without_target_terms(config: Config, cache: Path) -> None:
    assert method_statistics(ready(row(config, "gmp", "cmkd"), cache)) == {}
