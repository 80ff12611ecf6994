"""Captions to token ids, by a vocabulary trained on the captions of both domains or by a pretrained one."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from tokenizers import Tokenizer as Backend

from gckd.config.component import TokenizerConfig
from gckd.config.data import TrainedTokenizer
from gckd.data.types import Vocabulary
from gckd.data.wordpiece import CLIP_ENDS, PAD, SPECIALS, bert, load_pretrained, read_vocabulary, train_vocabulary
from gckd.errors import InputError
from gckd.storage.cache import CachePath

NO_MASK = -1  # in place of the id of [MASK], where there is none


class Tokenizer:
    """Captions -> token ids: [CLS] pieces [SEP], cut to `max_words` words and then to `max_tokens` tokens."""

    pad = PAD

    def __init__(self, backend: Backend, *, max_words: int, max_tokens: int) -> None:
        vocab = backend.get_vocab()
        self.vocab_size = max(vocab.values()) + 1
        if all(t in vocab for t in CLIP_ENDS):
            # CLIP's special ids come last; it has no [MASK], and reads nothing behind a caption's end.
            self.cls, self.sep = (vocab[t] for t in CLIP_ENDS)
            self.unk, self.mask, self.first_word = self.sep, NO_MASK, 0
        else:
            self.unk, self.cls, self.sep, self.mask = (vocab[t] for t in SPECIALS[1:])
            self.first_word = max(vocab[t] for t in SPECIALS) + 1  # smaller ids are special or unused
        if self.first_word >= self.vocab_size:
            raise InputError("tokenizer: the vocabulary has no words after the special tokens")
        self.max_words, self.max_tokens = max_words, max_tokens
        backend.no_padding()
        backend.enable_truncation(max_tokens)
        self._backend = backend
        self.digest = hashlib.sha256(json.dumps([backend.to_str(), max_words]).encode()).hexdigest()[:16]

    @property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary(self.vocab_size, self.sep)

    def encode(self, captions: Sequence[str]) -> torch.Tensor:
        """Token ids `[N, L]` int64, 0 after each caption's end; L is the longest caption's length."""
        cut = [" ".join(caption.split()[: self.max_words]) for caption in captions]
        rows = [encoding.ids for encoding in self._backend.encode_batch_fast(cut)]
        tokens = np.zeros((len(rows), max(map(len, rows), default=0)), dtype=np.int64)
        for row, ids in zip(tokens, rows, strict=True):
            row[: len(ids)] = ids
        return torch.from_numpy(tokens)

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """The word pieces of one caption's ids, padding left out."""
        return [str(self._backend.id_to_token(int(i))) for i in ids if int(i) != self.pad]


def build_tokenizer(
    cfg: TokenizerConfig,
    captions: Iterable[str],
    cache: Path | CachePath,
    *,
    max_words: int,
    max_tokens: int,
) -> Tokenizer:
    """The tokenizer a config names. A trained one is kept under `cache`, named by the captions and its size.

    Args:
        captions: training texts of a `TrainedTokenizer`; order and repetition do not matter. Else unused.

    Raises:
        InputError: a pretrained tokenizer is not there, or not in BERT's layout; there are no captions to train on.
    """
    if cfg.pretrained:
        backend = load_pretrained(cfg.pretrained)
    else:
        assert isinstance(cfg, TrainedTokenizer)
        backend = _trained(sorted(set(captions)), cfg.vocab_size, cache)
    return Tokenizer(backend, max_words=max_words, max_tokens=max_tokens)


def _trained(captions: list[str], vocab_size: int, cache: Path | CachePath) -> Backend:
    """Trains once; `vocab.txt` in the cache is what `BertTokenizerFast.from_pretrained` reads, too."""
    if not captions:
        raise InputError("tokenizer: there are no captions to train a vocabulary on")
    key = hashlib.sha256(json.dumps([1, vocab_size, captions]).encode()).hexdigest()[:16]
    kept = CachePath.at(cache) / "tokenizers" / key / "vocab.txt"
    file = kept.local_path
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.lock"):
        if not kept.ensure_local():
            partial = file.with_suffix(".partial")
            partial.write_text("".join(f"{piece}\n" for piece in train_vocabulary(captions, vocab_size)), "utf-8")
            os.replace(partial, file)
            kept.upload()
    return bert(read_vocabulary(file))
