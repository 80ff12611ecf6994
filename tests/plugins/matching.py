"""Matching: images and captions of the target move towards their nearest partner in the bank."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from gckd.extend import MATCHINGS, Backbone, Banks, Feed, MatchingConfig, PerBank, TargetQueries


@dataclass(frozen=True)
class NearestPartner(MatchingConfig):
    """One minus the cosine to the nearest partner of the teacher's embedding."""

    kind: ClassVar[str] = "nearest-partner"


@MATCHINGS.register(NearestPartner)
class NearestPartnerLoss:
    def __init__(self, node: NearestPartner, feed: Feed, student: Backbone, banks: Banks) -> None:
        pass

    def __call__(self, queries: TargetQueries, banks: PerBank) -> dict[str, Tensor]:
        texts = banks.target_text[(queries.image_key @ banks.target_text.T).argmax(1)]
        images = banks.target_image[(queries.text_key @ banks.target_image.T).argmax(1)]
        cosines = (queries.image.embedding * texts).sum(1) + (queries.text.embedding * images).sum(1)
        return {"target_matching": 1 - cosines.mean() / 2}
