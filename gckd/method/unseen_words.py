"""Words that only the target uses: in the vocabulary, but never in front of the source model."""

from __future__ import annotations

import torch

from gckd.config.component import TokenizerConfig
from gckd.data.batches import Feed
from gckd.models.base import Backbone


def mask_unseen_words(config: TokenizerConfig, model: Backbone, feed: Feed) -> None:
    """Give every word that no source caption holds the embedding of [MASK], which pre-training by word dropout taught.

    With its random initial embedding an unseen word says something wrong, the teacher's targets are wrong in the same
    way wherever it stands, and the student has nothing to correct it by. As [MASK] it says nothing, the rest of the
    caption chooses the target, and the target gives the word its meaning. Nothing of the target is read; a pretrained
    vocabulary is left alone.
    """
    if not config.masks_unseen:
        return
    unseen = torch.ones(feed.tokenizer.vocab_size, dtype=torch.bool)
    unseen[feed.source.words] = False
    unseen[: feed.tokenizer.first_word] = False
    words = model.words()
    with torch.no_grad():
        words[unseen] = words[feed.tokenizer.mask].clone()
