"""Tokenizers: reproducible vocabularies, BERT's layout, cuts by words and tokens, and missing tokenizers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gckd.config.data import PretrainedTokenizer, TrainedTokenizer
from gckd.data.tokenizer import Tokenizer, build_tokenizer
from gckd.data.wordpiece import SPECIALS, bert, load_pretrained, read_vocabulary, train_vocabulary
from gckd.errors import InputError

WORDS = ("walking", "walked", "walker", "talking", "talked", "jacket", "jackets", "red", "reddish", "blueish", "blue")
CAPTIONS = [f"A {a} and a {b}-coloured, {a} {c}!" for a in WORDS for b in WORDS for c in WORDS]


def trained(
    cache: Path, captions: list[str] = CAPTIONS, size: int = 120, words: int = 50, tokens: int = 64
) -> Tokenizer:
    return build_tokenizer(TrainedTokenizer(size), captions, cache, max_words=words, max_tokens=tokens)


def greedy(word: str, vocab: dict[str, int]) -> list[int]:
    """WordPiece by its definition: the longest piece in the vocabulary first, with `##` inside a word."""
    ids, start = [], 0
    while start < len(word):
        ends = range(len(word), start, -1)
        piece = next((p for p in (("##" if start else "") + word[start:e] for e in ends) if p in vocab), None)
        if piece is None:
            return [vocab["[UNK]"]]
        ids.append(vocab[piece])
        start += len(piece.removeprefix("##"))
    return ids


def test_every_process_trains_the_same_vocabulary() -> None:
    script = (
        "import json, sys; from gckd.data.wordpiece import train_vocabulary; "
        "print(json.dumps(train_vocabulary(json.load(sys.stdin), 80)))"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", script], input=json.dumps(captions), capture_output=True, text=True, check=True
        ).stdout
        for captions in (CAPTIONS, CAPTIONS, CAPTIONS[::-1])
    ]
    assert runs[0] == runs[1] == runs[2] == json.dumps(train_vocabulary(CAPTIONS, 80)) + "\n"


@pytest.mark.parametrize("size", [32, 64, 120])
def test_vocab_size_is_an_upper_limit(size: int) -> None:
    vocabulary = train_vocabulary(CAPTIONS, size)
    assert len(vocabulary) <= size and len(set(vocabulary)) == len(vocabulary)
    assert tuple(vocabulary[:5]) == SPECIALS


def test_a_small_vocabulary_leaves_out_rare_characters() -> None:
    vocabulary = train_vocabulary(["aaaa bbb cc", *(chr(0x4E00 + i) for i in range(500))], 32)
    assert {"a", "b", "c"} < set(vocabulary) and len(vocabulary) <= 32


def test_encodes_by_longest_match(tmp_path: Path) -> None:
    tokenizer = trained(tmp_path)
    (file,) = tmp_path.rglob("vocab.txt")
    vocab = read_vocabulary(file)
    caption = "The WALKER walked, reddish Jackets éß!"
    words = ["the", "walker", "walked", ",", "reddish", "jackets", "eß", "!"]
    expected = [vocab["[CLS]"], *(i for word in words for i in greedy(word, vocab)), vocab["[SEP]"]]
    assert tokenizer.encode([caption])[0].tolist() == expected
    assert tokenizer.pieces(tokenizer.encode(["walked", caption])[0]) == ["[CLS]", "walked", "[SEP]"]


def test_ids_and_padding(tmp_path: Path) -> None:
    tokenizer = trained(tmp_path)
    ids = (tokenizer.pad, tokenizer.unk, tokenizer.cls, tokenizer.sep, tokenizer.mask, tokenizer.first_word)
    assert ids == (0, 1, 2, 3, 4, 5)
    tokens = tokenizer.encode(["red", "red blue red", "☃"])
    assert tokens.dtype == torch.int64 and tokens.shape == (3, 5)
    assert tokens[0, 3:].tolist() == [0, 0] and tokens[2].tolist() == [2, 1, 3, 0, 0]
    assert int(tokens.max()) < tokenizer.vocab_size
    assert tokenizer.encode([]).shape == (0, 0)


def test_captions_are_cut_by_words_then_by_tokens(tmp_path: Path) -> None:
    long = " ".join(["red"] * 80)
    assert trained(tmp_path, words=7).encode([long]).shape == (1, 9)
    cut = trained(tmp_path, tokens=6).encode([long])
    assert cut.shape == (1, 6) and cut[0, -1] == 3  # [SEP] stays
    # 4 words of many pieces each: the limit of words does not bound the tokens.
    assert trained(tmp_path, words=4, tokens=8).encode(["a-b-c-d-e-f " * 4]).shape == (1, 8)


def test_a_second_call_reads_the_trained_vocabulary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = trained(tmp_path)
    monkeypatch.setattr("gckd.data.tokenizer.train_vocabulary", lambda *_: pytest.fail("trained again"))
    assert trained(tmp_path, CAPTIONS[::-1] * 2).digest == first.digest


def test_the_digest_changes_with_all_that_changes_token_ids(tmp_path: Path) -> None:
    variants = [
        trained(tmp_path),
        trained(tmp_path, size=60),
        trained(tmp_path, words=10),
        trained(tmp_path, tokens=10),
        trained(tmp_path, CAPTIONS[:400]),
    ]
    assert len({tokenizer.digest for tokenizer in variants}) == len(variants)


def test_captions_without_words_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no captions to train a vocabulary on"):
        trained(tmp_path, [])
    with pytest.raises(InputError, match="no words after the special tokens"):
        trained(tmp_path, ["\u200b"])


class TestPretrained:
    VOCABULARY = ("[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "Red", "##dish", "coat")

    def load(self, name: object) -> Tokenizer:
        return build_tokenizer(PretrainedTokenizer(str(name)), [], Path("/unused"), max_words=50, max_tokens=64)

    def write(self, folder: Path, pieces: tuple[str, ...] = VOCABULARY) -> Path:
        (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
        return folder

    def test_a_folder_with_vocab_txt(self, tmp_path: Path) -> None:
        tokenizer = self.load(self.write(tmp_path))
        assert tokenizer.encode(["Reddish coat"])[0].tolist() == [3, 6, 8, 9, 4]
        assert (tokenizer.unk, tokenizer.mask, tokenizer.first_word, tokenizer.vocab_size) == (2, 5, 6, 10)

    def test_a_cased_vocabulary(self, tmp_path: Path) -> None:
        (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
        assert self.load(self.write(tmp_path)).encode(["Reddish"])[0].tolist() == [3, 7, 8, 4]

    def test_a_folder_with_tokenizer_json(self, tmp_path: Path) -> None:
        backend = bert({piece: i for i, piece in enumerate(self.VOCABULARY)})
        backend.enable_padding(length=12)  # such settings of a published file must not matter
        backend.save(str(tmp_path / "tokenizer.json"))
        assert self.load(tmp_path).encode(["red coat"])[0].tolist() == [3, 6, 9, 4]

    def test_unusable_folders_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="has neither tokenizer.json nor vocab.txt"):
            self.load(tmp_path)
        with pytest.raises(InputError, match=r"vocab.txt: not in BERT's layout: it lacks \[MASK\]"):
            self.load(self.write(tmp_path, ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "red")))
        with pytest.raises(InputError, match=r"it has \[PAD\] = 1, not 0"):
            self.load(self.write(tmp_path, ("red", *SPECIALS)))
        (tmp_path / "tokenizer.json").write_text("{}")
        with pytest.raises(InputError, match="tokenizer.json: not a tokenizer file"):
            self.load(tmp_path)

    def test_an_unreachable_hub_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        requests: list[str] = []

        def offline(url: str) -> None:
            requests.append(url)
            raise ConnectionError("no route")

        monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", offline)
        monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *file: pytest.fail(f"download of {file}"))
        with pytest.raises(
            InputError,
            match=r"'some/model' is not a local folder .*\(ConnectionError\); put its tokenizer.json or vocab",
        ):
            self.load("some/model")
        assert requests == ["https://huggingface.co/some/model/resolve/main/tokenizer.json"]  # one, without a retry

    def test_a_tokenizer_of_the_hub_is_loaded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = tmp_path / "tokenizer.json"
        bert({piece: i for i, piece in enumerate(self.VOCABULARY)}).save(str(file))
        published = {("some/model", "tokenizer.json"): str(file)}
        monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", lambda url: None)
        monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *file: published[file])
        assert self.load("some/model").encode(["coat"])[0].tolist() == [3, 9, 4]

    def test_a_tokenizer_in_the_hubs_cache_is_loaded_offline(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        repository = tmp_path / "models--some--model"  # the hub's own layout
        (repository / "refs").mkdir(parents=True)
        (repository / "refs/main").write_text("abc")
        (repository / "snapshots/abc").mkdir(parents=True)
        bert({piece: i for i, piece in enumerate(self.VOCABULARY)}).save(
            str(repository / "snapshots/abc/tokenizer.json")
        )
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # no server
        assert self.load("some/model").encode(["coat"])[0].tolist() == [3, 9, 4]


def test_transformers_reads_the_trained_vocabulary(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = trained(tmp_path)
    (file,) = tmp_path.rglob("vocab.txt")
    reference = transformers.BertTokenizerFast(vocab=str(file))
    captions = [*CAPTIONS[:50], "Été: a snow☃man, walking"]
    padded = reference(captions, padding=True, truncation=True, max_length=64, return_tensors="pt")["input_ids"]
    assert torch.equal(tokenizer.encode(captions), padded)


def changed_tokenizer(folder: Path, change: Callable[[dict[str, Any]], object]) -> str:
    """Folder of a small BERT whose tokenizer.json is changed."""
    pieces = [*SPECIALS, "a", "b"]
    content = json.loads(bert({piece: number for number, piece in enumerate(pieces)}).to_str())
    content["added_tokens"] = [
        {"id": number, "content": piece, "special": True}
        | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        for number, piece in enumerate(SPECIALS)
    ]
    change(content)
    (folder / "tokenizer.json").write_text(json.dumps(content))
    return str(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content["model"]["vocab"].pop("[UNK]"), "no words after the special tokens"),
        (lambda content: content["model"].update(unk_token="?"), r"cannot encode a caption \(WordPiece error: Missing"),
        (lambda content: content.update(post_processor=None), r"does not put \[CLS\] before and \[SEP\] after a text"),
        (lambda content: content["post_processor"].update(cls=["[CLS]", 5]), r"does not put \[CLS\] before"),
        (lambda content: content["post_processor"].update(sep=["[SEP]", 5]), r"does not put \[CLS\] before"),
        (lambda content: content["model"]["vocab"].update(c=2**31), "'c' has the id 2,147,483,648, outside its limit"),
    ],
)
def test_a_tokenizer_whose_special_tokens_do_not_work_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    name = changed_tokenizer(tmp_path, lambda content: None)
    tokenizer = build_tokenizer(PretrainedTokenizer(name), [], tmp_path, max_words=9, max_tokens=9)
    assert tokenizer.encode(["b ?"]).tolist() == [[2, 6, 1, 3]]
    name = changed_tokenizer(tmp_path, change)
    with pytest.raises(InputError, match=message):
        build_tokenizer(PretrainedTokenizer(name), [], tmp_path, max_words=9, max_tokens=9)


@pytest.mark.parametrize("text", ["[" * 1000, "{", "NaN" * 3])
def test_damaged_settings_of_a_tokenizer_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIALS, "a"]))
    (tmp_path / "tokenizer_config.json").write_text(text)
    with pytest.raises(InputError, match=r"tokenizer_config.json: (not JSON|lists and objects)"):
        load_pretrained(str(tmp_path))
