"""Loss terms of a step equal loops over the entries of the banks."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.config.distill import MutualNeighbours, NoTeacher
from gckd.graph.similarity import BankPair, RetrievalDirection
from gckd.method import step as step_module
from gckd.method.build import build_step
from gckd.method.losses import hard_negatives
from gckd.method.parts import Parts
from gckd.method.pseudo_labels import StudentQueries
from gckd.method.source_losses import EncodedBatch, source_fusion_terms, source_matching
from gckd.method.step import CrossDomain, SourceOnly
from gckd.method.warm_start import WarmStart, warm_start_order
from gckd.seeding import generator
from tests.method.domains import CAPTIONS, SourceExamples, TinyBackbone, TwoDomains, clean

STEP = 2  # of 4 in an epoch, and a multiple of `fusion_every`


class Recorder:
    """Loss that records its arguments and returns one term."""

    def __init__(self, name: str) -> None:
        self.name, self.arguments = name, ()

    def __call__(self, *arguments: Any) -> dict[str, Tensor]:
        self.arguments = arguments
        return {self.name: torch.ones(())}


def recorded(parts: Parts) -> tuple[Parts, dict[str, Recorder]]:
    """The parts with recorders in place of the optional losses."""
    names = ("metric", "align", "matching", "selfsup")
    recorders = {name: Recorder(name) for name in names}
    return dataclasses.replace(parts, **recorders), recorders


def unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=-1, keepdim=True)


def bank_by_hand(bank: Any, embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """Centred entries of a bank, from the embeddings of the dataset's rows; and their mean."""
    entries = embeddings[bank.rows[: len(bank)]]
    return unit(entries - entries.mean(0)), entries.mean(0)


def positions_of(bank: Any, rows: Tensor) -> Tensor:
    return torch.tensor([bank.rows.tolist().index(row) for row in rows.tolist()])


def contrastive_by_loops(
    x: Tensor, bank: Tensor, identities: list[int], bank_identities: list[int], tau: float, soft: Any, alpha: float
) -> float:
    total = 0.0
    for i, query in enumerate(x):
        log_p = (bank @ query / tau).log_softmax(0)
        positives = [j for j, identity in enumerate(bank_identities) if identity == identities[i]]
        for j in range(len(bank)):
            target = (1 - alpha) * (j in positives) / len(positives) + (alpha * float(soft[i][j]) if alpha else 0.0)
            total -= target * float(log_p[j])
    return total / len(x)


class ByHand:
    """Source side of a step, computed from the embeddings of all examples."""

    def __init__(self, domains: TwoDomains, parts: Parts, student: TinyBackbone) -> None:
        self.batch, banks = domains.source.batch(STEP), parts.banks
        images, texts = clean(parts.teacher.model(), domains.source)
        self.images, image_mean = bank_by_hand(banks.source_image, images)
        self.texts, text_mean = bank_by_hand(banks.source_text, texts)
        view = domains.feed.views(self.batch.images, self.batch.tokens, "adapt/source", STEP)
        self.encoded = EncodedBatch(student.encode_image(view.images), student.encode_text(view.tokens), view.tokens)
        self.x_image = unit(self.encoded.image.embedding - image_mean)
        self.x_text = unit(self.encoded.text.embedding - text_mean)
        self.identities = {
            name: domains.source.identities_at(bank.rows[: len(bank)], name).tolist()
            for name, bank in (("image", banks.source_image), ("caption", banks.source_text))
        }

    @torch.no_grad()
    def contrastive(self, soft: tuple[Any, Any] = (None, None), alpha: float = 0.0) -> float:
        labels = self.batch.identities.tolist()
        to_texts = contrastive_by_loops(
            self.x_image, self.texts, labels, self.identities["caption"], 0.2, soft[0], alpha
        )
        to_images = contrastive_by_loops(
            self.x_text, self.images, labels, self.identities["image"], 0.2, soft[1], alpha
        )
        return (to_texts + to_images) / 2


@pytest.mark.parametrize("step", [STEP, 3])
def test_terms_of_the_source(step: int) -> None:
    domains = TwoDomains()
    parts, recorders = recorded(domains.parts())
    source_only = SourceOnly(parts)
    source_only.warm_start(WarmStart())
    assert [len(bank) for bank in parts.banks.all()] == [7, 7, 0, 0]
    assert parts.banks.source_text.rows.tolist() == warm_start_order("source-text", 3, CAPTIONS)[:7].tolist()
    terms = source_only.terms(step)
    if step % 2:
        assert set(terms) == {"source_contrastive", "metric"}
        return
    by_hand = ByHand(domains, parts, domains.student)
    assert float(terms["source_contrastive"]) == pytest.approx(by_hand.contrastive(), rel=1e-5)
    embeddings, identities = recorders["metric"].arguments
    torch.testing.assert_close(tuple(embeddings), (by_hand.x_image, by_hand.x_text))
    assert identities.tolist() == by_hand.batch.identities.tolist()
    fusion = source_fusion_terms(
        domains.student, by_hand.encoded, by_hand.batch, domains.feed.tokenizer, 2, generator(3, "adapt/fusion", step)
    )
    assert set(terms) == {"source_contrastive", "metric", *fusion}
    assert all(float(terms[name]) == pytest.approx(float(value)) for name, value in fusion.items())


