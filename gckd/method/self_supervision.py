"""Self-supervised losses on the target: masked words of its captions, and views of the same image or caption."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from gckd.config.component import SelfSupervisionConfig
from gckd.config.losses import Captions, CaptionsAndViews, NoSelfSupervision, Views
from gckd.config.registry import Registry
from gckd.data.batches import Feed
from gckd.data.types import TargetBatch
from gckd.graph.knn import KnnIndex
from gckd.graph.reciprocal import is_reciprocal
from gckd.method.alignment import StudentEmbeddings
from gckd.method.banks import PerBank
from gckd.method.losses import soft_cross_entropy
from gckd.method.mlm_loss import mlm_loss
from gckd.models.base import Backbone
from gckd.seeding import generator


class SelfSupervisedLoss(Protocol):
    """Loss on the target that needs neither labels nor pseudo labels (slot `selfsup`)."""

    def __call__(
        self, batch: TargetBatch, student: StudentEmbeddings, banks: PerBank, positions: PerBank, step: int
    ) -> dict[str, Tensor]:
        """Named loss terms of one target batch.

        Args:
            batch: the whole batch, not augmented.
            student: embeddings [B, d] of its strong views.
            banks: unit embeddings [N, d] of the four banks, which hold the teacher's clean view of the batch.
            positions: [B] of the batch in the target banks.
            step: batch of the adaptation, from 0.
        """
        ...


SELF_SUPERVISIONS: Registry[SelfSupervisionConfig, SelfSupervisedLoss, Feed, Backbone] = Registry(SelfSupervisionConfig)


@SELF_SUPERVISIONS.register(Captions)
class CaptionModelling:
    """Masked language modelling on target captions, from the states of the text encoder (`mlm_loss`).

    Source captions never contain some words of the target. Their context tells what kind of word they are: the head
    shares its weights with the word embeddings, so the embedding of a masked word moves towards those of the words that
    are likely in its place.

    Shapes:
        tokens [B, L] -> {"target_mlm": scalar}.

    Source: Devlin et al., "BERT", NAACL 2019; on the target before retrieval: Gururangan et al., "Don't stop
    pretraining", ACL 2020.

    Differences from the papers: the words are predicted by the layers that retrieval uses, not by those behind them.
    """

    def __init__(self, node: Captions, feed: Feed, student: Backbone) -> None:
        self.rate, self.feed, self.student = node.rate, feed, student

    def __call__(
        self, batch: TargetBatch, student: StudentEmbeddings, banks: PerBank, positions: PerBank, step: int
    ) -> dict[str, Tensor]:
        random = generator(self.feed.seed, "adapt/captions", step)
        return {"target_mlm": mlm_loss(self.student, None, batch.tokens, self.feed.tokenizer, random, self.rate)}


@SELF_SUPERVISIONS.register(Views)
class ViewContrast:
    """Contrast of two views of an example with all other examples of its bank: the mean over both modalities.

        L = H(y_I, softmax(x_I . Q_TI / tau)) / 2 + H(y_T, softmax(x_T . Q_TT / tau)) / 2

    x is the student's embedding of the strong view, and Q holds the teacher's embeddings of clean views. y is uniform
    over the positives: the example itself and, with `neighbours` = K, every example j such that each is one of the
    K nearest neighbours of the other. Without neighbours, other examples of the same person are negatives. tau is a
    constant here: it belongs to the contrast of images with captions.

    Shapes:
        student [B, d], banks [N, d] -> {"target_views": scalar}.

    Source: He et al., "Momentum contrast", CVPR 2020, eq. 1; neighbours as positives: Zhong et al., "Invariance
    matters: exemplar memory for domain adaptive person re-identification", CVPR 2019.

    Differences from the papers: neighbours are mutual, and all positives weigh the same.
    """

    def __init__(self, node: Views, feed: Feed, student: Backbone) -> None:
        self.neighbours, self.student = node.neighbours, student

    def __call__(
        self, batch: TargetBatch, student: StudentEmbeddings, banks: PerBank, positions: PerBank, step: int
    ) -> dict[str, Tensor]:
        tau = self.student.tau.detach()
        losses = [
            soft_cross_entropy(embeddings @ bank.T / tau, positives(bank, rows, self.neighbours))
            for embeddings, bank, rows in (
                (student.image, banks.target_image, positions.target_image),
                (student.text, banks.target_text, positions.target_text),
            )
        ]
        return {"target_views": torch.stack(losses).mean()}


@torch.no_grad()
def positives(bank: Tensor, rows: Tensor, k: int) -> Tensor:
    """Uniform distribution over each entry and its mutual neighbours among the K = `k` nearest.

    Shapes:
        bank [N, d], rows [B] of the entries -> [B, N].
    """
    targets = torch.zeros(len(rows), len(bank)).scatter_(1, rows[:, None], 1.0)
    if k:
        index = KnnIndex(bank)
        neighbours = index.neighbours_of(rows, k)
        targets.scatter_(1, neighbours.indices, is_reciprocal(index, rows, neighbours).float())
    return targets / targets.sum(1, keepdim=True)


@SELF_SUPERVISIONS.register(CaptionsAndViews)
class CaptionModellingAndViewContrast:
    """The terms of `CaptionModelling` and of `ViewContrast`."""

    def __init__(self, node: CaptionsAndViews, feed: Feed, student: Backbone) -> None:
        self.losses = CaptionModelling(node, feed, student), ViewContrast(node, feed, student)

    def __call__(
        self, batch: TargetBatch, student: StudentEmbeddings, banks: PerBank, positions: PerBank, step: int
    ) -> dict[str, Tensor]:
        captions, views = (loss(batch, student, banks, positions, step) for loss in self.losses)
        return captions | views


@SELF_SUPERVISIONS.register(NoSelfSupervision)
class NoSelfSupervisedLoss:
    """No self-supervised loss."""

    def __init__(self, node: NoSelfSupervision, feed: Feed, student: Backbone) -> None:
        pass

    def __call__(
        self, batch: TargetBatch, student: StudentEmbeddings, banks: PerBank, positions: PerBank, step: int
    ) -> dict[str, Tensor]:
        return {}
