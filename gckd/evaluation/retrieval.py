"""Text-to-image retrieval: Rank-K, mAP and mINP, optionally centred and re-ranked by the matching head."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.config.banks import TARGET_IMAGE, TARGET_TEXT
from gckd.config.train import Evaluate
from gckd.data.transforms import clean_view
from gckd.data.types import EvaluationSet
from gckd.distributed import map_batches
from gckd.graph.memory import centred
from gckd.models.base import Backbone

Join = Callable[[int, Tensor], Tensor]  # a target bank, unit embeddings [N, d] of its modality -> [N, d]
SHOWN = 5  # gallery images that are kept of each query


@dataclass(frozen=True)
class Ranking:
    """How each of M queries fared, on the CPU."""

    identity: Tensor  # [M] int64
    rank: Tensor  # [M] int64, of the first hit, from 1
    ap: Tensor  # [M] float64, in [0, 1]
    inp: Tensor  # [M] float64, in [0, 1]
    top: Tensor  # [M, SHOWN or all N] int64, rows of the gallery, the best first

    def metrics(self) -> dict[str, float]:
        """Rank-1/5/10, mAP and mINP: means over the queries, in percent."""
        hits = {f"rank_{k}": (self.rank <= k).double() for k in (1, 5, 10)}
        values = {**hits, "map": self.ap, "minp": self.inp}
        return {name: 100.0 * float(value.mean()) for name, value in values.items()}


def rank_gallery(scores: Tensor, query_ids: Tensor, gallery_ids: Tensor, block: int = 512) -> Ranking:
    """Each query's own order of the gallery, and how good it is.

    Args:
        scores: [M, N], higher is more similar. query_ids: [M]; gallery_ids: [N]. A hit is the same identity; equal
            scores keep the gallery's order.

    AP = sum(precision@k * hit_k) / #relevant; INP = #relevant / rank of the last hit (Ye et al., TPAMI 2021).

    Raises:
        ValueError: a query has no relevant image, so that its AP is undefined.
    """
    parts = []
    ranks = torch.arange(1, len(gallery_ids) + 1, dtype=torch.float64)
    for part, ids in zip(scores.split(block), query_ids.split(block), strict=True):
        order = part.argsort(dim=1, descending=True, stable=True)
        hits = gallery_ids[order] == ids[:, None]
        relevant = hits.sum(1).double()
        if not bool((relevant > 0).all()):
            raise ValueError("a query has no relevant image in the gallery")
        found = hits.cumsum(1).double()
        first = hits.double().argmax(1) + 1
        last = ranks[-1] - hits.flip(1).double().argmax(1)
        ap = (found / ranks * hits).sum(1) / relevant
        parts.append((ids, first, ap, relevant / last, order[:, :SHOWN]))
    return Ranking(*(torch.cat(column).cpu() for column in zip(*parts, strict=True)))


def embed(
    encode: Callable[[Tensor], Tensor], inputs: Tensor, batch: int, prepare: Callable[[Tensor], Tensor] = lambda x: x
) -> Tensor:
    """Apply an encoder to `inputs` [N, ...] in batches, shared by the workers of the run -> [N, ...] of its outputs."""
    return map_batches(lambda part: encode(prepare(part)), inputs.split(batch))


def _here(images: Tensor) -> Tensor:
    """The clean view of memory-mapped images, on the default device."""
    return clean_view(images.to(torch.get_default_device()))


def as_they_are(bank: int, embeddings: Tensor) -> Tensor:
    """No message passing at test time."""
    return embeddings


class Retriever:
    """A model in evaluation mode, with the centring statistics it is evaluated under.

    Args:
        means: (image, text) mean embeddings [d] of **train** data, subtracted before ranking (`train_means`).
        join: what centred embeddings go through before they are ranked.
    """

    def __init__(
        self, model: Backbone, config: Evaluate, means: tuple[Tensor, Tensor], join: Join = as_they_are
    ) -> None:
        self.model, self.config, self.means, self.join = model, config, means, join

    def images(self, images: Tensor) -> Tensor:
        """uint8 images [N, 3, H, W] -> embeddings [N, d]."""
        z = embed(lambda x: self.model.encode_image(x).embedding, images, self.config.batch, _here)
        return self.join(TARGET_IMAGE, centred(z, self.means[0]))

    def captions(self, tokens: Tensor) -> Tensor:
        """Token ids [M, L] -> embeddings [M, d]."""
        z = embed(lambda x: self.model.encode_text(x).embedding, tokens, self.config.batch)
        return self.join(TARGET_TEXT, centred(z, self.means[1]))

    def scores(self, data: EvaluationSet) -> Tensor:
        """[M captions, N images]: cosines, re-ranked if `k_test` is set."""
        cosine = self.captions(data.tokens) @ self.images(data.images).T
        k = min(self.config.k_test, len(data.images))
        return self._rerank(cosine, data, k) if k else cosine

    def ranking(self, data: EvaluationSet) -> Ranking:
        """Of one labelled split; the model is in evaluation mode meanwhile."""
        training = self.model.training
        self.model.eval()
        try:
            scores = self.scores(data)
        finally:
            self.model.train(training)
        return rank_gallery(scores, data.caption_identities, data.image_identities)

    @torch.no_grad()
    def _rerank(self, cosine: Tensor, data: EvaluationSet, k: int) -> Tensor:
        """Order each query's top k images by matching probability; the others stay below in the order configured.

        Public ALBEF-based code gives the others one constant score (`below="constant"`), so that its mAP tail is tie
        order; `"contrastive"` keeps their cosine order.
        """
        states = embed(lambda x: self.model.encode_image(x).states, data.images, self.config.batch, _here)
        top = cosine.topk(k, dim=1).indices
        # Cosines lie in [-1, 1] and probabilities in [0, 1]: 3 lower keeps every one of the others below the top.
        out = cosine - 3.0 if self.config.below == "contrastive" else torch.full_like(cosine, -3.0)

        def matching(query: Tensor) -> Tensor:
            """Probabilities [1, k] of the query at row [1]."""
            tokens, columns = data.tokens[query], top[query].squeeze(0)
            text = self.model.encode_text(tokens).states.expand(k, -1, -1)
            logits = self.model.match(states[columns], text, tokens.expand(k, -1))
            return F.softmax(logits, 1)[None, :, 1]

        return out.scatter(1, top, map_batches(matching, torch.arange(len(top)).split(1)))


def val_metrics(
    prefix: str, model: Backbone, means: tuple[Tensor, Tensor], config: Evaluate, data: EvaluationSet
) -> dict[str, float]:
    """Rank-1 and mAP, without re-ranking, which would cost more than the training between two evaluations."""
    found = Retriever(model, dataclasses.replace(config, k_test=0), means).ranking(data).metrics()
    return {f"{prefix}_rank_1": found["rank_1"], f"{prefix}_map": found["map"]}