def test_one_pass_for_both_domains_gives_the_terms_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """One pass is for GPUs, on which larger and fewer kernels are faster."""
    results = []
    for in_one_pass in (False, True):
        monkeypatch.setattr(step_module, "joins_passes", lambda like, chosen=in_one_pass: chosen)
        domains = TwoDomains()
        step = build_step(domains.parts())
        step.warm_start(WarmStart())
        results.append({name: float(term) for name, term in step.terms(STEP).items()})
    assert results[1] == pytest.approx(results[0], rel=1e-5)


@pytest.mark.parametrize("edits", [{}, {"graph.propagate.conv": "sage"}], ids=["smooth", "sage"])
def test_terms_of_both_domains(edits: dict[str, Any]) -> None:
    domains = TwoDomains(edits)
    parts, recorders = recorded(domains.parts())
    step = build_step(parts)
    assert type(step) is CrossDomain
    step.warm_start(WarmStart())
    assert [len(bank) for bank in parts.banks.all()] == [7, 7, 7, 7]
    for name, bank in (("source-text", parts.banks.source_text), ("target-text", parts.banks.target_text)):
        assert bank.rows.tolist() == warm_start_order(name, 3, CAPTIONS)[:7].tolist()
    with torch.no_grad():
        terms = step.terms(STEP)

    source, banks, target = ByHand(domains, parts, domains.student), parts.banks, domains.target.batch(STEP)
    images, texts = clean(parts.teacher.model(), domains.target)
    target_images, image_mean = bank_by_hand(banks.target_image, images)
    target_texts, text_mean = bank_by_hand(banks.target_text, texts)
    entries = (source.images, source.texts, target_images, target_texts)
    rows = (source.batch.image_rows, source.batch.caption_rows, target.image_rows, target.caption_rows)
    positions = tuple(positions_of(bank, part) for bank, part in zip(banks.all(), rows, strict=True))
    z = parts.propagate(entries, positions)

    soft = (z[0] @ source.texts.T / 0.2).softmax(1), (z[1] @ source.images.T / 0.2).softmax(1)
    assert float(terms["source_contrastive"]) == pytest.approx(source.contrastive(soft, 0.4 * STEP / 4), rel=1e-4)
    assert ("graph" in terms) == bool(edits)
    if edits:
        labels = source.batch.identities.tolist()
        graph = [
            contrastive_by_loops(z[0], source.texts, labels, source.identities["caption"], 0.2, None, 0.0),
            contrastive_by_loops(z[1], source.images, labels, source.identities["image"], 0.2, None, 0.0),
        ]
        assert float(terms["graph"]) == pytest.approx(sum(graph) / 2, rel=1e-4)

    view = domains.feed.views(target.images, target.tokens, "adapt/target", STEP)
    encoded = domains.student.encode_image(view.images), domains.student.encode_text(view.tokens)
    student = unit(encoded[0].embedding - image_mean), unit(encoded[1].embedding - text_mean)
    pair = BankPair(target_images, target_texts)
    queries = (
        StudentQueries(student[0], RetrievalDirection(z[2], positions[2], pair)),
        StudentQueries(student[1], RetrievalDirection(z[3], positions[3], pair.reversed())),
    )
    loss = parts.target_loss(*queries, torch.tensor(0.2))["target_contrastive"]
    torch.testing.assert_close(terms["target_contrastive"], loss, rtol=1e-4, atol=1e-5)

    assert float(terms["matching"]) == 2.0  # 1, times `fusion_every`
    matched, space = recorders["matching"].arguments
    torch.testing.assert_close((matched.image, matched.text), encoded)
    torch.testing.assert_close((matched.image_key, matched.text_key), (z[2], z[3]))
    assert torch.equal(matched.tokens, view.tokens)
    torch.testing.assert_close(tuple(space), entries)
    of_source, of_target, progress = recorders["align"].arguments
    torch.testing.assert_close(tuple(of_source), (source.x_image, source.x_text))
    torch.testing.assert_close(tuple(of_target), student)
    assert progress == STEP / domains.config.adapt.steps
    batch, x, space, pushed, number = recorders["selfsup"].arguments
    assert torch.equal(batch.image_rows, target.image_rows) and number == STEP
    torch.testing.assert_close((tuple(x), tuple(space)), (student, entries))
    assert all(map(torch.equal, pushed, positions))


def test_pairs_are_matched_at_every_nth_step_alone() -> None:
    parts, recorders = recorded(TwoDomains().parts())
    step = CrossDomain(parts)
    step.warm_start(WarmStart())
    assert "matching" not in step.terms(3)
    assert recorders["matching"].arguments == ()
    assert recorders["align"].arguments[2] == 3 / 4


