"""Registry of the scores that compare adapted models without target labels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from gckd.errors import InputError

MIN_IMAGES, MIN_CAPTIONS = 2, 6  # below, the scores are meaningless: `cycle` needs K + 1 captions, and K = 5
_ROUNDING = 1e-6  # by which a score may fall below 0


class UnlabelledEmbeddings(NamedTuple):
    """Embeddings of target images and captions, without the information which caption describes which image."""

    images: Tensor  # [N, d] unit vectors
    texts: Tensor  # [M, d] unit vectors


class LabelFreeScore(Protocol):
    """Function from embeddings to a score: finite, >= 0, higher is better."""

    def __call__(self, embeddings: UnlabelledEmbeddings, /) -> float: ...


@dataclass(frozen=True)
class Score:
    """A registered score.

    Args:
        description: one line for reports, with the unit.
        function: None for the metrics of the source's labelled val split, which training computes.
        centred: whether the function gets embeddings centred as evaluation centres them, or those of the model.
    """

    description: str
    function: LabelFreeScore | None = None
    centred: bool = True


SCORES: dict[str, Score] = {
    "source_val_rank_1": Score("Rank-1 on the source's labelled val split, percent"),
    "source_val_map": Score("mAP on the source's labelled val split, percent"),
}

FunctionT = TypeVar("FunctionT", bound=LabelFreeScore)


def register_score(name: str, description: str, *, centred: bool = True) -> Callable[[FunctionT], FunctionT]:
    """Decorator that registers a label-free score: `--select NAME` and the reports accept its name from then on.

    Args:
        name: letters, digits and underscores.
        description: see `Score`; centred: see `Score`.

    Raises:
        InputError: the name is malformed, or another function has it.
    """

    def register(function: FunctionT) -> FunctionT:
        if not name.isidentifier():
            raise InputError(f"score {name!r}: expected letters, digits and underscores")
        present = SCORES[name].function if name in SCORES else function
        if _qualified_name(present) != _qualified_name(function):
            raise InputError(f"score {name!r}: the name is taken by {_qualified_name(present)}; choose another name")
        SCORES[name] = Score(description, function, centred)
        return function

    return register


def _qualified_name(function: LabelFreeScore | None) -> str:
    return f"{getattr(function, '__module__', 'gckd.training')}.{getattr(function, '__qualname__', 'val metrics')}"


def label_free_scores(embeddings: UnlabelledEmbeddings, centred: UnlabelledEmbeddings) -> dict[str, float]:
    """Every registered label-free score by name. The metrics of the source's val split are not among them.

    Args:
        embeddings: as the model makes them.
        centred: the same embeddings, centred as evaluation centres them.

    Raises:
        InputError: too few images or captions, or a score that is not finite or is below 0.
        FloatingPointError: an embedding is infinite or NaN.
    """
    for kind, rows, least in (("images", centred.images, MIN_IMAGES), ("captions", centred.texts, MIN_CAPTIONS)):
        if len(rows) < least:
            raise InputError(f"target: {len(rows)} {kind} are too few for label-free scores; limit: >= {least}")
        if not bool(torch.isfinite(rows).all()):
            raise FloatingPointError(f"embeddings of the target's {kind} are not finite")
    values = {
        name: float(score.function(centred if score.centred else embeddings))
        for name, score in SCORES.items()
        if score.function is not None
    }
    for name, value in values.items():
        if not (math.isfinite(value) and value >= -_ROUNDING):
            raise InputError(f"score {name!r}: {value} is outside its limit: finite and >= 0")
    return values
