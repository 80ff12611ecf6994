"""Words that no source caption holds start with the embedding of [MASK]."""

from __future__ import annotations

import pytest
import torch

from gckd.config.data import TrainedTokenizer
from gckd.method.unseen_words import mask_unseen_words
from tests.method.domains import TOKENIZER, TwoDomains


@pytest.mark.parametrize("masks", [True, False])
def test_only_unseen_words_change(masks: bool) -> None:
    domains = TwoDomains()
    before = domains.student.words.weight.detach().clone()
    seen = set(domains.source.words.tolist())
    mask_unseen_words(TrainedTokenizer(unseen="mask" if masks else "keep"), domains.student, domains.feed)
    for token, embedding in enumerate(domains.student.words.weight):
        unseen = masks and token >= TOKENIZER.first_word and token not in seen
        assert torch.equal(embedding, before[TOKENIZER.mask if unseen else token])
    assert any(token not in seen for token in range(TOKENIZER.first_word, TOKENIZER.vocab_size))
