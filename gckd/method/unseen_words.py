"""Initial embeddings of words that occur in target captions only."""

from __future__ import annotations

import torch

from gckd.config.component import TokenizerConfig
from gckd.data.batches import Feed
from gckd.models.base import Backbone


def mask_unseen_words(config: TokenizerConfig, model: Backbone, feed: Feed) -> None:
    """Set the embedding of every word that no source caption holds to that of [MASK], unless the config keeps them.

    Source pre-training never updates these words. With their random embeddings the teacher's pseudo labels are wrong in
    the same way wherever such a word occurs, and nothing corrects the student. As [MASK], which word dropout has
    trained, the word is neutral: the rest of the caption determines the pseudo label, from which the word then learns.
    No target data is read.
    """
    if not config.masks_unseen:
        return
    unseen = torch.ones(feed.tokenizer.vocab_size, dtype=torch.bool)
    unseen[feed.source.words] = False
    unseen[: feed.tokenizer.first_word] = False
    words = model.word_embeddings()
    with torch.no_grad():
        words[unseen] = words[feed.tokenizer.mask].clone()
