"""Cross-domain matching on the fusion encoder (eq. 9)."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from gckd.config.component import MatchingConfig
from gckd.config.distill import CrossDomainMatching, NoMatching
from gckd.config.registry import Registry
from gckd.data.batches import Feed
from gckd.data.transforms import clean_view
from gckd.distributed import weighted_local_mean
from gckd.method.banks import Banks, PerBank
from gckd.method.losses import matching_loss
from gckd.models.base import Backbone, Encoded
from gckd.models.joint_pass import joined, joined_states, joins_passes


class TargetQueries(NamedTuple):
    """This worker's rows of a target batch, as the queries of cross-domain matching."""

    image: Encoded  # by the student
    text: Encoded  # by the student
    tokens: Tensor  # [b, L]
    image_key: Tensor  # [b, d] propagated teacher embeddings, which choose the pairs
    text_key: Tensor


class MatchingLoss(Protocol):
    """Matching loss on the target (slot `distill.matching`)."""

    def __call__(self, queries: TargetQueries, banks: PerBank) -> dict[str, Tensor]:
        """Named loss terms of one target batch.

        Args:
            banks: unit embeddings [N, d] of the four banks, in the space of the queries.
        """
        ...


MATCHINGS: Registry[MatchingConfig, MatchingLoss, Feed, Backbone, Banks] = Registry(MatchingConfig)


class CrossDomainPairs(NamedTuple):
    """The P accepted queries of a batch, with a positive and a negative partner each: indices [P]."""

    accepted: Tensor  # into the queries
    positive: Tensor  # into the target bank
    negative: Tensor  # into the source bank


def cross_domain_pairs(
    queries: Tensor, target: Tensor, source: Tensor, *, delta: float = 0.8, negatives: str = "hard"
) -> CrossDomainPairs:
    """Positive and negative pairs of cross-domain matching (eq. 9).

        positive(z) = argmax_j z . Q_T[j],  accepted if z . Q_T[positive(z)] > delta
        negative(z) = argmax_j z . Q_S[j]

    A source entry is a safe negative: no source identity occurs in the target.

    Example:
        >>> queries = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> target, source = torch.tensor([[0.6, -0.8], [0.28, 0.96]]), torch.tensor([[0.0, 1.0]])
        >>> pairs = cross_domain_pairs(queries, target, source, delta=0.8)
        >>> pairs.accepted, pairs.positive, pairs.negative
        (tensor([1]), tensor([1]), tensor([0]))

    Args:
        queries: z, propagated embeddings of a target batch in one modality.
        target: Q_T, the target bank of the other modality.
        source: Q_S, the source bank of the other modality.
        delta: cosine threshold of a positive pair.
        negatives: "hard" as above, or "random" for any source entry.

    Shapes:
        queries [B, d], target [N, d], source [M, d], all unit vectors -> indices [P], P <= B.

    Differences from the paper: "random" negatives are an ablation of ours.
    """
    cosine, nearest = (queries @ target.T).max(1)
    accepted = (cosine > delta).nonzero().squeeze(1)
    if negatives == "hard":
        negative = (queries[accepted] @ source.T).argmax(1)
    else:
        negative = torch.randint(len(source), accepted.shape)
    return CrossDomainPairs(accepted, nearest[accepted], negative)


