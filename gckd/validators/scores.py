"""Scores of an adapted model from unlabelled target data: functions of the embeddings, with nothing of them tuned.

Legend: N images, M captions, d the embedding width. The prediction of a caption is softmax(cosine / TEMPERATURE) over
the N images. All is computed in float64, in blocks, so that autocast and TF32 cannot move a score.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.errors import InputError
from gckd.graph.statistics import effective_rank, singular_values

# Of the scores alone: with the temperature or the K of a trial, a score would follow what is tuned, not how good it is.
TEMPERATURE = 0.05
K = 5
SAMPLE = 1024  # captions in what costs their cube or square; a fixed sample of them where there are more
_BLOCK = 512  # rows of an M x N matrix that exist at a time

SCORES: dict[str, str] = {
    "source_val_rank_1": "Rank-1 on the source's labelled val split, percent",
    "source_val_map": "mAP on the source's labelled val split, percent",
    "bnm": "nuclear norm of the text-to-image predictions, as a share of its maximum",
    "im": "mutual information of captions and the images predicted for them, as a share of log N",
    "cycle": "captions among the K nearest of their nearest image, percent",
    "snd": "soft neighbourhood density of the text-to-image predictions, nats",
    "rank_me": "effective rank of the embeddings, the smaller of both modalities; the collapse gate",
}


class Unlabelled(NamedTuple):
    """Target data as a model sees it, in the space evaluation ranks in; which caption describes which image is unknown.

    images: [N, d] unit vectors. texts: [M, d] unit vectors.
    """

    images: Tensor
    texts: Tensor


def label_free(view: Unlabelled) -> dict[str, float]:
    """Every score that needs no label at all, by its name in `SCORES`; those of the source are the trainer's to add.

    Raises:
        InputError: fewer than 2 images or K + 1 captions, on which the scores mean nothing.
        FloatingPointError: an embedding is infinite or NaN.
    """
    for what, rows, least in (("images", view.images, 2), ("captions", view.texts, K + 1)):
        if len(rows) < least:
            raise InputError(f"target: {len(rows)} {what} are too few for label-free scores; limit: >= {least}")
        if not bool(torch.isfinite(rows).all()):
            raise FloatingPointError(f"embeddings of the target's {what} are not finite")
    return {
        "bnm": bnm(view),
        "im": information_maximisation(view),
        "cycle": cycle_consistency(view),
        "snd": snd(view),
        "rank_me": rank_me(view),
    }


def bnm(view: Unlabelled) -> float:
    """||P||_* of the predictions P [M, N] over its largest possible value; in (0, 1], higher is better.

    Cui et al., "Towards discriminability and diversity: batch nuclear-norm maximization under label insufficient
    situations", CVPR 2020. High where predictions are sure of one image (||P||_F) and differ between captions (rank).

    The paper's bound sqrt(M min(M, N)) is reached only if N divides M or M <= N. The sharp one: a convex function has
    its maximum over rows that sum to 1 where every row is one-hot; there ||P||_* = sum_j sqrt(n_j) with image j
    predicted n_j times, which is largest where the n_j differ by at most 1.

    Differs from the paper: P has a column for every image but rows of at most `SAMPLE` captions.

    Fails: on confident one-to-one predictions that are wrong, which score as high as right ones. It also grows with
    the spread of the cosines, so that a model that merely got sharper gains.
    """
    predicted = _predictions(_sample(view.texts).double(), view.images.double())
    rows, columns = predicted.shape
    each, more = divmod(rows, columns)
    bound = more * math.sqrt(each + 1) + (columns - more) * math.sqrt(each)
    return float(singular_values(predicted).sum()) / bound


def information_maximisation(view: Unlabelled) -> float:
    """(H(mean prediction) - mean H(prediction)) / log N: in [0, 1], at most log M / log N; higher is better.

    The mutual information of a caption and the image predicted for it (Krause et al., "Discriminative clustering by
    regularized information maximization", NIPS 2010; for adaptation Liang et al., "Do we really need to access the
    source data?", ICML 2020).

    Fails: like `bnm` on predictions that are sure, spread evenly and wrong, and on mere sharpness. The even spread is
    rewarded even where the captions do not describe the images evenly.
    """
    images, texts = view.images.double(), view.texts.double()
    total, uncertainty = torch.zeros(len(images), dtype=torch.float64, device=images.device), 0.0
    for part in texts.split(_BLOCK):
        predicted = _predictions(part, images)
        total += predicted.sum(0)
        uncertainty += float(torch.special.entr(predicted).sum())
    diversity = float(torch.special.entr(total / len(texts)).sum())
    return (diversity - uncertainty / len(texts)) / math.log(len(images))


def cycle_consistency(view: Unlabelled) -> float:
    """Percent of captions that come back: among the K captions nearest to their own nearest image.

    Text -> image -> text with nearest neighbours, after Dwibedi et al., "Temporal cycle-consistency learning", CVPR
    2019, who demand the one nearest. An image with c captions can be nearest to all of them but has only one nearest
    caption, so that a perfect model would return 1 / c of them; among K all come back, as long as c <= K. A caption
    whose cosine equals that of the K + 1st does not: embeddings that are all the same return nothing.

    Fails: where a model pairs wrongly but consistently, which returns as well. A model that knows persons, not
    pictures, is punished: it sees no difference between the captions of one person's images, of which there may be
    more than K. Captions far from every image can return nowhere, so hubs lower it whether they are errors or not.

    Needs M > K.
    """
    images, texts = view.images.double(), view.texts.double()
    nearest = torch.cat([(part @ images.T).argmax(1) for part in texts.split(_BLOCK)])
    returned = 0
    for first in range(0, len(images), _BLOCK):
        cosine = images[first : first + _BLOCK] @ texts.T
        beaten = cosine.topk(K + 1, dim=1).values[:, -1]
        row = nearest - first
        asked = ((row >= 0) & (row < len(cosine))).nonzero().squeeze(1)
        returned += int((cosine[row[asked], asked] > beaten[row[asked]]).sum())
    return 100.0 * returned / len(texts)


def snd(view: Unlabelled) -> float:
    """Mean entropy of softmax(cosine of predictions / TEMPERATURE) over the other captions; nats, higher is better.

    Saito et al., "Tune it the right way: unsupervised validation of domain adaptation via soft neighborhood density",
    ICCV 2021, whose temperature is the same 0.05. High where each caption has many neighbours that predict the same
    images. As there, neighbours are told by the predictions (as unit vectors), not by the embeddings: captions may
    resemble each other in words that find no image. At most log(M - 1); of at most `SAMPLE` captions.

    Fails: it was made for few classes. Captions that all predict one image reach the maximum, which is why the gate
    stands before it; but so do captions that each predict an image of their own, since equal zeros are dense too.
    """
    predicted = _predictions(_sample(view.texts).double(), view.images.double())
    unit = F.normalize(predicted, dim=1)
    cosine = (unit @ unit.T).fill_diagonal_(-math.inf)
    return float(torch.special.entr((cosine / TEMPERATURE).softmax(1)).sum(1).mean())


def rank_me(view: Unlabelled) -> float:
    """The effective rank of images and of texts, the smaller one (RankMe, Garrido et al., ICML 2023); in [1, d].

    It is a gate against collapse (`gckd.validators.choose.GATE`), not a score to select by.

    Fails: noise has full rank. Centring magnifies what little is left of collapsed embeddings, so that a model whose
    embeddings differ by rounding errors passes; and a good model may need fewer directions than a bad one.
    """
    return min(effective_rank(view.images), effective_rank(view.texts))


def _predictions(texts: Tensor, images: Tensor) -> Tensor:
    """[m, N]: softmax over the images for each of the texts [m, d]."""
    return (texts @ images.T / TEMPERATURE).softmax(1)


def _sample(texts: Tensor) -> Tensor:
    """At most `SAMPLE` of the texts, always the same places: trials differ by their models alone."""
    if len(texts) <= SAMPLE:
        return texts
    order = torch.randperm(len(texts), generator=torch.Generator("cpu").manual_seed(0), device="cpu")
    return texts[order[:SAMPLE].to(texts.device)]
