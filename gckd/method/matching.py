"""Cross-domain matching (eq. 9), and the object that stands for its absence."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from gckd.config.distill import CrossDomainMatching
from gckd.data.batches import Feed
from gckd.data.transforms import clean_view
from gckd.distributed import weighted_local_mean
from gckd.method.banks import Banks, PerBank
from gckd.method.losses import matching_loss
from gckd.models.base import Backbone, Encoded


class TargetQueries(NamedTuple):
    """This worker's rows of a target batch: the student's encodings, and the teacher's propagated embeddings [b, d].

    The latter choose the pairs.
    """

    image: Encoded
    text: Encoded
    tokens: Tensor  # [b, L]
    image_key: Tensor
    text_key: Tensor


class MatchingLoss(Protocol):
    """Loss terms of the matching of one step."""

    def __call__(self, queries: TargetQueries, views: PerBank) -> dict[str, Tensor]: ...


class NoMatchingLoss:
    """Nothing is matched across the domains."""

    def __call__(self, queries: TargetQueries, views: PerBank) -> dict[str, Tensor]:
        return {}


class CrossDomainPairs(NamedTuple):
    """The accepted queries (indices [P] into the batch), and the rows of their positive and negative partners."""

    chosen: Tensor
    positive: Tensor  # rows of the target split
    negative: Tensor  # rows of the source split


def cross_domain_pairs(
    queries: Tensor, target: tuple[Tensor, Tensor], source: tuple[Tensor, Tensor], config: CrossDomainMatching
) -> CrossDomainPairs:
    """Eq. 9's pairs: accepted where the best target partner's cosine exceeds delta.

    Args:
        queries: [B, d] unit embeddings. target, source: (unit embeddings [N, d], dataset rows [N]) of the banks of the
            other modality. The negative is the most similar *source* entry, or any: another identity by construction.
    """
    cosine, best = (queries @ target[0].T).max(1)
    chosen = (cosine > config.delta).nonzero().squeeze(1)
    if config.negatives == "hard":
        negative = (queries[chosen] @ source[0].T).argmax(1)
    else:
        negative = torch.randint(len(source[0]), chosen.shape)
    return CrossDomainPairs(chosen, target[1][best[chosen]], source[1][negative])


class CrossDomainMatchingLoss:
    """Binary matching loss on the multimodal encoder over `cross_domain_pairs`, in both directions (eq. 9).

    The banks give each partner's dataset row; the student encodes its clean view.
    """

    def __init__(self, config: CrossDomainMatching, feed: Feed, student: Backbone, banks: Banks) -> None:
        self.config, self.feed, self.student, self.banks = config, feed, student, banks

    def __call__(self, queries: TargetQueries, views: PerBank) -> dict[str, Tensor]:
        banks = self.banks
        texts = cross_domain_pairs(
            queries.image_key,
            (views.target_text, banks.target_text.rows),
            (views.source_text, banks.source_text.rows),
            self.config,
        )
        images = cross_domain_pairs(
            queries.text_key,
            (views.target_image, banks.target_image.rows),
            (views.source_image, banks.source_image.rows),
            self.config,
        )
        feed, logits = self.feed, {True: [torch.zeros(0, 2)], False: [torch.zeros(0, 2)]}
        if len(texts.chosen):
            states = queries.image.states[texts.chosen]
            logits[True].append(self._against_texts(states, feed.target.tokens_at(texts.positive)))
            logits[False].append(self._against_texts(states, feed.source.tokens_at(texts.negative)))
        if len(images.chosen):
            text = queries.text.states[images.chosen], queries.tokens[images.chosen]
            logits[True].append(self._against_images(*text, feed.target.images_at(images.positive)))
            logits[False].append(self._against_images(*text, feed.source.images_at(images.negative)))
        pairs = 2 * (len(texts.chosen) + len(images.chosen))
        loss = matching_loss(torch.cat(logits[True]), torch.cat(logits[False])) if pairs else torch.zeros(())
        return {"target_matching": weighted_local_mean(loss, pairs)}

    def _against_texts(self, image_states: Tensor, tokens: Tensor) -> Tensor:
        return self.student.match(image_states, self.student.encode_text(tokens).states, tokens)

    def _against_images(self, text_states: Tensor, tokens: Tensor, images: Tensor) -> Tensor:
        return self.student.match(self.student.encode_image(clean_view(images)).states, text_states, tokens)