@MATCHINGS.register(CrossDomainMatching)
class CrossDomainMatchingLoss:
    """Binary cross-entropy of the matching head on `cross_domain_pairs`, in both retrieval directions (eq. 9).

    Each pair weighs the same. The student encodes the partners from their clean views, since a bank holds no token
    states; the bank's dataset rows say which image or caption to load.

    Shapes:
        queries [b, ...], banks [N, d] -> {"target_matching": scalar}; 0 if delta accepts no pair.
    """

    def __init__(self, node: CrossDomainMatching, feed: Feed, student: Backbone, banks: Banks) -> None:
        self.node, self.feed, self.student, self.memory = node, feed, student, banks

    def __call__(self, queries: TargetQueries, banks: PerBank) -> dict[str, Tensor]:
        texts = self._pairs(queries.image_key, banks.target_text, banks.source_text)
        images = self._pairs(queries.text_key, banks.target_image, banks.source_image)
        logits: list[tuple[Tensor, Tensor]] = []  # of positive and of negative pairs
        if joins_passes(queries.tokens) and len(texts.accepted) and len(images.accepted):
            logits = self._match_jointly(queries, texts, images)
        else:
            matches = (self._match_texts, texts), (self._match_images, images)
            logits = [match(queries, pairs) for match, pairs in matches if len(pairs.accepted)]
        count = 2 * (len(texts.accepted) + len(images.accepted))
        loss = matching_loss(*map(torch.cat, zip(*logits, strict=True))) if logits else torch.zeros(())
        return {"target_matching": weighted_local_mean(loss, count)}

    def _pairs(self, queries: Tensor, target: Tensor, source: Tensor) -> CrossDomainPairs:
        return cross_domain_pairs(queries, target, source, delta=self.node.delta, negatives=self.node.negatives)

    def _match_jointly(
        self, queries: TargetQueries, texts: CrossDomainPairs, images: CrossDomainPairs
    ) -> list[tuple[Tensor, Tensor]]:
        """Logits of `_match_texts` and `_match_images`, by one pass of each encoder; they differ by rounding.

        Args:
            texts, images: P and R pairs of image queries and of caption queries.
        """
        partner_tokens, query_tokens = joined(self._partner_tokens(texts)), queries.tokens[images.accepted]
        query_states = queries.text.states[images.accepted]
        partner_images = self.student.encode_image(clean_view(torch.cat(self._partner_images(images)))).states
        image_states = torch.cat((queries.image.states[texts.accepted], partner_images))  # [P + 2 R, T, width]
        partner_states = self.student.encode_text(partner_tokens).states
        text_states = joined_states((partner_states, query_states, query_states))  # [2 P + 2 R, L, width]
        tokens = joined((partner_tokens, query_tokens, query_tokens))
        p, r = len(texts.accepted), len(images.accepted)
        rows = torch.arange(p + 2 * r)
        logits = self.student.match(image_states, text_states, tokens, torch.cat((rows[:p], rows)))
        positive_texts, negative_texts, positive_images, negative_images = logits.split([p, p, r, r])
        return [(positive_texts, negative_texts), (positive_images, negative_images)]

    def _partner_tokens(self, pairs: CrossDomainPairs) -> tuple[Tensor, Tensor]:
        """Tokens [P, L] of the positive and of the negative captions."""
        target, source = self.memory.target_text, self.memory.source_text
        return (
            self.feed.target.tokens_at(target.rows[pairs.positive.cpu()]),
            self.feed.source.tokens_at(source.rows[pairs.negative.cpu()]),
        )

    def _partner_images(self, pairs: CrossDomainPairs) -> tuple[Tensor, Tensor]:
        """The positive and the negative images [P, 3, H, W] uint8."""
        target, source = self.memory.target_image, self.memory.source_image
        return (
            self.feed.target.images_at(target.rows[pairs.positive.cpu()]),
            self.feed.source.images_at(source.rows[pairs.negative.cpu()]),
        )

    def _match_texts(self, queries: TargetQueries, pairs: CrossDomainPairs) -> tuple[Tensor, Tensor]:
        """Logits [P, 2] of image queries with their positive and with their negative captions."""
        image_states = queries.image.states[pairs.accepted]

        def match(tokens: Tensor) -> Tensor:
            return self.student.match(image_states, self.student.encode_text(tokens).states, tokens)

        positive, negative = self._partner_tokens(pairs)
        return match(positive), match(negative)

    def _match_images(self, queries: TargetQueries, pairs: CrossDomainPairs) -> tuple[Tensor, Tensor]:
        """Logits [P, 2] of caption queries with their positive and with their negative images."""
        text_states, tokens = queries.text.states[pairs.accepted], queries.tokens[pairs.accepted]

        def match(images: Tensor) -> Tensor:
            return self.student.match(self.student.encode_image(clean_view(images)).states, text_states, tokens)

        positive, negative = self._partner_images(pairs)
        return match(positive), match(negative)


@MATCHINGS.register(NoMatching)
class NoMatchingLoss:
    """No matching on the target."""

    def __init__(self, node: NoMatching, feed: Feed, student: Backbone, banks: Banks) -> None:
        pass

    def __call__(self, queries: TargetQueries, banks: PerBank) -> dict[str, Tensor]:
        return {}
