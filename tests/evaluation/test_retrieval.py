"""Rank-K, mAP and mINP equal loops and torchmetrics; re-ranking by the matching head."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.retrieval import RetrievalHitRate, RetrievalMAP

from gckd.config.stages import Evaluate
from gckd.data.types import EvaluationSet
from gckd.errors import InputError
from gckd.evaluation.retrieval import TOP_IMAGES, Retriever, rank_gallery, val_metrics
from gckd.models.base import Encoded


def random_problem(seed: int, queries: int = 40, images: int = 30, ids: int = 7) -> tuple[Tensor, Tensor, Tensor]:
    """Scores without ties, query identities and gallery identities; every query has a relevant image."""
    random = torch.Generator().manual_seed(seed)
    gallery_ids = torch.cat((torch.arange(ids), torch.randint(ids, (images - ids,), generator=random)))
    query_ids = torch.randint(ids, (queries,), generator=random)
    scores = torch.randn(queries, images, generator=random) + (query_ids[:, None] == gallery_ids[None, :]) * 0.8
    return scores, query_ids, gallery_ids


def metrics_by_loops(scores: Tensor, query_ids: Tensor, gallery_ids: Tensor) -> dict[str, float]:
    names = ("rank_1", "rank_5", "rank_10", "map", "minp")
    rows = []
    for row, identity in zip(scores.tolist(), query_ids.tolist(), strict=True):
        order = sorted(range(len(row)), key=lambda j: -row[j])
        ranks = [rank for rank, j in enumerate(order, 1) if int(gallery_ids[j]) == identity]
        precision = [hits / rank for hits, rank in enumerate(ranks, 1)]
        row_ranks = [float(ranks[0] <= k) for k in (1, 5, 10)]
        rows.append([*row_ranks, sum(precision) / len(ranks), len(ranks) / ranks[-1]])
    return dict(zip(names, (100 * sum(column) / len(rows) for column in zip(*rows, strict=True)), strict=True))


def test_metrics_of_one_query_by_hand() -> None:
    """Query of identity 1, hits at ranks 2 and 4 of 4: AP = (1/2 + 2/4) / 2, INP = 2/4."""
    metrics = rank_gallery(
        torch.tensor([[0.9, 0.8, 0.7, 0.6]]), torch.tensor([1]), torch.tensor([0, 1, 0, 1])
    ).metrics()
    assert metrics == pytest.approx({"rank_1": 0, "rank_5": 100, "rank_10": 100, "map": 50, "minp": 50})


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("block", [7, 512])
def test_metrics_equal_loops(seed: int, block: int) -> None:
    problem = random_problem(seed)
    assert rank_gallery(*problem, block).metrics() == pytest.approx(metrics_by_loops(*problem))


@pytest.mark.parametrize(("block", "images"), [(7, 30), (512, 3)])
def test_each_query_equals_loops(block: int, images: int) -> None:
    scores, query_ids, gallery_ids = random_problem(6, images=images, ids=3)
    ranking = rank_gallery(scores, query_ids, gallery_ids, block)
    for i, row in enumerate(scores.tolist()):
        best = sorted(range(images), key=lambda j: -row[j])
        hits = [int(gallery_ids[j]) == int(query_ids[i]) for j in best]
        precisions = [sum(hits[: k + 1]) / (k + 1) for k in range(images) if hits[k]]
        assert ranking.identity[i] == query_ids[i]
        assert ranking.rank[i] == hits.index(True) + 1
        assert float(ranking.ap[i]) == pytest.approx(sum(precisions) / len(precisions))
        assert ranking.top[i].tolist() == best[:TOP_IMAGES]


def test_metrics_equal_torchmetrics() -> None:
    scores, query_ids, gallery_ids = random_problem(5)
    hits = query_ids[:, None] == gallery_ids[None, :]
    indexes = torch.arange(len(query_ids))[:, None].expand_as(scores)
    metrics = rank_gallery(scores, query_ids, gallery_ids).metrics()
    positive = scores - scores.min() + 1  # torchmetrics ignores images with scores <= 0
    flat = positive.flatten(), hits.flatten(), indexes.flatten()
    assert metrics["map"] == pytest.approx(100 * float(RetrievalMAP()(*flat[:2], indexes=flat[2])), abs=1e-3)
    for k in (1, 5, 10):
        expected = RetrievalHitRate(top_k=k)(*flat[:2], indexes=flat[2])
        assert metrics[f"rank_{k}"] == pytest.approx(100 * float(expected), abs=1e-3)


def test_metrics_of_the_best_and_the_worst_order() -> None:
    gallery_ids, query_ids = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1])
    perfect = (query_ids[:, None] == gallery_ids[None, :]).float()
    assert set(rank_gallery(perfect, query_ids, gallery_ids).metrics().values()) == {100.0}
    worst = rank_gallery(-perfect, query_ids, gallery_ids).metrics()
    assert (worst["rank_1"], worst["minp"]) == (0.0, 50.0)


def test_ties_keep_the_order_of_the_gallery() -> None:
    metrics = rank_gallery(torch.zeros(1, 4), torch.tensor([1]), torch.tensor([0, 1, 0, 1])).metrics()
    assert metrics["map"] == pytest.approx(50.0)


def test_a_query_without_a_relevant_image_is_refused() -> None:
    with pytest.raises(ValueError, match="^a query has no relevant image in the gallery$"):
        rank_gallery(torch.zeros(1, 2), torch.tensor([5]), torch.tensor([0, 1]))


class TableModel(nn.Module):
    """Image i (a pixel of value i) and caption j (token j): embeddings from a table, matching logits `matrix`."""

    def __init__(self, images: Tensor, texts: Tensor, matrix: Tensor) -> None:
        super().__init__()
        self.tables, self.matrix = {"image": images, "text": texts}, matrix

    def encode_image(self, images: Tensor) -> Encoded:
        assert not self.training
        row = ((images[:, 0, 0, 0] + 1) * 127.5).round().long()
        return Encoded(row[:, None, None].float(), self.tables["image"][row])

    def encode_text(self, tokens: Tensor) -> Encoded:
        row = tokens[:, 0]
        return Encoded(row[:, None, None].float(), self.tables["text"][row])

    def embed_image(self, images: Tensor) -> Tensor:
        return self.encode_image(images).embedding

    def embed_text(self, tokens: Tensor) -> Tensor:
        return self.encode_text(tokens).embedding

    def match(self, image_states: Tensor, text_states: Tensor, tokens: Tensor) -> Tensor:
        assert torch.equal(text_states.flatten().long(), tokens[:, 0])
        logit = self.matrix[tokens[:, 0], image_states.flatten().long()]
        return torch.stack((torch.zeros_like(logit), logit), 1)


IMAGES, TEXTS = 9, 4
NO_CENTRING = torch.zeros(5), torch.zeros(5)


@pytest.fixture
def scene() -> tuple[Any, EvaluationSet, Tensor, Tensor]:
    """A model, its evaluation set, the cosines [4, 9] and the matching logits [4, 9]."""
    random = torch.Generator().manual_seed(0)
    images = F.normalize(torch.randn(IMAGES, 5, generator=random), dim=1)
    texts = F.normalize(torch.randn(TEXTS, 5, generator=random), dim=1)
    matrix = torch.randn(TEXTS, IMAGES, generator=random)
    data = EvaluationSet(
        images=torch.arange(IMAGES, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 2, 2),
        tokens=torch.arange(TEXTS)[:, None],
        image_identities=torch.tensor([0, 1, 2, 3, 0, 1, 2, 3, 0]),
        caption_identities=torch.arange(TEXTS),
    )
    return TableModel(images, texts, matrix), data, texts @ images.T, matrix


def order(scores: Tensor) -> list[list[int]]:
    return scores.argsort(dim=1, descending=True, stable=True).tolist()


def scores_of(scene: tuple[Any, EvaluationSet, Tensor, Tensor], **fields: Any) -> Tensor:
    return Retriever(scene[0].eval(), Evaluate(batch=4, **fields), NO_CENTRING).scores(scene[1])


def test_scores_without_reranking_are_cosines(scene: tuple[Any, EvaluationSet, Tensor, Tensor]) -> None:
    torch.testing.assert_close(scores_of(scene, k_test=0), scene[2])


@pytest.mark.parametrize("k", [1, 3, 8])
def test_reranking_orders_the_top_and_keeps_the_rest(scene: tuple[Any, EvaluationSet, Tensor, Tensor], k: int) -> None:
    ranked = order(scores_of(scene, k_test=k, below="contrastive"))
    for row, first in enumerate(order(scene[2])):
        assert ranked[row] == sorted(first[:k], key=lambda j: -float(scene[3][row, j])) + first[k:]


def test_reranking_with_a_constant_below_keeps_the_gallery_order(
    scene: tuple[Any, EvaluationSet, Tensor, Tensor],
) -> None:
    ranked = order(scores_of(scene, k_test=3, below="constant"))
    for row, first in enumerate(order(scene[2])):
        assert ranked[row] == sorted(first[:3], key=lambda j: -float(scene[3][row, j])) + sorted(first[3:])


@pytest.mark.parametrize("k", [IMAGES, 1000])
def test_reranking_all_images_gives_probabilities(scene: tuple[Any, EvaluationSet, Tensor, Tensor], k: int) -> None:
    for below in ("contrastive", "constant"):
        torch.testing.assert_close(scores_of(scene, k_test=k, below=below), scene[3].sigmoid())


def test_means_are_subtracted_before_ranking(scene: tuple[Any, EvaluationSet, Tensor, Tensor]) -> None:
    model, data, _, _ = scene
    means = torch.full((5,), 0.1), torch.full((5,), -0.2)
    scores = Retriever(model.eval(), Evaluate(batch=4, k_test=0), means).scores(data)
    images, texts = model.tables["image"] - 0.1, model.tables["text"] + 0.2
    for i in range(TEXTS):
        for j in range(IMAGES):
            dot = float(texts[i] @ images[j])
            norm = math.sqrt(float(texts[i] @ texts[i]) * float(images[j] @ images[j]))
            assert float(scores[i, j]) == pytest.approx(dot / norm, abs=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_ranking_uses_evaluation_mode_and_restores_the_mode(
    scene: tuple[Any, EvaluationSet, Tensor, Tensor], training: bool
) -> None:
    model, data, cosine, _ = scene
    model.train(training)
    metrics = Retriever(model, Evaluate(batch=4, k_test=0), NO_CENTRING).ranking(data).metrics()
    assert model.training is training
    assert metrics == pytest.approx(metrics_by_loops(cosine, data.caption_identities, data.image_identities))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_similarities_that_are_not_finite_are_refused(value: float) -> None:
    """NaN would be ranked first, or last: a Rank-1 of a diverged model."""
    scores = torch.rand(3, 4)
    scores[1, 2] = value
    text = "evaluation: 1 of 12 similarities are NaN or infinite; the model diverged, or its weights are damaged"
    with pytest.raises(InputError, match=f"^{text}$"):
        rank_gallery(scores, torch.tensor([0, 1, 0]), torch.tensor([0, 1, 1, 0]))


def test_every_row_of_scores_needs_an_identity() -> None:
    with pytest.raises(ValueError, match="shorter"):
        rank_gallery(torch.rand(3, 2), torch.tensor([0, 1]), torch.tensor([0, 1]), block=1)


def test_metrics_of_val_are_without_reranking(scene: tuple[Any, EvaluationSet, Tensor, Tensor]) -> None:
    model, data, cosine, _ = scene
    metrics = val_metrics("target_val", model, NO_CENTRING, Evaluate(batch=4, k_test=3), data)
    expected = metrics_by_loops(cosine, data.caption_identities, data.image_identities)
    assert metrics == pytest.approx(
        {"target_val_rank_1": expected["rank_1"], "target_val_map": expected["map"]}, rel=1e-6
    )
    shifted = torch.full((5,), 0.4), torch.full((5,), -0.3)
    images, texts = model.tables["image"] - 0.4, model.tables["text"] + 0.3
    centred = metrics_by_loops(
        F.normalize(texts, dim=1) @ F.normalize(images, dim=1).T, data.caption_identities, data.image_identities
    )
    metrics = val_metrics("val", model, shifted, Evaluate(batch=4, k_test=0), data)
    assert metrics == pytest.approx({"val_rank_1": centred["rank_1"], "val_map": centred["map"]}, rel=1e-6)


def test_the_transform_gets_the_bank_of_each_modality(scene: tuple[Any, EvaluationSet, Tensor, Tensor]) -> None:
    """Bank 2 is Q_TI, bank 3 is Q_TT."""
    banks: list[int] = []

    def reverse(bank: int, embeddings: Tensor) -> Tensor:
        banks.append(bank)
        return embeddings.flip(1) if bank == 3 else embeddings

    model, data, _, _ = scene
    scores = Retriever(model.eval(), Evaluate(batch=4, k_test=0), NO_CENTRING, reverse).scores(data)
    torch.testing.assert_close(scores, model.tables["text"].flip(1) @ model.tables["image"].T)
    assert sorted(banks) == [2, 3]
