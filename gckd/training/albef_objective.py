"""ALBEF's pre-training: momentum distillation with queues (Li et al., NeurIPS 2021, sections 3.2 and 3.3)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gckd.config.schema import Config
from gckd.config.stages import MomentumDistillation
from gckd.data.batches import Feed
from gckd.distributed import gather, local_rows, weighted_local_mean
from gckd.graph.memory import MemoryBank
from gckd.method.losses import identity_targets, mask_tokens, soft_cross_entropy
from gckd.method.mlm_loss import MLM_RATE
from gckd.method.source_losses import EncodedBatch, source_matching
from gckd.method.teacher import EmaTeacher
from gckd.models.base import Backbone, Encoded
from gckd.seeding import generator
from gckd.training.objectives import OBJECTIVES, strong_views


class PairBatch(NamedTuple):
    """Augmented image-caption pairs: the b rows of this worker, and identities and rows of all B pairs."""

    images: Tensor  # [b, 3, H, W], normalised
    tokens: Tensor  # [b, L]
    identities: Tensor  # [B]
    image_rows: Tensor  # [B]
    caption_rows: Tensor  # [B]


class Encodings(NamedTuple):
    """Images and captions of a batch, encoded by one model."""

    image: Encoded
    text: Encoded


@OBJECTIVES.register(MomentumDistillation)
class AlbefObjective:
    """Contrastive, matching and MLM losses; a momentum model softens the contrastive and the MLM targets.

    Source: `models/model_pretrain.py` and `models/model_retrieval.py` of salesforce/ALBEF at b9727e4. If all identities
    differ it equals the former, else the latter. Two differences: an example that recurs replaces its older queue
    entry, and queues start empty instead of with noise.
    """

    def __init__(
        self, node: MomentumDistillation, config: Config, feed: Feed, model: Backbone, momentum_start: Backbone
    ) -> None:
        self.node, self.config, self.feed, self.model = node, config, feed, model
        self.teacher = EmaTeacher(momentum_start, node.m)
        self.images = MemoryBank(node.queue, model.embed_dim)
        self.texts = MemoryBank(node.queue, model.embed_dim)

    def modules(self) -> dict[str, nn.Module]:
        """Momentum model and both queues."""
        return {"momentum": self.teacher, "images": self.images, "texts": self.texts}

    def terms(self, step: int) -> dict[str, Tensor]:
        """Loss terms of batch `step` (from 0), each a scalar."""
        batch, every = self.feed.source.batch(step), self.config.pretrain.fusion_every
        view = strong_views(self.config, self.feed, batch, step)
        pairs = PairBatch(view.images, view.tokens, batch.identities, batch.image_rows, batch.caption_rows)
        alpha = self.node.alpha * min(1.0, step / self.feed.source.steps_per_epoch)
        online, momentum, contrastive = self.contrastive(pairs, alpha)
        terms = {"source_contrastive": contrastive}
        if step % every == 0:
            fused = self._fusion_terms(pairs, batch.tokens, online, momentum, alpha, step)
            terms |= {name: every * term for name, term in fused.items()}
        return terms

    def _fusion_terms(
        self, pairs: PairBatch, tokens: Tensor, online: Encodings, momentum: Encodings, alpha: float, step: int
    ) -> dict[str, Tensor]:
        """Matching and MLM terms, as far as the backbone has heads for them; `tokens` [B, L] without word dropout."""
        random, tokenizer = generator(self.config.seed, "pretrain/fusion", step), self.feed.tokenizer
        terms = {}
        if self.model.has_matching_head:
            terms["source_matching"] = self.matching(pairs, online, momentum, random)
        if self.model.has_mlm_head:
            words = tokenizer.first_word, tokenizer.vocab_size
            masked, positions = map(local_rows, mask_tokens(tokens, MLM_RATE, tokenizer.mask, *words, random))
            terms["source_mlm"] = self.mlm(online, momentum, masked, positions, local_rows(tokens), alpha)
        return terms

    def contrastive(self, pairs: PairBatch, alpha: float) -> tuple[Encodings, Encodings, Tensor]:
        """Update the momentum model, compute the contrastive loss, and push the momentum embeddings to the queues.

        Returns:
            Encodings by the model, encodings by the momentum model, and the loss.
        """
        model, tau = self.model, self.model.tau
        online = Encodings(model.encode_image(pairs.images), model.encode_text(pairs.tokens))
        momentum = self._momentum_encodings(pairs)
        size = len(pairs.identities)
        embeddings = gather(momentum.image.embedding, size), gather(momentum.text.embedding, size)
        keys = torch.cat((embeddings[1], self.texts.filled())), torch.cat((embeddings[0], self.images.filled()))
        key_identities = (
            torch.cat((pairs.identities, self.texts.identities[: len(self.texts)])),
            torch.cat((pairs.identities, self.images.identities[: len(self.images)])),
        )
        loss = tau.new_zeros(())
        for modality in (0, 1):  # of the queries: image, text
            with torch.no_grad():
                soft = F.softmax(embeddings[modality] @ keys[modality].T / tau, 1)
                targets = torch.lerp(identity_targets(pairs.identities, key_identities[modality]), soft, alpha)
            logits = gather(online[modality].embedding, size) @ keys[modality].T / tau
            loss = loss + soft_cross_entropy(logits, targets) / 2
        self.images.push(embeddings[0], pairs.image_rows, pairs.identities)
        self.texts.push(embeddings[1], pairs.caption_rows, pairs.identities)
        return online, momentum, loss

    @torch.no_grad()
    def _momentum_encodings(self, pairs: PairBatch) -> Encodings:
        self.teacher.update(self.model)
        model = self.teacher.model().eval()
        return Encodings(model.encode_image(pairs.images), model.encode_text(pairs.tokens))

    def matching(self, pairs: PairBatch, online: Encodings, momentum: Encodings, random: torch.Generator) -> Tensor:
        """Matching loss; hard negatives are drawn by their similarity to the momentum embeddings."""
        keys = momentum.image.embedding, momentum.text.embedding
        return source_matching(self.model, EncodedBatch(*online, pairs.tokens), pairs.identities, random, keys)

    def mlm(
        self, online: Encodings, momentum: Encodings, masked: Tensor, positions: Tensor, tokens: Tensor, alpha: float
    ) -> Tensor:
        """MLM loss: (1 - alpha) * cross-entropy with the words + alpha * cross-entropy with the momentum predictions.

        Args:
            masked: token ids [b, L] with masks.
            positions: [b, L], True at masked tokens.
            tokens: token ids [b, L] without masks.
        """
        words, loss = tokens[positions], torch.zeros(())
        if len(words):
            logits = self.model.predict_tokens(masked, online.image.states, positions)
            with torch.no_grad():
                soft = F.softmax(self.teacher.model().predict_tokens(masked, momentum.image.states, positions), 1)
            loss = (1 - alpha) * F.cross_entropy(logits, words) + alpha * soft_cross_entropy(logits, soft)
        return weighted_local_mean(loss, len(words))
