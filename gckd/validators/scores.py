"""Label-free scores of an adapted model: functions of its target embeddings, without tuned values.

Legend: N images, M captions, d the embedding width. The prediction of a caption is softmax(cosine / TEMPERATURE) over
the N images. All computations are in float64, so that autocast and TF32 do not change a score, and in blocks.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.graph.statistics import effective_rank, singular_values
from gckd.validators.registry import MIN_CAPTIONS, UnlabelledEmbeddings, register_score

# Constants of the scores: with the temperature or the K of a trial, a score would measure these instead of the model.
TEMPERATURE = 0.05
K = MIN_CAPTIONS - 1
SAMPLE = 1024  # captions, a fixed sample, for scores whose cost grows with their square or cube
_BLOCK = 512  # rows of an M x N matrix in memory at a time


@register_score("bnm", "nuclear norm of the text-to-image predictions, as a share of its maximum")
def bnm(embeddings: UnlabelledEmbeddings) -> float:
    """||P||_* of the predictions P [M, N] over its largest possible value; in (0, 1], higher is better.

    Cui et al., "Towards discriminability and diversity: batch nuclear-norm maximization under label insufficient
    situations", CVPR 2020. High if predictions are confident (||P||_F) and differ between captions (rank).

    The paper's bound sqrt(M min(M, N)) is reached only if N divides M or M <= N. This is the exact maximum: a convex
    function of rows that sum to 1 is largest if every row is one-hot. Then ||P||_* = sum_j sqrt(n_j), where image j is
    predicted n_j times, which is largest if the n_j differ by at most 1.

    Difference from the paper: P has a column for every image, but rows for at most `SAMPLE` captions.

    Limitations: confident one-to-one predictions score equally high whether they are right or wrong. The score also
    grows with the spread of the cosines, so that a model gains by sharper predictions alone.
    """
    predicted = _predictions(_sample(embeddings.texts).double(), embeddings.images.double())
    rows, columns = predicted.shape
    each, more = divmod(rows, columns)
    bound = more * math.sqrt(each + 1) + (columns - more) * math.sqrt(each)
    return float(singular_values(predicted).sum()) / bound


@register_score("im", "mutual information of captions and the images predicted for them, as a share of log N")
def information_maximisation(embeddings: UnlabelledEmbeddings) -> float:
    """(H(mean prediction) - mean H(prediction)) / log N; in [0, 1], at most log M / log N; higher is better.

    This is the mutual information of a caption and the image predicted for it (Krause et al., "Discriminative
    clustering by regularized information maximization", NIPS 2010; for adaptation Liang et al., "Do we really need to
    access the source data?", ICML 2020).

    Limitations: as `bnm`. It rewards an even spread of the predictions over the images even if the captions are not
    spread evenly.
    """
    images, texts = embeddings.images.double(), embeddings.texts.double()
    total, uncertainty = torch.zeros(len(images), dtype=torch.float64, device=images.device), 0.0
    for part in texts.split(_BLOCK):
        predicted = _predictions(part, images)
        total += predicted.sum(0)
        uncertainty += float(torch.special.entr(predicted).sum())
    diversity = float(torch.special.entr(total / len(texts)).sum())
    return (diversity - uncertainty / len(texts)) / math.log(len(images))


@register_score("cycle", "captions among the K nearest of their nearest image, percent")
def cycle_consistency(embeddings: UnlabelledEmbeddings) -> float:
    """Percent of captions that are among the K captions nearest to their own nearest image; M > K.

    Cycle text -> image -> text over nearest neighbours, after Dwibedi et al., "Temporal cycle-consistency learning",
    CVPR 2019, who require the single nearest one. An image with c captions has only one nearest caption, so a perfect
    model would score 1 / c; with the K nearest it scores 100 if c <= K. A caption whose cosine equals that of the
    K + 1st does not count, so that equal embeddings score 0.

    Limitations: consistently wrong pairs score as high as right ones. A model that identifies persons instead of
    pictures scores lower, because it does not separate the captions of one person's images, which may be more than K.
    Captions far from every image lower the score whether they are errors or not.
    """
    images, texts = embeddings.images.double(), embeddings.texts.double()
    nearest = torch.cat([(part @ images.T).argmax(1) for part in texts.split(_BLOCK)])
    returned = 0
    for first in range(0, len(images), _BLOCK):
        cosine = images[first : first + _BLOCK] @ texts.T
        runner_up = cosine.topk(K + 1, dim=1).values[:, -1]  # cosine of the K + 1st caption
        row = nearest - first
        captions = ((row >= 0) & (row < len(cosine))).nonzero().squeeze(1)  # whose nearest image is in this block
        returned += int((cosine[row[captions], captions] > runner_up[row[captions]]).sum())
    return 100.0 * returned / len(texts)


@register_score("snd", "soft neighbourhood density of the text-to-image predictions, nats")
def snd(embeddings: UnlabelledEmbeddings) -> float:
    """Mean entropy of softmax(cosine of predictions / TEMPERATURE) over the other captions; nats, higher is better.

    Saito et al., "Tune it the right way: unsupervised validation of domain adaptation via soft neighborhood density",
    ICCV 2021, with their temperature of 0.05. High if each caption has many neighbours that predict the same images. As
    in the paper, neighbours are compared by their predictions (as unit vectors), not by their embeddings, because
    captions may share words that do not describe the image. At most log(M - 1); over at most `SAMPLE` captions.

    Limitations: it was designed for few classes. The maximum is reached if all captions predict one image, which the
    collapse gate excludes, but also if each caption predicts an image of its own.
    """
    predicted = _predictions(_sample(embeddings.texts).double(), embeddings.images.double())
    unit = F.normalize(predicted, dim=1)
    cosine = (unit @ unit.T).fill_diagonal_(-math.inf)
    return float(torch.special.entr((cosine / TEMPERATURE).softmax(1)).sum(1).mean())


@register_score(
    "rank_me", "effective rank of the embeddings, the smaller of both modalities; the collapse gate", centred=False
)
def rank_me(embeddings: UnlabelledEmbeddings) -> float:
    """Effective rank of the image or the text embeddings, whichever is smaller; in [1, d].

    RankMe (Garrido et al., ICML 2023). It detects a collapse (`gckd.validators.choose.GATE`); models are not selected
    by it. It reads embeddings that are not centred: centring would enlarge the rounding errors of a collapsed model.

    Limitations: noise has full rank, and a good model may need fewer directions than a bad one.
    """
    return min(effective_rank(embeddings.images), effective_rank(embeddings.texts))


def _predictions(texts: Tensor, images: Tensor) -> Tensor:
    """Softmax over the images for each of the texts [m, d] -> [m, N]."""
    return (texts @ images.T / TEMPERATURE).softmax(1)


def _sample(texts: Tensor) -> Tensor:
    """At most `SAMPLE` of the texts, always the same rows, so that trials differ in their models alone."""
    if len(texts) <= SAMPLE:
        return texts
    order = torch.randperm(len(texts), generator=torch.Generator("cpu").manual_seed(0), device="cpu")
    return texts[order[:SAMPLE].to(texts.device)]
