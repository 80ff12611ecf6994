"""Parts that a config asks for."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import nn

from gckd.config.distill import CrossDomainMatching, NoMatching, NoTargets
from gckd.config.graph import Diffusion, NoPropagation
from gckd.config.losses import Adversarial
from gckd.errors import InputError
from gckd.graph.similarity import DiffusedSimilarity
from gckd.method.alignment import AdversarialLoss
from gckd.method.build import build_parts, build_step
from gckd.method.source_free import SourceFree
from gckd.method.step import CrossDomain, SourceOnly
from gckd.seeding import derived_seed
from tests.method.domains import WIDTH, TinyBackbone, TwoDomains

NO_TARGET = {"distill.targets": NoTargets(), "distill.matching": NoMatching()}


def test_parts_are_built_from_their_nodes() -> None:
    domains = TwoDomains(
        {"graph.propagate": Diffusion(k=2), "align": Adversarial(hidden=6), "adapt.source_share": 0.25}
    )
    parts: Any = domains.parts()
    assert (parts.config, parts.feed, parts.student) == (domains.config, domains.feed, domains.student)
    assert [len(bank.embeddings) for bank in parts.banks.all()] == [7, 7, 7, 7]
    assert parts.banks.source_image.embeddings.shape[1] == WIDTH
    assert parts.teacher.model() is not parts.student
    assert isinstance(parts.similarity, DiffusedSimilarity)
    assert parts.labeller.similarity is parts.similarity
    assert (parts.labeller.sharpen, parts.labeller.agree, parts.labeller.confidence) == (0.5, True, 0.5)
    assert parts.matching.node == CrossDomainMatching(delta=-1.0)
    assert (parts.matching.feed, parts.matching.student) == (domains.feed, domains.student)
    assert parts.matching.memory is parts.banks
    assert isinstance(parts.align, AdversarialLoss)
    assert parts.align.discriminators["image"][0].weight.shape == (6, WIDTH)
    assert parts.average.share == 0.25
    assert not parts.average.start.training
    assert not any(parameter.requires_grad for parameter in parts.average.parameters())


def test_initial_weights_of_parts_depend_on_the_seed_alone() -> None:
    edits = {"align": Adversarial()}
    weights = []
    for seed in (3, 3, 4):
        domains = TwoDomains(edits | ({} if seed == 3 else {"seed": seed}))
        torch.manual_seed(len(weights))
        weights.append(next(iter(domains.parts().stateful()["align"].parameters())))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    torch.manual_seed(derived_seed(3, "parts"))
    expected = nn.Linear(*reversed(weights[0].shape)).weight
    torch.testing.assert_close(weights[0], expected)


def test_the_student_is_evaluated_as_it_is_without_an_average() -> None:
    domains = TwoDomains()
    parts, weight = domains.parts(), domains.student.pixels.weight
    with torch.no_grad():
        weight += 1
    before = weight.detach().clone()
    assert parts.average is None
    with parts.evaluated():
        assert torch.equal(weight, before)


def test_an_average_is_evaluated_within_its_context() -> None:
    domains = TwoDomains({"adapt.source_share": 0.25})
    parts, weight = domains.parts(), domains.student.pixels.weight
    before = weight.detach().clone()
    with torch.no_grad():
        weight += 1
    with parts.evaluated():
        torch.testing.assert_close(weight.detach(), before + 0.75)
    torch.testing.assert_close(weight.detach(), before + 1)


def test_modules_with_weights_or_buffers_are_saved_by_name() -> None:
    assert set(TwoDomains().parts().stateful()) == {"student", "teacher", "banks", "propagate"}
    assert set(TwoDomains({"adapt.source_share": 0.25}).parts().stateful()) == {
        "student",
        "teacher",
        "banks",
        "propagate",
        "average",
    }


def test_a_similarity_with_weights_is_saved_with_the_loss_that_holds_it() -> None:
    """Under its own name too, its weights would be in the optimiser twice."""
    parts = dataclasses.replace(TwoDomains().parts(), similarity=nn.Linear(1, 1))
    assert "similarity" not in parts.stateful()


@pytest.mark.parametrize(
    ("edits", "kind"),
    [
        (NO_TARGET, SourceOnly),
        ({}, CrossDomain),
        ({"distill.targets": NoTargets()}, CrossDomain),
        ({"distill.matching": NoMatching()}, CrossDomain),
        (NO_TARGET | {"align": Adversarial()}, CrossDomain),
        ({"adapt.source": "banks", "distill.matching": NoMatching()}, SourceFree),
    ],
)
def test_step_that_the_config_needs(edits: dict[str, Any], kind: type[SourceOnly]) -> None:
    domains = TwoDomains(edits)
    step = build_step(domains.parts())
    assert type(step) is kind
    assert step.config is domains.config


@pytest.mark.parametrize(("edits", "nodes"), [({}, 14), ({"graph.propagate.cross_edges": False}, 7)])
def test_k_must_be_below_the_nodes_of_the_smallest_graph(edits: dict[str, Any], nodes: int) -> None:
    """7 images in each domain are fewer than captions, and than the capacity."""
    edits = {"graph.memory.capacity": 99, **edits}
    TwoDomains({"graph.propagate.k": nodes - 1, **edits}).parts()
    domains = TwoDomains({"graph.propagate.k": nodes, **edits})
    with pytest.raises(InputError) as error:
        build_parts(domains.config, domains.feed, TinyBackbone())
    text = f"graph.propagate.k: K = {nodes} is outside its limit: < {nodes} nodes of these datasets"
    assert str(error.value) == text


def test_a_config_without_a_graph_has_no_limit_for_k() -> None:
    assert TwoDomains({"graph.propagate": NoPropagation()}).parts().propagate is not None