def test_soft_targets_are_ramped_up_over_the_first_epoch() -> None:
    """An epoch has 4 batches; progress counts batches, 2 of which make a step."""
    step = CrossDomain(TwoDomains({"adapt.accumulate": 2}).parts())
    assert [step.alpha(number) for number in (0, 1, 4, 9)] == pytest.approx([0.0, 0.1, 0.4, 0.4])
    assert step.progress(3) == 3 / 8
    off = TwoDomains({"distill.teacher": NoTeacher(), "distill.targets": MutualNeighbours()})
    assert CrossDomain(off.parts()).alpha(4) == 0.0


def test_the_source_is_no_input_of_the_graph_before_it_has_soft_targets() -> None:
    parts = TwoDomains().parts()
    step = CrossDomain(parts)
    step.warm_start(WarmStart())
    inputs: list[list[int]] = []

    def propagate(banks: Any, positions: Any) -> Any:
        inputs.append([len(part) for part in positions])
        return parts.propagate(banks, positions)

    step.parts = dataclasses.replace(parts, propagate=propagate)
    step.terms(0)
    step.terms(1)
    assert inputs == [[0, 0, 3, 3], [3, 3, 3, 3]]


def test_source_matching_by_loops() -> None:
    """B pairs, a hard negative caption for each image and a hard negative image for each caption."""
    model, batch = TinyBackbone().eval(), SourceExamples(1).batch(1)
    image, text = model.encode_image(batch.images.float() / 255), model.encode_text(batch.tokens)
    loss = source_matching(model, EncodedBatch(image, text, batch.tokens), batch.identities, generator(0, "test"))
    random, same = generator(0, "test"), batch.identities[:, None] == batch.identities
    captions = hard_negatives(image.embedding @ text.embedding.T / 0.2, same, random).tolist()
    images = hard_negatives(text.embedding @ image.embedding.T / 0.2, same, random).tolist()
    pairs = [(i, i, 1) for i in range(3)]
    pairs += [(i, captions[i], 0) for i in range(3)] + [(images[i], i, 0) for i in range(3)]
    losses = [
        F.cross_entropy(
            model.match(image.states[i : i + 1], text.states[j : j + 1], batch.tokens[j : j + 1]), torch.tensor([label])
        )
        for i, j, label in pairs
    ]
    assert float(loss) == pytest.approx(float(torch.stack(losses).mean()), rel=1e-5)


def test_negatives_of_the_queries_own_identity_are_dropped() -> None:
    """A batch of one identity has no negatives, so only the pairs count."""
    model, batch = TinyBackbone().eval(), SourceExamples(1).batch(1)
    image, text = model.encode_image(batch.images.float() / 255), model.encode_text(batch.tokens)
    loss = source_matching(model, EncodedBatch(image, text, batch.tokens), torch.zeros(3), generator(0, "test"))
    expected = F.cross_entropy(model.match(image.states, text.states, batch.tokens), torch.ones(3).long())
    torch.testing.assert_close(loss, expected)


def test_negatives_are_drawn_by_the_given_keys() -> None:
    """With a low temperature the nearest key of another identity is drawn."""
    model, batch = TinyBackbone().eval(), SourceExamples(1).batch(0)
    with torch.no_grad():
        model.log_tau.fill_(-9.0)
    image, text = model.encode_image(batch.images.float() / 255), model.encode_text(batch.tokens)
    encoded, identities = EncodedBatch(image, text, batch.tokens), torch.tensor([0, 1, 2])
    image_keys, text_keys = image.embedding[[1, 2, 0]], text.embedding[[2, 0, 1]]
    loss = source_matching(model, encoded, identities, generator(0, "test"), (image_keys, text_keys))
    similarity = image.embedding @ text_keys.T, text.embedding @ image_keys.T
    captions, images = ((s - 9 * torch.eye(3)).argmax(1) for s in similarity)
    logits = torch.cat(
        (
            model.match(image.states, text.states, batch.tokens),
            model.match(image.states, text.states[captions], batch.tokens[captions]),
            model.match(image.states[images], text.states, batch.tokens),
        )
    )
    torch.testing.assert_close(loss, F.cross_entropy(logits, torch.tensor([1] * 3 + [0] * 6)))


@pytest.mark.parametrize("heads", [(), ("matching",), ("mlm",), ("matching", "mlm")])
def test_fusion_terms_need_their_heads(heads: tuple[str, ...]) -> None:
    domains = TwoDomains()
    batch, model = domains.source.batch(0), domains.student
    model.has_matching_head, model.has_mlm_head = "matching" in heads, "mlm" in heads
    encoded = EncodedBatch(model.encode_image(batch.images.float()), model.encode_text(batch.tokens), batch.tokens)
    terms = [
        source_fusion_terms(model, encoded, batch, domains.feed.tokenizer, every, generator(0, "fusion"))
        for every in (1, 3)
    ]
    assert set(terms[0]) == {f"source_{name}" for name in heads}
    for name, value in terms[0].items():
        assert float(terms[1][name]) == pytest.approx(3 * float(value))
    if heads == ("matching",):
        expected = source_matching(model, encoded, batch.identities, generator(0, "fusion"))
        torch.testing.assert_close(terms[0]["source_matching"], expected)
