"""Adaptation step: batches -> banks -> graph -> pseudo labels -> named loss terms, which eq. 10 adds up."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.data.batches import Views
from gckd.data.types import SourceBatch, TargetBatch
from gckd.distributed import gather, local_rows
from gckd.graph.memory import centred
from gckd.graph.similarity import RetrievalDirection
from gckd.method.alignment import StudentEmbeddings
from gckd.method.banks import EmbeddingSpace, PerBank
from gckd.method.losses import identity_targets, soft_cross_entropy
from gckd.method.matching import TargetQueries
from gckd.method.parts import Parts
from gckd.method.pseudo_labels import StudentQueries
from gckd.method.source_losses import EmbeddedBatch, embed_batch, embed_batches, source_fusion_terms
from gckd.method.warm_start import WarmStart
from gckd.models.joint_pass import joins_passes
from gckd.seeding import generator


class SourceOnly:
    """Step of the baseline without GMP and CMKD: the loss terms of the labelled source.

    No target batch is loaded.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts, self.config = parts, parts.config

    def warm_start(self, warm: WarmStart) -> None:
        """Fill the banks that the terms read, before the first step."""
        parts = self.parts
        parts.banks.warm_start_source(parts.teacher.model(), parts.feed.source, self.config.seed, warm)

    def terms(self, step: int) -> dict[str, Tensor]:
        """Loss terms of batch `step` (from 0) by name, each a scalar."""
        parts, batch = self.parts, self.parts.feed.source.batch(step)
        parts.banks.push_source(parts.teacher.model(), batch)
        embedded, space = self.encode(batch, "source", step), parts.banks.space(self.config.centre, step)
        embeddings = source_embeddings(embedded, batch.size, space)
        terms = {"source_contrastive": self.contrastive(embeddings, batch, space)}
        return terms | parts.metric(embeddings, batch.identities) | self.fusion_terms(embedded, batch, step)

    def encode(self, batch: SourceBatch | TargetBatch, domain: str, step: int) -> EmbeddedBatch:
        """The student's embeddings of the strong view of a batch, with dropout."""
        return embed_batch(self.parts.student, self.view(batch, domain, step), self.needs_states(step))

    def needs_states(self, step: int) -> bool:
        """Whether the step has matching and MLM terms: every `fusion_every`-th."""
        return step % self.config.adapt.fusion_every == 0

    def view(self, batch: SourceBatch | TargetBatch, domain: str, step: int) -> Views:
        """The strong view of a batch."""
        return self.parts.feed.views(batch.images, batch.tokens, f"adapt/{domain}", step)

    def contrastive(
        self,
        embeddings: StudentEmbeddings,
        batch: SourceBatch,
        space: EmbeddingSpace,
        soft: tuple[Tensor, Tensor] | None = None,
        alpha: float = 0.0,
    ) -> Tensor:
        """Contrastive loss of the student against the source banks (eq. 8, source side).

            L = (H(y_i2t, softmax(x_I . Q_ST / tau)) + H(y_t2i, softmax(x_T . Q_SI / tau))) / 2
            y = (1 - alpha) identity targets + alpha soft targets

        Args:
            embeddings: x_I and x_T [B, d].
            soft: soft targets [B, N] over Q_ST and Q_SI; None: alpha is not used.
        """
        targets = self.bank_identity_targets(batch)
        if soft is not None:
            targets = torch.lerp(targets[0], soft[0], alpha), torch.lerp(targets[1], soft[1], alpha)
        tau = self.parts.student.tau
        image_to_text = soft_cross_entropy(embeddings.image @ space.banks.source_text.T / tau, targets[0])
        text_to_image = soft_cross_entropy(embeddings.text @ space.banks.source_image.T / tau, targets[1])
        return (image_to_text + text_to_image) / 2

    def bank_identity_targets(self, batch: SourceBatch) -> tuple[Tensor, Tensor]:
        """Identity targets [B, N] of a source batch over Q_ST and Q_SI."""
        texts, images = self.parts.banks.source_text, self.parts.banks.source_image
        return (
            identity_targets(batch.identities, texts.identities[: len(texts)]),
            identity_targets(batch.identities, images.identities[: len(images)]),
        )

    def fusion_terms(self, embedded: EmbeddedBatch, batch: SourceBatch, step: int) -> dict[str, Tensor]:
        """Matching and MLM terms of the source at every `fusion_every`-th step, with that weight."""
        if not embedded.encoded:
            return {}
        every, random = self.config.adapt.fusion_every, generator(self.config.seed, "adapt/fusion", step)
        parts = self.parts
        return source_fusion_terms(parts.student, embedded.encoded, batch, parts.feed.tokenizer, every, random)


