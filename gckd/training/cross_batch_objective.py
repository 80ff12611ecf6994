"""Identity-aware contrastive pre-training with cross-batch memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gckd.config.schema import Config
from gckd.config.stages import CrossBatchMemory
from gckd.data.batches import Feed
from gckd.data.types import SourceBatch
from gckd.distributed import gather
from gckd.graph.memory import MemoryBank, centred
from gckd.method.losses import identity_targets, soft_cross_entropy
from gckd.method.source_losses import embed_batch, source_fusion_terms
from gckd.models.base import Backbone
from gckd.seeding import generator
from gckd.training.objectives import OBJECTIVES, strong_views


@OBJECTIVES.register(CrossBatchMemory)
class CrossBatchObjective:
    """Identity-aware contrastive, matching and MLM terms on augmented source batches.

    The contrastive terms compare with the batch and with the student's recent embeddings: cross-batch memory (Wang et
    al., CVPR 2020). The memory starts after the warm-up, when embeddings change slowly enough to be compared.
    """

    def __init__(
        self, node: CrossBatchMemory, config: Config, feed: Feed, model: Backbone, momentum_start: Backbone
    ) -> None:
        self.size, self.config, self.feed, self.model = node.size, config, feed, model
        self.images = MemoryBank(node.size, model.embed_dim)
        self.texts = MemoryBank(node.size, model.embed_dim)

    def modules(self) -> dict[str, nn.Module]:
        """Both memories."""
        return {"images": self.images, "texts": self.texts}

    def terms(self, step: int) -> dict[str, Tensor]:
        """Loss terms of batch `step` (from 0), each a scalar."""
        batch, model, plan = self.feed.source.batch(step), self.model, self.config.pretrain
        view = strong_views(self.config, self.feed, batch, step)
        embedded, size = embed_batch(model, view, step % plan.fusion_every == 0), len(batch.identities)
        z_image, z_text = self._centred(gather(embedded.image, size)), self._centred(gather(embedded.text, size))
        contrastive = (
            self._contrastive(z_image, z_text, self.texts, batch)
            + self._contrastive(z_text, z_image, self.images, batch)
        ) / 2
        self._remember(z_image, z_text, batch, step)
        intra = (self._intra_modal(z_image, batch.identities) + self._intra_modal(z_text, batch.identities)) / 2
        terms = {"source_contrastive": contrastive, "source_intra": intra}
        if embedded.encoded:
            random, every = generator(self.config.seed, "pretrain/fusion", step), plan.fusion_every
            terms |= source_fusion_terms(model, embedded.encoded, batch, self.feed.tokenizer, every, random)
        return terms

    def _centred(self, z: Tensor) -> Tensor:
        """Unit embeddings [B, d] without their batch mean, if `centre` is on.

        With random weights all embeddings are nearly equal. The loss then falls fastest by making them more equal: all
        similarities equal, loss ln B, a plateau of hundreds of steps. Centring removes that plateau.
        """
        return centred(z, z.mean(0)) if self.config.centre else z

    def _contrastive(self, queries: Tensor, keys: Tensor, memory: MemoryBank, batch: SourceBatch) -> Tensor:
        """Loss of queries [B, d] against keys [B, d] of the batch and the memory of the keys' modality.

        The two memories differ in length if an image recurs with another of its captions.
        """
        identities = torch.cat((batch.identities, memory.identities[: len(memory)]))
        logits = queries @ torch.cat((keys, memory.filled())).T / self.model.tau
        return soft_cross_entropy(logits, identity_targets(batch.identities, identities))

    def _remember(self, z_image: Tensor, z_text: Tensor, batch: SourceBatch, step: int) -> None:
        plan = self.config.pretrain
        if self.size and step >= plan.warmup * plan.steps * plan.accumulate:
            self.images.push(z_image.detach(), batch.image_rows, batch.identities)
            self.texts.push(z_text.detach(), batch.caption_rows, batch.identities)

    def _intra_modal(self, z: Tensor, identities: Tensor) -> Tensor:
        """Contrastive loss within a modality: the other examples [B, d] of the same identity are the positives.

        Ours, after TCL (Yang et al., CVPR 2022), which contrasts two views where this contrasts two photographs.
        """
        others = ~torch.eye(len(z), dtype=torch.bool, device=z.device)
        positive = (identities[:, None] == identities[None, :]) & others
        has_positive = positive.any(1)
        if not bool(has_positive.any()):
            return z.sum() * 0.0
        targets = positive[has_positive].float()
        similarity = (z @ z.T / self.model.tau).masked_fill(~others, -1e4)[has_positive]
        return soft_cross_entropy(similarity, targets / targets.sum(1, keepdim=True))
