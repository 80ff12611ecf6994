"""Stage 3, one adaptation step: batches -> banks -> graph -> pseudo targets -> named loss terms (eq. 10)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.data.types import SourceBatch, TargetBatch
from gckd.distributed import gather, local_rows
from gckd.graph.memory import centred
from gckd.graph.similarity import BankPair, RetrievalDirection
from gckd.method.alignment import StudentEmbeddings
from gckd.method.banks import EmbeddingSpace, PerBank
from gckd.method.losses import identity_targets, soft_cross_entropy
from gckd.method.matching import TargetQueries
from gckd.method.parts import Parts
from gckd.method.pseudo_labels import StudentQueries
from gckd.method.source_losses import source_fusion_terms
from gckd.method.warm_start import WarmStart
from gckd.models.base import Encoded
from gckd.seeding import generator


class StudentEncodings(NamedTuple):
    """The student's encodings of the strong views of one domain's batch, this worker's rows; tokens [b, L] it saw."""

    image: Encoded
    text: Encoded
    tokens: Tensor


class SourceOnly:
    """The baseline `-gmp-cmkd`: the labelled source alone; nothing of the target is opened."""

    def __init__(self, parts: Parts) -> None:
        self.parts, self.config = parts, parts.config

    def warm_start(self, warm: WarmStart) -> None:
        """Fill the banks that the terms read, before the first step."""
        parts = self.parts
        parts.banks.warm_start_source(parts.teacher.model(), parts.feed.source, self.config.seed, warm)

    def terms(self, step: int) -> dict[str, Tensor]:
        """Loss terms of batch `step` (from 0), each a scalar."""
        banks, batch = self.parts.banks, self.parts.feed.source.batch(step)
        banks.push_source(self.parts.teacher.model(), batch)
        student, space = self.encode(batch, "source", step), banks.space(self.config.centre)
        seen = batch_embeddings(student, len(batch.images), space.means.source_image, space.means.source_text)
        terms = {"source_contrastive": self.contrastive(seen, batch, space)}
        return terms | self.parts.metric(seen, batch.identities) | self.fusion_terms(student, batch, step)

    def encode(self, batch: SourceBatch | TargetBatch, domain: str, step: int) -> StudentEncodings:
        """The student's view of a batch: strong augmentation, dropout on."""
        view = self.parts.feed.views(batch.images, batch.tokens, f"adapt/{domain}", step)
        model = self.parts.student
        return StudentEncodings(model.encode_image(view.images), model.encode_text(view.tokens), view.tokens)

    def contrastive(
        self,
        seen: StudentEmbeddings,
        batch: SourceBatch,
        space: EmbeddingSpace,
        soft: tuple[Tensor, Tensor] | None = None,
        alpha: float = 0.0,
    ) -> Tensor:
        """Eq. 8, source side: student against the source banks; `soft` targets are mixed in with weight alpha."""
        views, tau = space.views, self.parts.student.tau
        losses = []
        sides = (
            (seen.image, views.source_text, self.parts.banks.source_text),
            (seen.text, views.source_image, self.parts.banks.source_image),
        )
        for side, (query, keys, bank) in enumerate(sides):
            wanted = identity_targets(batch.identities, bank.identities[: len(bank)])
            if soft is not None:
                wanted = torch.lerp(wanted, soft[side], alpha)
            losses.append(soft_cross_entropy(query @ keys.T / tau, wanted))
        return (losses[0] + losses[1]) / 2

    def fusion_terms(self, student: StudentEncodings, batch: SourceBatch, step: int) -> dict[str, Tensor]:
        """Matching and MLM on the source, at every `fusion_every`-th step and weighted by it."""
        every = self.config.adapt.fusion_every
        if step % every:
            return {}
        random, model = generator(self.config.seed, "adapt/fusion", step), self.parts.student
        return source_fusion_terms(model, *student, batch, self.parts.feed.tokenizer, every, random)


