"""Forms of captions: as written, or as the authors of ALBEF prepared them."""

from __future__ import annotations

import re
from collections.abc import Callable

CaptionForm = Callable[[str], str]

_DROPPED = re.compile(r"[,.'!?\"()*#:;~]")


def as_written(caption: str) -> str:
    """The caption unchanged."""
    return caption


def albef_form(caption: str) -> str:
    """Lower case, without punctuation, with spaces for `-` and `/`, and single spaces between words.

    ALBEF, its retrieval checkpoints and RaSa are trained and evaluated on captions in this form. Source: `pre_caption`
    in salesforce/ALBEF `dataset/utils.py` at b9727e4, before its cut to `max_words`.
    """
    words = _DROPPED.sub("", caption.lower()).replace("-", " ").replace("/", " ").replace("<person>", "person")
    return " ".join(words.split())


CAPTION_FORMS: dict[str, CaptionForm] = {"written": as_written, "albef": albef_form}
