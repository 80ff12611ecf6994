"""ALBEF's own source objective: momentum distillation against queues (Li et al., NeurIPS 2021, section 3.2 and 3.3)."""

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
from gckd.method.source_losses import MLM_RATE, EncodedBatch, source_matching
from gckd.method.teacher import EmaTeacher
from gckd.models.base import Backbone, Encoded
from gckd.seeding import generator
from gckd.training.objectives import strong_views


class Pairs(NamedTuple):
    """This worker's b of B image-caption pairs as the model sees them, and where all of them come from."""

    images: Tensor  # [b, 3, H, W], normalised
    tokens: Tensor  # [b, L]
    identities: Tensor  # [B]
    image_rows: Tensor  # [B]
    caption_rows: Tensor  # [B]


class Seen(NamedTuple):
    """Both encodings of a batch by one model."""

    image: Encoded
    text: Encoded


class Momentum:
    """Contrastive, matching and MLM losses, the momentum model softening the targets of the first and the last.

    Source: `models/model_pretrain.py` and `models/model_retrieval.py` of salesforce/ALBEF at b9727e4. With identities
    that are all different it is the former's, else the latter's. Two things differ: an example that comes again
    replaces its older queue entry, and queues start empty instead of with noise.
    """

    def __init__(
        self, node: MomentumDistillation, config: Config, feed: Feed, model: Backbone, copies: Backbone
    ) -> None:
        self.node, self.config, self.feed, self.model = node, config, feed, model
        self.teacher = EmaTeacher(copies, node.m)
        self.images = MemoryBank(node.queue, model.embed_dim)
        self.texts = MemoryBank(node.queue, model.embed_dim)

    def modules(self) -> dict[str, nn.Module]:
        return {"momentum": self.teacher, "images": self.images, "texts": self.texts}

    def terms(self, step: int) -> dict[str, Tensor]:
        """Loss terms of batch `step` (from 0), each a scalar."""
        batch, every = self.feed.source.batch(step), self.config.pretrain.fusion_every
        view = strong_views(self.config, self.feed, batch, step)
        pairs = Pairs(view.images, view.tokens, batch.identities, batch.image_rows, batch.caption_rows)
        alpha = self.node.alpha * min(1.0, step / self.feed.source.steps_per_epoch)
        online, momentum, contrastive = self.contrastive(pairs, alpha)
        terms = {"source_contrastive": contrastive}
        if step % every == 0:
            fused = self._fusion_terms(pairs, batch.tokens, online, momentum, alpha, step)
            terms |= {name: every * term for name, term in fused.items()}
        return terms

    def _fusion_terms(
        self, pairs: Pairs, tokens: Tensor, online: Seen, momentum: Seen, alpha: float, step: int
    ) -> dict[str, Tensor]:
        """Matching and MLM, where the backbone has a head for it; `tokens` [B, L] without word dropout."""
        random, tokenizer = generator(self.config.seed, "pretrain/fusion", step), self.feed.tokenizer
        terms = {}
        if self.model.has_matching_head:
            terms["source_matching"] = self.matching(pairs, online, momentum, random)
        if self.model.has_mlm_head:
            words = tokenizer.first_word, tokenizer.vocab_size
            masked, chosen = map(local_rows, mask_tokens(tokens, MLM_RATE, tokenizer.mask, *words, random))
            terms["source_mlm"] = self.mlm(online, momentum, masked, chosen, local_rows(tokens), alpha)
        return terms

    def contrastive(self, pairs: Pairs, alpha: float) -> tuple[Seen, Seen, Tensor]:
        """The momentum model follows and embeds, the loss compares, the queues take what it embedded.

        Returns:
            Encodings by the model and by its momentum copy, and the loss.
        """
        model, tau = self.model, self.model.tau
        online = Seen(model.encode_image(pairs.images), model.encode_text(pairs.tokens))
        momentum = self._follow(pairs)
        size = len(pairs.identities)
        known = gather(momentum.image.embedding, size), gather(momentum.text.embedding, size)
        keys = torch.cat((known[1], self.texts.filled())), torch.cat((known[0], self.images.filled()))
        columns = (
            torch.cat((pairs.identities, self.texts.identities[: len(self.texts)])),
            torch.cat((pairs.identities, self.images.identities[: len(self.images)])),
        )
        loss = tau.new_zeros(())
        for side in (0, 1):
            with torch.no_grad():
                soft = F.softmax(known[side] @ keys[side].T / tau, 1)
                wanted = torch.lerp(identity_targets(pairs.identities, columns[side]), soft, alpha)
            loss = loss + soft_cross_entropy(gather(online[side].embedding, size) @ keys[side].T / tau, wanted) / 2
        self.images.push(known[0], pairs.image_rows, pairs.identities)
        self.texts.push(known[1], pairs.caption_rows, pairs.identities)
        return online, momentum, loss

    @torch.no_grad()
    def _follow(self, pairs: Pairs) -> Seen:
        self.teacher.update(self.model)
        copy = self.teacher.model().eval()
        return Seen(copy.encode_image(pairs.images), copy.encode_text(pairs.tokens))

    def matching(self, pairs: Pairs, online: Seen, momentum: Seen, random: torch.Generator) -> Tensor:
        """Matching loss; hard negatives are drawn by the similarity to the momentum model's embeddings."""
        keys = momentum.image.embedding, momentum.text.embedding
        return source_matching(self.model, EncodedBatch(*online, pairs.tokens), pairs.identities, random, keys)

    def mlm(self, online: Seen, momentum: Seen, masked: Tensor, chosen: Tensor, tokens: Tensor, alpha: float) -> Tensor:
        """Cross-entropy at the chosen positions [b, L], of the words and, weighted alpha, of the momentum model's."""
        words, loss = tokens[chosen], torch.zeros(())
        if len(words):
            logits = self.model.predict_tokens(masked, online.image.states, chosen)
            with torch.no_grad():
                soft = F.softmax(self.teacher.model().predict_tokens(masked, momentum.image.states, chosen), 1)
            loss = (1 - alpha) * F.cross_entropy(logits, words) + alpha * soft_cross_entropy(logits, soft)
        return weighted_local_mean(loss, len(words))
