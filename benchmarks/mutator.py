"""Mutation of valid inputs (bytes, tokens, structure), and hypothesis strategies of inputs."""

from __future__ import annotations

import contextlib
import copy
import json
import math
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

_TOKEN = re.compile(rb"[\w.+-]+|[^\s\w]")
_ODD_TOKENS = (
    *(b"", b"-1", b"0", b"1e999", b".inf", b".nan", b"NaN", b"0x1F", b"0o17", b"1_000", b"1:30", b"9" * 5000),
    *(b"null", b"~", b"true", b"2001-99-99", b"&a", b"*a", b"<<: *a", b"!!python/object/apply:a", b"!!binary x"),
    *(b'!!int ""', b"? ", b"- ", b": ", b"%YAML 9.9", b"---", b"...", b"#", b"|", b"[" * 60, b"{a: " * 60),
    *(b"'", b'"', b"\\ud800", b"\\u0000", b"\\x1b[2J", b"\x1b]0;title\x07", "\u202e".encode(), b"\0", b"\xff\xfe"),
    *(b"a" * 300, b"..", b"../../x", b"/", b"~nosuchuser", b"C:\\a", b"s3://", b"file:///", b"sqlite://", b"=", b","),
    b"[" * 3000,
)
_ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**400, 0.5, -0.0, 1e308, math.inf, math.nan),
    *("", " ", "a" * 300, "..", "../../x", "/etc/passwd", "~nosuchuser/x", "\0", "\ud800", "\x1b[2J", "\u202etxt"),
    *(
        "none",
        "full",
        "con",
        "-x",
        "NaN",
        "[]",
        "{",
        "9" * 5000,
        "a\nb",
        "\u00df",
        "\U0001f600",
        "http://[",
        "%(x)s",
        "{x}",
    ),
    *([], {}, [[]], {"": 0}, [None], ["a", "a"], {"kind": "none"}, {"kind": ["x"]}, list(range(3000))),
)
_DEPTHS = (2, 6, 40, 300, 900)  # of lists inside each other
_MOST_CHANGES = 3
_WINDOW = 4096  # bytes in which tokens are looked for


class Mutator:
    """Source of mutated inputs. Equal seeds give equal inputs."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def mutate(self, seeds: Sequence[bytes]) -> bytes:
        """One of the seeds with up to `_MOST_CHANGES` changes."""
        content = self._random.choice(seeds)
        changes: tuple[Callable[[bytes], bytes], ...] = (self._bytes, self._tokens, self._structure, self._structure)
        for _ in range(self._random.randint(1, _MOST_CHANGES)):
            content = self._random.choice(changes)(content)
        return self._spliced(content, self._random.choice(seeds)) if self._random.random() < 0.02 else content

    def _bytes(self, content: bytes) -> bytes:
        """The content with a slice removed, repeated or replaced, a flipped bit, or cut off."""
        start, size = self._random.randrange(len(content) + 1), self._random.choice((1, 1, 4, 32, 1024))
        piece = content[start : start + size]
        noise = self._random.choice((self._random.randbytes(len(piece)), bytes(len(piece)), b"\xff" * len(piece)))
        flipped = bytes([piece[0] ^ (1 << self._random.randrange(8))]) + piece[1:] if piece else b""
        new = self._random.choice((b"", piece * 2, noise, flipped, flipped))
        return content[:start] + new + (content[start + size :] if self._random.random() < 0.95 else b"")

    def _tokens(self, content: bytes) -> bytes:
        """The content with a word or sign replaced by an odd one, or by another one of the content."""
        start = self._random.randrange(max(len(content) - _WINDOW, 0) + 1)
        tokens = list(_TOKEN.finditer(content[start : start + _WINDOW]))
        if not tokens:
            return content + self._random.choice(_ODD_TOKENS)
        place = self._random.choice(tokens)
        new = self._random.choice((*_ODD_TOKENS, self._random.choice(tokens)[0]))
        return content[: start + place.start()] + new + content[start + place.end() :]

    def _structure(self, content: bytes) -> bytes:
        """JSON, or one line of JSON lines, with a value replaced, removed, repeated, renamed or wrapped."""
        lines = content.split(b"\n")
        place = self._random.randrange(len(lines))
        for text in (content, lines[place]):
            with contextlib.suppress(ValueError, RecursionError):
                tree = self._changed(json.loads(text))
                new = json.dumps(tree, ensure_ascii=self._random.random() < 0.5).encode(errors="surrogatepass")
                return new if text is content else b"\n".join([*lines[:place], new, *lines[place + 1 :]])
        return self._tokens(content)

    def _changed(self, tree: Any) -> Any:
        """A JSON value with one change at a random place."""
        holder = {"": tree}
        node, key = self._place(holder)
        change = self._random.randrange(6)
        if change == 0 and node is not holder:
            del node[key]
        elif change == 1:
            node[key] = self._wrapped(node[key])
        elif change == 2 and isinstance(node, dict) and node is not holder:
            node[str(self._random.choice(_ODD_VALUES))[:300]] = node.pop(key)
        elif change == 3 and isinstance(node, list):
            node.insert(key, copy.deepcopy(node[key]))
        elif change == 4:
            other, other_key = self._place(holder)
            node[key] = copy.deepcopy(other[other_key])
        else:
            node[key] = copy.deepcopy(self._random.choice(_ODD_VALUES))
        return holder.get("")

    def _place(self, holder: Any) -> tuple[Any, Any]:
        """A random dictionary or list inside, and a key of it."""
        places: list[tuple[Any, Any]] = [(holder, "")]
        for node, key in places:
            inner = node[key]
            keys = list(inner) if isinstance(inner, dict) else range(len(inner)) if isinstance(inner, list) else ()
            places += [(inner, inner_key) for inner_key in keys]
            if len(places) > 5000:
                break
        return self._random.choice(places)

    def _wrapped(self, value: Any) -> Any:
        for _ in range(self._random.choice(_DEPTHS)):
            value = [value] if self._random.random() < 0.9 else {"a": value}
        return value

    def _spliced(self, content: bytes, other: bytes) -> bytes:
        cut, other_cut = self._random.randrange(len(content) + 1), self._random.randrange(len(other) + 1)
        return content[:cut] + other[other_cut:]


def inputs(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Strategy of a reader's inputs: any bytes, any text, any JSON, and mutated seeds."""
    texts = st.text(max_size=60)
    numbers = st.integers() | st.floats() | st.sampled_from([2**63, -1, 10**400])
    leaves = st.none() | st.booleans() | numbers | texts
    keys = st.sampled_from(_keys(seeds)) | texts
    trees = st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5), max_leaves=12
    )
    return st.one_of(
        st.binary(max_size=200),
        texts.map(lambda text: text.encode()),
        trees.map(lambda tree: json.dumps(tree).encode()),
        st.integers(min_value=0, max_value=2**32).map(lambda seed: Mutator(seed).mutate(seeds)),
    )


def _keys(seeds: Sequence[bytes]) -> list[str]:
    """Words of the seeds, as keys of mappings."""
    words = {token.decode() for seed in seeds for token in re.findall(rb"[a-z_]{2,30}", seed[:20_000])}
    return sorted(words)[:200] or ["a"]