class CrossDomain(SourceOnly):
    """Step of GCKD: the source terms, and target terms from the banks, the graph and the teacher.

    1. The teacher embeds both batches, and the banks store the embeddings (eq. 1-2).
    2. Message passing over the banks gives propagated embeddings (eq. 3-4).
    3. Pseudo labels from the propagated embeddings teach the student's target distributions (eq. 6-8).
    4. Accepted cross-domain pairs train the fusion encoder (eq. 9).

    The teacher is updated after the optimiser step (eq. 5).
    """

    def warm_start(self, warm: WarmStart) -> None:
        super().warm_start(warm)
        parts = self.parts
        parts.banks.warm_start_target(parts.teacher.model(), parts.feed.target, self.config.seed, warm)

    def terms(self, step: int) -> dict[str, Tensor]:
        parts, alpha, learns = self.parts, self.alpha(step), self.config.graph.propagate.learns
        source, target = parts.feed.source.batch(step), parts.feed.target.batch(step)
        positions = parts.banks.push(parts.teacher.model(), source, target)
        space = parts.banks.space(self.config.centre, step)
        propagated = self.propagate(space.banks, positions, with_source=alpha > 0 or learns)
        embedded_batches = self.embedded_batches(source, target, step)
        embedded = next(embedded_batches)
        source_student = source_embeddings(embedded, source.size, space)
        soft = self.source_soft_targets(propagated, space.banks) if alpha > 0 else None
        terms = {"source_contrastive": self.contrastive(source_student, source, space, soft, alpha)}
        terms |= parts.metric(source_student, source.identities) | self.fusion_terms(embedded, source, step)
        if learns:
            terms["graph"] = self.graph_term(propagated, space.banks, source)
        embedded = next(embedded_batches)
        target_student = target_embeddings(embedded, target.size, space)
        terms |= parts.align(source_student, target_student, self.progress(step))
        terms |= self.target_terms(embedded, target_student, propagated, space, positions, step)
        return terms | parts.selfsup(target, target_student, space.banks, positions, step)

    def embedded_batches(self, source: SourceBatch, target: TargetBatch, step: int) -> Iterator[EmbeddedBatch]:
        """The student's embeddings of the source batch, then of the target batch; on a GPU, one pass encodes both."""
        if joins_passes(source.images):
            yield from self.encode_jointly(source, target, step)
        else:
            yield self.encode(source, "source", step)
            yield self.encode(target, "target", step)

    def encode_jointly(self, source: SourceBatch, target: TargetBatch, step: int) -> list[EmbeddedBatch]:
        """The student's embeddings of both batches by one pass."""
        views = [self.view(source, "source", step), self.view(target, "target", step)]
        return embed_batches(self.parts.student, views, self.needs_states(step))

    def progress(self, step: int) -> float:
        """Share of the adaptation that is done before batch `step`, in [0, 1)."""
        return step / (self.config.adapt.steps * self.config.adapt.accumulate)

    def alpha(self, step: int) -> float:
        """Weight of the soft targets on the source, ramped up over the first epoch as in ALBEF; 0 without a teacher."""
        if self.config.distill.teacher.off:
            return 0.0
        return self.config.distill.alpha * min(1.0, step / self.parts.feed.source.steps_per_epoch)

    def propagate(self, banks: PerBank, positions: PerBank, with_source: bool) -> PerBank:
        """Propagated embeddings [B, d] of the newest entries of the banks (eq. 3-4); each worker computes its own rows.

        Args:
            positions: [B] of the newest entries.
            with_source: whether the source batch is an input too; otherwise its outputs are empty, [0, d].
        """
        if not with_source:
            positions = positions._replace(
                source_image=positions.source_image[:0], source_text=positions.source_text[:0]
            )
        own = [local_rows(entries) for entries in positions]
        outputs = zip(self.parts.propagate(banks, own), positions, strict=True)
        return PerBank(*(gather(rows, len(entries)) if len(entries) else rows for rows, entries in outputs))

    def source_soft_targets(self, propagated: PerBank, banks: PerBank) -> tuple[Tensor, Tensor]:
        """softmax(z . Q / tau) [B, N] of the source batch over Q_ST and Q_SI (eq. 6-7 on the source)."""
        tau = self.parts.student.tau.detach()
        return (
            F.softmax(propagated.source_image.detach() @ banks.source_text.T / tau, 1),
            F.softmax(propagated.source_text.detach() @ banks.source_image.T / tau, 1),
        )

    def graph_term(self, propagated: PerBank, banks: PerBank, batch: SourceBatch) -> Tensor:
        """Identity-aware contrastive loss of the propagated source batch, which trains a learned convolution.

        Banks and teacher are constants, so the weights of the convolution alone get a gradient.
        """
        tau, targets = self.parts.student.tau.detach(), self.bank_identity_targets(batch)
        return (
            soft_cross_entropy(propagated.source_image @ banks.source_text.T / tau, targets[0])
            + soft_cross_entropy(propagated.source_text @ banks.source_image.T / tau, targets[1])
        ) / 2

    def target_terms(
        self,
        embedded: EmbeddedBatch,
        student: StudentEmbeddings,
        propagated: PerBank,
        space: EmbeddingSpace,
        positions: PerBank,
        step: int,
    ) -> dict[str, Tensor]:
        """Terms of the unlabelled target: pseudo labels (eq. 6-8) and cross-domain matching (eq. 9).

        Args:
            embedded: this worker's rows. student, propagated, positions: the whole batch.
        """
        parts, pair = self.parts, self.parts.banks.target_pair(space, self.parts.search)
        to_texts = RetrievalDirection(propagated.target_image, positions.target_image, pair)
        to_images = RetrievalDirection(propagated.target_text, positions.target_text, pair.reversed())
        image, text = StudentQueries(student.image, to_texts), StudentQueries(student.text, to_images)
        terms = parts.target_loss(image, text, parts.student.tau)
        if embedded.encoded:
            every = self.config.adapt.fusion_every
            keys = local_rows(propagated.target_image), local_rows(propagated.target_text)
            matching = parts.matching(TargetQueries(*embedded.encoded, *keys), space.banks)
            terms |= {name: every * term for name, term in matching.items()}
        return terms


def source_embeddings(embedded: EmbeddedBatch, size: int, space: EmbeddingSpace) -> StudentEmbeddings:
    """The student's embeddings of a whole source batch of `size`, in the space of the source banks."""
    return _batch_embeddings(embedded, size, space.means.source_image, space.means.source_text)


def target_embeddings(embedded: EmbeddedBatch, size: int, space: EmbeddingSpace) -> StudentEmbeddings:
    """The student's embeddings of a whole target batch of `size`, in the space of the target banks."""
    return _batch_embeddings(embedded, size, space.means.target_image, space.means.target_text)


def _batch_embeddings(embedded: EmbeddedBatch, size: int, image_mean: Tensor, text_mean: Tensor) -> StudentEmbeddings:
    """Embeddings [B, d] gathered from all workers, without the means [d]."""
    image, text = gather(embedded.image, size), gather(embedded.text, size)
    return StudentEmbeddings(centred(image, image_mean), centred(text, text_mean))
