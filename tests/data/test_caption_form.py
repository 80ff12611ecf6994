"""Caption forms: the published one, character by character, and its choice by the config."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gckd.config import Config, apply, preset
from gckd.config.backbone import Albef, Clip
from gckd.config.data import PretrainedTokenizer
from gckd.data.caption_form import albef_form
from gckd.data.dataset_pair import open_datasets
from gckd.data.tokenizer import build_tokenizer
from tests.toy import make_toy
from tests.training.micro import micro

DROPPED = set(",.'!?\"()*#:;~")
WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "a",
    "woman",
    "in",
    "two",
    "tone",
    "coat",
    "dark",
    "blue",
    "jeans",
    "she's",
    "shes",
    "person",
    "and",
    "or",
    ",",
    ".",
    "-",
    "/",
]


def published(caption: str) -> str:
    """ALBEF's caption, by one pass over the characters."""
    letters = [" " if c in "-/" else c for c in caption.lower() if c not in DROPPED]
    return " ".join("".join(letters).replace("<person>", "person").split())


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A woman in a two-tone coat, dark-blue jeans.", "a woman in a two tone coat dark blue jeans"),
        ("She's <PERSON> and/or (a woman)!", "shes person and or a woman"),
        ("  A\ttwo -- tone\n coat;  ", "a two tone coat"),
        ("...", ""),
    ],
)
def test_albef_form_by_hand(caption: str, expected: str) -> None:
    assert albef_form(caption) == expected == published(caption)


@given(st.text(alphabet="aB ,.'-/<>person\n\t#~", max_size=40))
def test_albef_form_equals_one_pass_over_the_characters(caption: str) -> None:
    assert albef_form(caption) == published(caption)
    assert albef_form(albef_form(caption)) == albef_form(caption) or "<" in caption


def test_a_tokenizer_reads_captions_in_its_form_and_cuts_them_afterwards(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("".join(f"{word}\n" for word in WORDS))
    config = PretrainedTokenizer(str(tmp_path))
    read = [
        build_tokenizer(config, [], tmp_path, max_words=6, max_tokens=20, form=form) for form in ("written", "albef")
    ]
    pieces = [tokenizer.pieces(tokenizer.encode(["A woman in a two-tone coat, jeans."])[0]) for tokenizer in read]
    assert pieces[0] == ["[CLS]", "a", "woman", "in", "a", "two", "-", "tone", "coat", ",", "[SEP]"]
    assert pieces[1] == ["[CLS]", "a", "woman", "in", "a", "two", "tone", "[SEP]"]
    assert read[0].digest != read[1].digest


def test_base_and_published_weights_use_the_published_form() -> None:
    published = {preset("base"), Config(backbone=Albef(weights="ALBEF.pth"))}
    assert {config.caption_form for config in published} == {"albef"}
    written = (preset("tiny"), Config(), Config(backbone=Clip(weights="openai/clip-vit-base-patch16")))
    assert {config.caption_form for config in written} == {"written"}
    assert apply(preset("base"), {"data.caption_form": "written"}).caption_form == "written"


def test_datasets_of_a_config_are_tokenized_in_its_form(tmp_path: Path) -> None:
    config = micro(make_toy(tmp_path / "source"), make_toy(tmp_path / "target", shade=120))
    texts = {
        form: open_datasets(apply(config, {"data.caption_form": form}), tmp_path / "cache").tokenizer
        for form in ("written", "albef")
    }
    sentence = ["A red, blue-green coat."]
    assert texts["albef"].encode(sentence).equal(texts["albef"].encode([published(sentence[0])]))
    assert texts["written"].encode(sentence).shape[1] > texts["albef"].encode(sentence).shape[1]
