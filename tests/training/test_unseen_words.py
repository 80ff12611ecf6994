"""Words that occur only in the target start adaptation with the embedding of [MASK]."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from gckd.config import Config, apply
from gckd.config.data import PretrainedTokenizer
from gckd.data.dataset_pair import open_datasets
from gckd.errors import InputError
from gckd.method.build import build_parts
from gckd.method.unseen_words import mask_unseen_words
from gckd.models.build import build_model
from gckd.training.run import train_run
from tests.toy import make_toy


@pytest.fixture
def worded(config: Config, tmp_path: Path) -> Config:
    """A toy target whose captions say "anorak" for a coat."""
    target = make_toy(tmp_path / "target", shade=60)
    file = target / "data_captions.json"
    entries = json.loads(file.read_text())
    for entry in entries:
        entry["captions"] = [caption.replace("coat", "anorak") for caption in entry["captions"]]
    file.write_text(json.dumps(entries))
    return apply(config, {"data.target": str(target)})


def embeddings(config: Config, cache: Path, *, after: bool) -> tuple[torch.Tensor, dict[str, int], int]:
    """Word embeddings, the ids of a few words, and [MASK]'s id."""
    datasets = open_datasets(config, cache)
    feed, model = datasets.feed(config, 4), build_model(config, datasets.tokenizer.vocabulary)
    if after:
        mask_unseen_words(config.tokenizer, model, feed)
    ids = datasets.tokenizer.encode(["person coat anorak"])[0].tolist()
    pieces = dict(zip(datasets.tokenizer.pieces(ids), ids, strict=False))
    return model.text_encoder.embeddings.word_embeddings.weight.detach(), pieces, datasets.tokenizer.mask


def test_unseen_words_get_the_embedding_of_mask_and_others_keep_theirs(worded: Config, cache: Path) -> None:
    before, pieces, mask = embeddings(worded, cache, after=False)
    after, _, _ = embeddings(worded, cache, after=True)
    seen = {"person", "coat", "[CLS]", "[SEP]"}
    assert seen < set(pieces)
    for piece, row in pieces.items():
        assert torch.equal(after[row], before[row] if piece in seen else before[mask]), piece


@pytest.mark.parametrize("how", ["keep", "pretrained"])
def test_embeddings_do_not_change_if_it_is_switched_off(worded: Config, cache: Path, how: str) -> None:
    before, _, _ = embeddings(worded, cache, after=False)
    datasets = open_datasets(worded, cache)
    model = build_model(worded, datasets.tokenizer.vocabulary)
    tokenizer = apply(worded, {"tokenizer.unseen": "keep"}).tokenizer if how == "keep" else PretrainedTokenizer()
    mask_unseen_words(tokenizer, model, datasets.feed(worded, 4))
    assert torch.equal(model.text_encoder.embeddings.word_embeddings.weight.detach(), before)


def test_k_not_below_the_nodes_of_the_datasets_is_refused(config: Config, cache: Path) -> None:
    """12 images in each train split, so 24 nodes, though C would allow more."""
    config = apply(config, {"graph.memory.capacity": 500, "graph.propagate.k": 24})
    datasets = open_datasets(config, cache)
    with pytest.raises(InputError, match=r"graph\.propagate\.k: K = 24 is outside its limit: < 24 nodes"):
        build_parts(config, datasets.feed(config, 4), build_model(config, datasets.tokenizer.vocabulary))


def test_without_warm_start_the_banks_start_with_the_first_batch(config: Config, cache: Path, tmp_path: Path) -> None:
    config = apply(config, {"graph.memory.warm_start": False, "graph.propagate.k": 7})
    assert train_run(config, cache=cache, out=tmp_path / "run").metrics["rank_1"] >= 0
