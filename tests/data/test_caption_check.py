"""Captions of several identities, code, other scripts and invisible characters; natural sentences pass."""

from __future__ import annotations

import pytest

from gckd.data.caption_check import caption_problems
from gckd.data.types import Record


def record(identity: int, *captions: str) -> Record:
    return Record(f"{identity}.jpg", captions, identity, "train")


def test_a_caption_of_several_identities_is_reported_whatever_its_spelling() -> None:
    """ALBEF reads all of them as one caption."""
    records = [record(1, "A red  coat.", "blue"), record(2, "a red-coat"), record(3, "a red coat "), record(3, "green")]
    assert caption_problems(records) == ["1 captions are of several identities: 'a red coat' (3 identities)"]


@pytest.mark.parametrize(
    ("caption", "problem"),
    [
        ("print(len(x))\nfor i in range(3): pass", "look like code or markup"),
        ("<b>a man</b> in a coat", "look like code or markup"),
        ("a man &amp; a bag", "look like code or markup"),
        ("一个女人 穿红衣服", "are not in the Latin script"),
        ("\uff21 \uff4d\uff41\uff4e", "are not in the Latin script"),
        ("a red\u200b coat", "hold invisible characters"),
        ("...", "have no word"),
    ],
)
def test_a_caption_that_is_no_sentence_is_reported(caption: str, problem: str) -> None:
    assert caption_problems([record(1, caption)]) == [f"1 captions {problem}: {caption!r}"]


@pytest.mark.parametrize(
    "caption",
    [
        "She's in a two-tone coat (white shoes), 25 years old; jeans/skirt.",
        "A café waiter's shirt(s).",
        "<person> walks",
    ],
)
def test_a_natural_sentence_is_no_problem(caption: str) -> None:
    assert caption_problems([record(1, caption)]) == []
