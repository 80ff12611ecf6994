"""Conformance of every component of the method to the protocol of its slot."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gckd.config.component import (
    AlignmentConfig,
    Component,
    MatchingConfig,
    MetricLossConfig,
    NeighbourSearchConfig,
    PropagationConfig,
    SelfSupervisionConfig,
    TargetsConfig,
    TeacherConfig,
)
from gckd.data.types import TargetBatch
from gckd.graph.knn import CentredBank
from gckd.graph.memory import centred
from gckd.graph.neighbour_search import NEIGHBOUR_SEARCHES
from gckd.graph.similarity import BankPair, DirectSimilarity, RetrievalDirection
from gckd.method.alignment import ALIGNMENTS, StudentEmbeddings
from gckd.method.banks import PerBank
from gckd.method.build import build_parts
from gckd.method.matching import MATCHINGS, TargetQueries
from gckd.method.metric_loss import METRIC_LOSSES
from gckd.method.propagation import PROPAGATIONS
from gckd.method.pseudo_labels import TARGETS
from gckd.method.self_supervision import SELF_SUPERVISIONS
from gckd.method.teacher import TEACHERS
from gckd.models.base import Encoded
from tests.method.cases import TargetBatchCase
from tests.tensors import units

assert build_parts  # its module registers the baselines

SMALL = {"k": 3, "hidden": 5, "delta": -1.0}  # options that fit the small tensors of this file
WIDTH = 4


def components(slot: type[Component]) -> pytest.MarkDecorator:
    """One case per kind that fills the slot."""
    nodes = []
    for choice in slot.choices():
        names = {field.name for field in dataclasses.fields(choice)}
        nodes.append(choice(**{name: value for name, value in SMALL.items() if name in names}))
    return pytest.mark.parametrize("node", nodes, ids=[node.kind for node in nodes])


def check_terms(node: Component, terms: dict[str, Tensor]) -> None:
    """Check that a component has finite scalar terms, or none if it is off; then compute their gradients."""
    assert bool(terms) != node.off
    for term in terms.values():
        assert term.shape == () and bool(torch.isfinite(term))
    if terms:
        torch.stack(list(terms.values())).sum().backward()


def has_gradient(*tensors: Tensor) -> bool:
    return all(tensor.grad is not None and bool(torch.isfinite(tensor.grad).all()) for tensor in tensors)


def embeddings(seed: int) -> StudentEmbeddings:
    return StudentEmbeddings(
        units(6, WIDTH, seed).float().requires_grad_(), units(6, WIDTH, seed + 1).float().requires_grad_()
    )


@components(TeacherConfig)
def test_teacher(node: TeacherConfig) -> None:
    student: Any = nn.Linear(3, 2)
    weights = [p.detach().clone() for p in student.parameters()]
    teacher = TEACHERS.build(node, student)
    teacher.update(student)
    assert all(torch.equal(p, before) for p, before in zip(student.parameters(), weights, strict=True))
    assert (teacher.model() is student) == node.off
    assert node.off or not any(p.requires_grad for p in teacher.model().parameters())
    inputs = torch.ones(1, 3)
    torch.testing.assert_close(teacher.model()(inputs), student(inputs))


@components(TargetsConfig)
def test_target_loss(node: TargetsConfig) -> None:
    case = TargetBatchCase()
    image, text = case.queries()
    image.direction.queries.requires_grad_()
    text.direction.queries.requires_grad_()
    loss = TARGETS.build(node, DirectSimilarity())
    check_terms(node, loss(image, text, case.tau))
    if not node.off:
        assert has_gradient(case.student_text)
    assert image.direction.queries.grad is None and text.direction.queries.grad is None


@components(TargetsConfig)
def test_pseudo_labels(node: TargetsConfig) -> None:
    labeller = TARGETS.build(node, DirectSimilarity()).labeller
    for queries in TargetBatchCase().queries():
        direction = queries.direction
        labels = labeller.labels(direction, 0.3)
        assert labels.shape == (len(direction.queries), len(direction.banks.key_bank))
        assert bool(torch.isfinite(labels).all()) and bool((labels >= 0).all())
        assert node.pseudo_labels or not labels.any()


class LinearStudent:
    """A student whose matching logits depend on the states of both modalities."""

    def encode_text(self, tokens: Tensor) -> Encoded:
        return Encoded(tokens.float(), torch.zeros(0))

    def encode_image(self, images: Tensor) -> Encoded:
        return Encoded(images.flatten(1)[:, :1], torch.zeros(0))

    def match(self, image_states: Tensor, text_states: Tensor, tokens: Tensor) -> Tensor:
        return torch.cat((image_states - text_states, image_states + text_states), 1)


@components(MatchingConfig)
def test_matching_loss(node: MatchingConfig) -> None:
    student: Any = LinearStudent()
    loader = SimpleNamespace(
        tokens_at=lambda rows: rows[:, None], images_at=lambda rows: rows.to(torch.uint8)[:, None, None, None]
    )
    feed: Any = SimpleNamespace(source=loader, target=loader)
    memory: Any = SimpleNamespace(**{name: SimpleNamespace(rows=torch.arange(5)) for name in PerBank._fields})
    images, tokens = torch.rand(3, 1, requires_grad=True), torch.arange(3)[:, None]
    texts, keys = torch.rand(3, 1, requires_grad=True), units(3, WIDTH).requires_grad_()
    none = torch.zeros(0)
    queries = TargetQueries(Encoded(images, none), Encoded(texts, none), tokens, keys, keys)
    loss = MATCHINGS.build(node, feed, student, memory)
    check_terms(node, loss(queries, PerBank(*(units(5, WIDTH, seed) for seed in range(4)))))
    assert node.off or has_gradient(images, texts)
    assert keys.grad is None


@components(AlignmentConfig)
def test_alignment_loss(node: AlignmentConfig) -> None:
    source, target = embeddings(1), embeddings(3)
    check_terms(node, ALIGNMENTS.build(node, WIDTH)(source, target, 0.5))
    assert node.off or has_gradient(*source, *target)


@components(MetricLossConfig)
def test_metric_loss(node: MetricLossConfig) -> None:
    source = embeddings(1)
    check_terms(node, METRIC_LOSSES.build(node)(source, torch.tensor([0, 1, 0, 2, 2, 1])))
    assert node.off or has_gradient(*source)


class MaskedWordStudent:
    """A student with logits of eight words, and a temperature."""

    tau = torch.tensor(0.3)

    def __init__(self) -> None:
        self.logits = torch.rand(8, requires_grad=True)

    def predict_tokens(self, tokens: Tensor, image_states: Tensor | None, positions: Tensor) -> Tensor:
        return self.logits.expand(int(positions.sum()), -1)


@components(SelfSupervisionConfig)
def test_self_supervised_loss(node: SelfSupervisionConfig) -> None:
    student: Any = MaskedWordStudent()
    feed: Any = SimpleNamespace(seed=1, tokenizer=SimpleNamespace(mask=4, first_word=5, vocab_size=8))
    rows = torch.tensor([4, 0, 2, 5, 1, 3])
    batch = TargetBatch(torch.zeros(6, 3, 8, 8, dtype=torch.uint8), torch.full((6, 7), 6), rows, rows)
    embedded, banks = embeddings(1), PerBank(*(units(7, WIDTH, seed).float() for seed in range(4)))
    loss = SELF_SUPERVISIONS.build(node, feed, student)
    terms = loss(batch, embedded, banks, PerBank(rows[:0], rows[:0], rows, rows), 3)
    check_terms(node, terms)
    if terms:
        assert has_gradient(*embedded) or has_gradient(student.logits)


BANKS = [units(count, WIDTH, seed).float() for seed, count in enumerate((7, 9, 8, 6))]
POSITIONS = [torch.tensor(positions) for positions in ([6, 0], [2], [5, 5, 0], [1, 4])]


@components(PropagationConfig)
def test_propagation_of_embeddings(node: PropagationConfig) -> None:
    propagate = PROPAGATIONS.build(node, WIDTH).embeddings
    for bank, positions, propagated in zip(BANKS, POSITIONS, propagate(BANKS, POSITIONS), strict=True):
        assert propagated.shape == (len(positions), WIDTH)
        torch.testing.assert_close(propagated.norm(dim=1), torch.ones(len(positions)))
        assert not node.off or torch.equal(propagated, bank[positions])


@components(PropagationConfig)
@pytest.mark.parametrize("bank", [2, 3])
def test_propagation_of_items_in_no_bank(node: PropagationConfig, bank: int) -> None:
    propagate, items = PROPAGATIONS.build(node, WIDTH).embeddings, units(5, WIDTH, seed=9).float()
    joined = propagate.join(BANKS, bank, items)
    torch.testing.assert_close(joined.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(propagate.join(BANKS, bank, items[2:3]), joined[2:3])
    assert node.joins_items or torch.equal(joined, items)


@components(PropagationConfig)
@pytest.mark.parametrize("agree", [False, True])
def test_propagation_of_similarities(node: PropagationConfig, agree: bool) -> None:
    similarity, positions = PROPAGATIONS.build(node, WIDTH).similarity, POSITIONS[2]
    direction = RetrievalDirection(BANKS[2][positions], positions, BankPair(BANKS[2], BANKS[3]))
    similarities = similarity(direction, 0.1, agree)
    assert similarities.shape == (len(positions), len(BANKS[3]))
    assert bool(torch.isfinite(similarities).all()) and bool((similarities >= 0).all())
    if not (node.on_similarities or agree):
        torch.testing.assert_close(similarities, F.softmax(direction.queries @ BANKS[3].T / 0.1, 1))


@components(NeighbourSearchConfig)
@pytest.mark.parametrize("senders", [None, 20])
def test_neighbours(node: NeighbourSearchConfig, senders: int | None) -> None:
    nodes, queries = units(30, WIDTH, seed=7).float(), torch.tensor([4, 29, 0])
    indices, cosine = NEIGHBOUR_SEARCHES.build(node)(nodes, queries, 5, senders=senders)
    assert indices.shape == cosine.shape == (3, 5)
    assert (indices < (senders or 30)).all() and not (indices == queries[:, None]).any()
    assert all(len(set(row)) == 5 for row in indices.tolist())
    assert (cosine.diff(dim=1) <= 0).all()
    torch.testing.assert_close(cosine, (nodes[queries, None] * nodes[indices]).sum(2))


@components(NeighbourSearchConfig)
def test_neighbours_of_a_whole_bank(node: NeighbourSearchConfig) -> None:
    entries, search = units(30, WIDTH, seed=7).float(), NEIGHBOUR_SEARCHES.build(node)
    for _ in range(2):
        mean = entries.mean(0)
        unit = centred(entries, mean)
        result = search.of_bank("bank", CentredBank(entries, mean, unit), 5)
        expected = search(unit, torch.arange(30), 5)
        assert torch.equal(result.indices, expected.indices)
        torch.testing.assert_close(result.cosine, expected.cosine)
        entries = entries.roll(1, 0)