class CrossDomain(SourceOnly):
    """GCKD: the source terms, and the terms of the target that banks, graph and teacher make possible."""

    def warm_start(self, warm: WarmStart) -> None:
        super().warm_start(warm)
        parts = self.parts
        parts.banks.warm_start_target(parts.teacher.model(), parts.feed.target, self.config.seed, warm)

    def terms(self, step: int) -> dict[str, Tensor]:
        parts = self.parts
        source, target = parts.feed.source.batch(step), parts.feed.target.batch(step)
        entries = parts.banks.push(parts.teacher.model(), source, target)
        space = parts.banks.space(self.config.centre)
        alpha = self.alpha(step)
        known = self.propagate(space.views, entries, with_source=alpha > 0 or self.learned)
        student = self.encode(source, "source", step)
        seen = batch_embeddings(student, len(source.images), space.means.source_image, space.means.source_text)
        soft = self.source_soft_targets(known, space.views) if alpha > 0 else None
        terms = {"source_contrastive": self.contrastive(seen, source, space, soft, alpha)}
        terms |= parts.metric(seen, source.identities) | self.fusion_terms(student, source, step)
        if self.learned:
            terms["graph"] = self.graph_term(known, space.views, source)
        student = self.encode(target, "target", step)
        new = batch_embeddings(student, len(target.images), space.means.target_image, space.means.target_text)
        terms |= parts.align(seen, new, self.progress(step))
        return terms | self.target_terms(student, new, known, space.views, entries, step)

    @property
    def learned(self) -> bool:
        """Whether the propagation has weights; only then has the graph term anything to teach."""
        return any(True for _ in self.parts.propagate.parameters())

    def progress(self, step: int) -> float:
        """Share of the adaptation that is done before batch `step`."""
        return step / (self.config.adapt.steps * self.config.adapt.accumulate)

    def alpha(self, step: int) -> float:
        """Weight of soft source targets, ramped over the first epoch (ALBEF); nothing is soft without a teacher."""
        if self.config.distill.teacher.off:
            return 0.0
        return self.config.distill.alpha * min(1.0, step / self.parts.feed.source.steps_per_epoch)

    def source_soft_targets(self, known: PerBank, views: PerBank) -> tuple[Tensor, Tensor]:
        """softmax(z . Q / tau) of the source batch over Q_ST and Q_SI (eq. 6-7 on the source)."""
        tau = self.parts.student.tau.detach()
        return (
            F.softmax(known.source_image.detach() @ views.source_text.T / tau, 1),
            F.softmax(known.source_text.detach() @ views.source_image.T / tau, 1),
        )

    def graph_term(self, known: PerBank, views: PerBank, batch: SourceBatch) -> Tensor:
        """Identity-aware contrastive loss of the propagated source batch: the labels that a learned GNN can have.

        Banks and teacher are constants here, so its gradient reaches the convolutions' weights and nothing else.
        """
        banks, tau = self.parts.banks, self.parts.student.tau.detach()
        by_text = identity_targets(batch.identities, banks.source_text.identities[: len(banks.source_text)])
        by_image = identity_targets(batch.identities, banks.source_image.identities[: len(banks.source_image)])
        return (
            soft_cross_entropy(known.source_image @ views.source_text.T / tau, by_text)
            + soft_cross_entropy(known.source_text @ views.source_image.T / tau, by_image)
        ) / 2

    def propagate(self, views: PerBank, entries: PerBank, with_source: bool) -> PerBank:
        """Eq. 3-4: the newest entries of the banks are the inputs of the graphs over them.

        The source batch is a node like any other, and an input only where something reads it (else [0, d]).
        """
        if not with_source:
            entries = entries._replace(source_image=entries.source_image[:0], source_text=entries.source_text[:0])
        return PerBank(*self.parts.propagate(views, entries))

    def target_terms(
        self,
        student: StudentEncodings,
        new: StudentEmbeddings,
        known: PerBank,
        views: PerBank,
        entries: PerBank,
        step: int,
    ) -> dict[str, Tensor]:
        """Eq. 8, target side: the student's distributions over Q_TT and Q_TI follow the targets; and eq. 9."""
        banks = BankPair(views.target_image, views.target_text)
        image = StudentQueries(new.image, RetrievalDirection(known.target_image, entries.target_image, banks))
        text = StudentQueries(new.text, RetrievalDirection(known.target_text, entries.target_text, banks.turned()))
        terms = self.parts.target_loss(image, text, self.parts.student.tau)
        if step % self.config.adapt.fusion_every == 0:
            queries = TargetQueries(*student, local_rows(known.target_image), local_rows(known.target_text))
            matching = self.parts.matching(queries, views)
            terms |= {name: self.config.adapt.fusion_every * term for name, term in matching.items()}
        return terms


def batch_embeddings(student: StudentEncodings, size: int, image_mean: Tensor, text_mean: Tensor) -> StudentEmbeddings:
    """The whole batch's embeddings [B, d], B = `size`, in the space of the bank views: without their mean [d]."""
    image, text = gather(student.image.embedding, size), gather(student.text.embedding, size)
    return StudentEmbeddings(centred(image, image_mean), centred(text, text_mean))
