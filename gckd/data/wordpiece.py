"""WordPiece vocabularies in BERT's layout: trained on captions, or loaded from a folder or the hub."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer as Backend
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

from gckd.errors import InputError
from gckd.storage.hub_file import hub_file
from gckd.storage.json_text import JsonError, load_json
from gckd.storage.path import expanded
from gckd.storage.text_file import read_bytes, read_text

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CLIP_ENDS = ("<|startoftext|>", "<|endoftext|>")
PAD = 0  # everywhere in gckd
MAX_BYTES = 2**26  # of a file in a tokenizer's folder
MAX_ALPHABET = 1000  # characters; the default of the trainer


def bert(vocab: dict[str, int], lowercase: bool = True) -> Backend:
    """BERT's tokenizer with a vocabulary (piece -> id) that includes the special tokens."""
    backend = Backend(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    backend.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.BertProcessing(("[SEP]", vocab["[SEP]"]), ("[CLS]", vocab["[CLS]"]))
    return backend


def train_vocabulary(captions: Sequence[str], vocab_size: int) -> list[str]:
    """Train at most `vocab_size` word pieces, special tokens first; the result is equal in every process.

    The trainer of `tokenizers` numbers the continuing letters (`##a`) in the order of a randomly seeded hash map, and
    breaks ties between merges by these numbers, so two processes would get two vocabularies. Passing all continuing
    letters in a fixed order as special tokens removes this randomness.
    """
    backend = bert(dict(zip(SPECIALS, range(len(SPECIALS)), strict=True)))
    letters, continuing = Counter[str](), Counter[str]()
    for caption in captions:
        for word, _ in backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(caption)):
            letters.update(word)
            continuing.update(word[1:])
    room = min(MAX_ALPHABET, (vocab_size - len(SPECIALS)) // 2)
    alphabet = sorted(sorted(letters, key=lambda c: (-letters[c], c))[:room])
    inner = [f"##{c}" for c in alphabet if continuing[c]]
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=[*SPECIALS, *inner],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    backend.train_from_iterator(captions, trainer)
    vocab = backend.get_vocab()
    return sorted(vocab, key=lambda piece: vocab[piece])


def load_pretrained(name: str) -> Backend:
    """Load a tokenizer from a local folder (tokenizer.json or vocab.txt) or from the hub.

    Args:
        name: path of the folder, or name on the hub.

    Raises:
        InputError: the tokenizer is missing, or in neither BERT's nor CLIP's layout.
    """
    folder = expanded(name)
    backend = _from_folder(folder) if folder.is_dir() else _from_hub(name)
    if all(backend.token_to_id(t) is not None for t in CLIP_ENDS):
        return backend
    missing = [t for t in SPECIALS if backend.token_to_id(t) is None]
    if missing or backend.token_to_id("[PAD]") != PAD:
        reason = f"lacks {', '.join(missing)}" if missing else f"has [PAD] = {backend.token_to_id('[PAD]')}, not 0"
        raise InputError(f"tokenizer.name: {name!r} is in neither BERT's nor CLIP's layout: it {reason}")
    return backend


def _from_folder(folder: Path) -> Backend:
    complete, vocab = folder / "tokenizer.json", folder / "vocab.txt"
    if complete.is_file():
        try:
            return Backend.from_file(str(complete))
        except Exception as error:  # the library raises Exception itself
            raise InputError(f"{complete}: not a tokenizer file ({error})") from error
    if not vocab.is_file():
        raise InputError(f"tokenizer.name: {folder} has neither tokenizer.json nor vocab.txt")
    pieces = read_vocabulary(vocab)
    missing = [t for t in SPECIALS if t not in pieces]
    if missing:
        raise InputError(f"{vocab}: not in BERT's layout: it lacks {', '.join(missing)}")
    return bert(pieces, _lowercase(folder / "tokenizer_config.json"))


def _lowercase(settings: Path) -> bool:
    """Whether the tokenizer lowercases by its settings file; True without one, as in bert-base-uncased."""
    if not settings.is_file():
        return True
    try:
        content = load_json(read_bytes(settings, MAX_BYTES))
    except JsonError as error:
        raise InputError(f"{settings}: {error}") from error
    return bool(content.get("do_lower_case", True)) if isinstance(content, dict) else True


def _from_hub(name: str) -> Backend:
    try:
        return Backend.from_file(hub_file(name, "tokenizer.json"))
    except Exception as error:  # offline, unknown, private or malformed name
        raise InputError(
            f"tokenizer.name: {name!r} is not a local folder and cannot be downloaded from the hub "
            f"({type(error).__name__}); put its tokenizer.json or vocab.txt into a folder and name that folder"
        ) from error


def read_vocabulary(file: Path) -> dict[str, int]:
    """Vocabulary (piece -> id) of a `vocab.txt`, which has one piece per line, numbered from 0.

    Raises:
        InputError: the file is not readable UTF-8, or is larger than `MAX_BYTES`.
    """
    pieces = read_text(file, MAX_BYTES).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return {piece: number for number, piece in enumerate(pieces[:-1] if pieces[-1] == "" else pieces)}
