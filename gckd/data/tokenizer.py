"""Tokenizer of captions, with a vocabulary that is trained on the captions of both domains or pretrained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from tokenizers import Tokenizer as Backend

from gckd.config.component import TokenizerConfig
from gckd.config.data import PretrainedTokenizer, TrainedTokenizer
from gckd.config.registry import Registry
from gckd.data.caption_form import CAPTION_FORMS
from gckd.data.types import Vocabulary
from gckd.data.wordpiece import CLIP_ENDS, PAD, SPECIALS, bert, load_pretrained, read_vocabulary, train_vocabulary
from gckd.errors import InputError, reason_of
from gckd.printable import brief
from gckd.storage import atomic
from gckd.storage.cache import CachePath

MAX_VOCABULARY = 2**20  # ids; each has a row in the backbone's embedding
NO_MASK = -1  # id of [MASK] where the vocabulary has none

_UNKNOWN = "\U0002070e"  # a rare ideograph, which hardly any vocabulary has

# Builders: (config node, distinct training captions in sorted order, cache) -> backend.
TOKENIZERS: Registry[TokenizerConfig, Backend, list[str], CachePath] = Registry(TokenizerConfig)


class Tokenizer:
    """Turns captions into token ids: [CLS], word pieces, [SEP].

    Args:
        backend: tokenizer of the `tokenizers` library, in BERT's or CLIP's layout.
        max_words: captions are cut after this many words.
        max_tokens: and then after this many tokens, [CLS] and [SEP] included.
        form: name in `CAPTION_FORMS` of the form that captions are brought into first.

    Raises:
        InputError: the vocabulary has only special tokens or more than `MAX_VOCABULARY` ids, or the backend does not
            put [CLS] and [SEP] around a text, or cannot encode an unknown word.
    """

    pad = PAD

    def __init__(self, backend: Backend, *, max_words: int, max_tokens: int, form: str = "written") -> None:
        vocab = backend.get_vocab()
        self.vocab_size = max(vocab.values()) + 1
        if self.vocab_size > MAX_VOCABULARY:
            piece = max(vocab, key=vocab.__getitem__)
            raise InputError(
                f"tokenizer: {brief(piece)} has the id {vocab[piece]:,}, outside its limit: < {MAX_VOCABULARY:,}"
            )
        if all(t in vocab for t in CLIP_ENDS):
            # CLIP has no [MASK], its special ids come last, and it ignores everything after the end of a caption.
            self.cls, self.sep = (vocab[t] for t in CLIP_ENDS)
            self.unk, self.mask, self.first_word = self.sep, NO_MASK, 0
        else:
            self.unk, self.cls, self.sep, self.mask = (vocab[t] for t in SPECIALS[1:])
            self.first_word = max(vocab[t] for t in SPECIALS) + 1  # smaller ids are special or unused
        if self.first_word >= self.vocab_size:
            raise InputError("tokenizer: the vocabulary has no words after the special tokens")
        self.max_words, self.max_tokens = max_words, max_tokens
        self._form_name, self._form = form, CAPTION_FORMS[form]
        backend.no_padding()
        backend.enable_truncation(max_tokens)
        self._backend = backend
        identity = [backend.to_str(), max_words, *([form] if form != "written" else [])]
        self._check_ends()
        self.digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]

    @property
    def vocabulary(self) -> Vocabulary:
        """Size and end token, for the backbone."""
        return Vocabulary(self.vocab_size, self.sep)

    @property
    def serialized(self) -> str:
        """JSON of the backend with its vocabulary, for `from_serialized`."""
        return str(self._backend.to_str())

    def from_serialized(self, text: str) -> Tokenizer:
        """Tokenizer with another backend, and the caption form and limits of this one.

        Raises:
            InputError: the text is not a tokenizer, or one that the class refuses.
        """
        try:
            backend = Backend.from_str(text)
        except Exception as error:  # the library raises Exception itself
            raise InputError(f"tokenizer: not a tokenizer ({reason_of(error)})") from error
        return Tokenizer(backend, max_words=self.max_words, max_tokens=self.max_tokens, form=self._form_name)

    def encode(self, captions: Sequence[str]) -> torch.Tensor:
        """Token ids [N, L] int64, padded with 0; L is the length of the longest caption in tokens."""
        cut = [" ".join(self._form(caption).split()[: self.max_words]) for caption in captions]
        try:
            rows = [encoding.ids for encoding in self._backend.encode_batch_fast(cut)]
        except Exception as error:  # the library raises Exception itself, for example without [UNK] in its vocabulary
            raise InputError(f"tokenizer: cannot encode a caption ({reason_of(error)})") from error
        tokens = np.zeros((len(rows), max(map(len, rows), default=0)), dtype=np.int64)
        for row, ids in zip(tokens, rows, strict=True):
            row[: len(ids)] = ids
        return torch.from_numpy(tokens)

    def _check_ends(self) -> None:
        """Check that every text is put between [CLS] and [SEP], whose embeddings the model reads."""
        empty, unknown = self.encode(["", _UNKNOWN]).tolist()
        ends = empty[:2] == [self.cls, self.sep] and unknown[0] == self.cls and self.sep in unknown
        if not ends:
            raise InputError("tokenizer: does not put [CLS] before and [SEP] after a text; check its post_processor")

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """Word pieces of the token ids of one caption, without padding."""
        return [str(self._backend.id_to_token(int(i))) for i in ids if int(i) != self.pad]


def build_tokenizer(
    config: TokenizerConfig,
    captions: Iterable[str],
    cache: Path | CachePath,
    *,
    max_words: int,
    max_tokens: int,
    form: str = "written",
) -> Tokenizer:
    """Tokenizer that a config node describes.

    Args:
        config: node of the config.
        captions: training texts of a `TrainedTokenizer`, in any order; unused by other tokenizers.
        cache: cache in which a trained vocabulary is stored, under the hash of captions and size.
        max_words: captions are cut after this many words.
        max_tokens: and then after this many tokens, [CLS] and [SEP] included.
        form: name in `CAPTION_FORMS` of the form that captions are brought into first.

    Raises:
        InputError: a pretrained tokenizer is missing, or in neither BERT's nor CLIP's layout; or there are no captions
            to train on.
        ConfigError: no builder is registered for the class of `config`.
    """
    texts = sorted(set(map(CAPTION_FORMS[form], captions)))
    backend = TOKENIZERS.build(config, texts, CachePath.at(cache))
    return Tokenizer(backend, max_words=max_words, max_tokens=max_tokens, form=form)


@TOKENIZERS.register(PretrainedTokenizer)
def _pretrained(config: PretrainedTokenizer, captions: list[str], cache: CachePath) -> Backend:
    return load_pretrained(config.name)


@TOKENIZERS.register(TrainedTokenizer)
def _trained(config: TrainedTokenizer, captions: list[str], cache: CachePath) -> Backend:
    """Train the vocabulary once. `BertTokenizerFast.from_pretrained` can read the folder of `vocab.txt`, too."""
    if not captions:
        raise InputError("tokenizer: there are no captions to train a vocabulary on")
    key = hashlib.sha256(json.dumps([1, config.vocab_size, captions]).encode()).hexdigest()[:16]
    vocabulary = cache / "tokenizers" / key / "vocab.txt"
    checksum = cache / "tokenizers" / key / "vocab.sha256"
    file = vocabulary.local_path
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.lock"):
        if not _is_whole(vocabulary, checksum):
            text = "".join(f"{piece}\n" for piece in train_vocabulary(captions, config.vocab_size))
            atomic.write(checksum.local_path, hashlib.sha256(text.encode()).hexdigest())
            atomic.write(file, text)
            checksum.upload()
            vocabulary.upload()
    return bert(read_vocabulary(file))


def _is_whole(vocabulary: CachePath, checksum: CachePath) -> bool:
    """Whether the cache has the vocabulary, unchanged since it was trained: another one would change all results."""
    if not (vocabulary.ensure_local() and checksum.ensure_local()):
        return False
    digest = hashlib.sha256(vocabulary.local_path.read_bytes()).hexdigest()
    return digest.encode() == checksum.local_path.read_bytes().strip()
