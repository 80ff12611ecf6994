"""WordPiece vocabularies in BERT's layout: trained on captions, or read from a folder or the hub. Needs no torch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer as Backend
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

from gckd.errors import InputError

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CLIP_ENDS = ("<|startoftext|>", "<|endoftext|>")
PAD = 0  # everywhere in gckd
MAX_ALPHABET = 1000  # characters; the trainer's own default


def bert(vocab: dict[str, int], lowercase: bool = True) -> Backend:
    """BERT's tokenizer over `vocab` (piece -> id), which holds the special tokens."""
    backend = Backend(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    backend.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.BertProcessing(("[SEP]", vocab["[SEP]"]), ("[CLS]", vocab["[CLS]"]))
    return backend


def train_vocabulary(captions: Sequence[str], vocab_size: int) -> list[str]:
    """At most `vocab_size` word pieces, the special tokens first; equal in every process.

    The trainer of `tokenizers` numbers the continuing letters (`##a`) in the order of a randomly seeded hash map and
    breaks ties between merges by these numbers, so that two processes get two vocabularies. Given all of them in a
    fixed order as special tokens, it has no such choice left.
    """
    backend = bert(dict(zip(SPECIALS, range(len(SPECIALS)), strict=True)))
    letters, continuing = Counter[str](), Counter[str]()
    for caption in captions:
        for word, _ in backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(caption)):
            letters.update(word)
            continuing.update(word[1:])
    room = min(MAX_ALPHABET, (vocab_size - len(SPECIALS)) // 2)
    kept = sorted(sorted(letters, key=lambda c: (-letters[c], c))[:room])
    inner = [f"##{c}" for c in kept if continuing[c]]
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=[*SPECIALS, *inner],
        initial_alphabet=kept,
        limit_alphabet=len(kept),
        show_progress=False,
    )
    backend.train_from_iterator(captions, trainer)
    vocab = backend.get_vocab()
    return sorted(vocab, key=lambda piece: vocab[piece])


def load_pretrained(name: str) -> Backend:
    """The tokenizer in folder `name` (tokenizer.json or vocab.txt), or of that name on the hub.

    Raises:
        InputError: it is not there, or neither in BERT's layout nor in CLIP's.
    """
    folder = Path(name).expanduser()
    backend = _from_folder(folder) if folder.is_dir() else _from_hub(name)
    if all(backend.token_to_id(t) is not None for t in CLIP_ENDS):
        return backend
    missing = [t for t in SPECIALS if backend.token_to_id(t) is None]
    if missing or backend.token_to_id("[PAD]") != PAD:
        what = f"lacks {', '.join(missing)}" if missing else f"has [PAD] = {backend.token_to_id('[PAD]')}, not 0"
        raise InputError(f"tokenizer.name: {name!r} is in neither BERT's layout nor CLIP's: it {what}")
    return backend


def _from_folder(folder: Path) -> Backend:
    whole, vocab = folder / "tokenizer.json", folder / "vocab.txt"
    if whole.is_file():
        try:
            return Backend.from_file(str(whole))
        except Exception as error:  # the library raises plain Exception
            raise InputError(f"{whole}: not a tokenizer file ({error})") from error
    if not vocab.is_file():
        raise InputError(f"tokenizer.name: {folder} holds neither tokenizer.json nor vocab.txt")
    pieces = read_vocabulary(vocab)
    missing = [t for t in SPECIALS if t not in pieces]
    if missing:
        raise InputError(f"{vocab}: not in BERT's layout: it lacks {', '.join(missing)}")
    return bert(pieces, _lowercase(folder / "tokenizer_config.json"))


def _lowercase(settings: Path) -> bool:
    """What the folder's settings say; bert-base-uncased, this project's default, lowercases."""
    try:
        return bool(json.loads(settings.read_text("utf-8")).get("do_lower_case", True))
    except (OSError, ValueError, AttributeError):
        return True


def _from_hub(name: str) -> Backend:
    from huggingface_hub import hf_hub_download  # slow to import, and only needed here

    try:
        return Backend.from_file(hf_hub_download(name, "tokenizer.json"))
    except Exception as error:  # offline, unknown, private, a malformed name: all mean it is not there
        raise InputError(
            f"tokenizer.name: {name!r} is no local folder, and the hub did not give it ({type(error).__name__}); "
            "put its tokenizer.json or vocab.txt into a folder and name that folder"
        ) from error


def read_vocabulary(file: Path) -> dict[str, int]:
    """A `vocab.txt`: one piece a line, numbered from 0."""
    lines = file.read_text("utf-8").split("\n")
    pieces = [line.rstrip("\r") for line in lines]
    return {piece: number for number, piece in enumerate(pieces[:-1] if pieces[-1] == "" else pieces)}
