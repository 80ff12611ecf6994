"""JSON texts: their depth is known before they are parsed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gckd.storage.json_text import MAX_DEPTH, JsonError, is_deeper, load_json

texts = st.text(alphabet='[]{}"\\a\n', max_size=8)
values = st.recursive(
    st.none() | st.integers() | texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=20
)


def depth(value: Any) -> int:
    """By recursion over the parsed value."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


@settings(max_examples=300, deadline=None)
@given(values, st.booleans())
def test_the_depth_is_that_of_the_parsed_value(value: Any, indented: bool) -> None:
    text = json.dumps(value, indent=1 if indented else None).encode()
    assert not is_deeper(text, depth(value))
    assert depth(value) == 0 or is_deeper(text, depth(value) - 1)
    assert load_json(text) == value


def test_a_long_text_is_counted_in_blocks() -> None:
    text = b"[" + b'["]", {}],' * 600_000 + b'[[]], "[[[["]'
    assert not is_deeper(text, 3) and is_deeper(text, 2)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-le"])
def test_every_encoding_of_json_is_read(encoding: str) -> None:
    text = json.dumps(["\u5b5b" * 40, {"a": "ß"}], ensure_ascii=False)  # its bytes in UTF-16 are those of brackets
    assert load_json(text.encode(encoding)) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "lists and objects inside each other, more than 32 deep"),
        (b'{"a":' * 10_000, "more than 32 deep"),
        (b"[" + b"1," * 10_000_000 + b"1]", "10,000,001 values; the limit is 10,000,000"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"\\\\" + b"[" * 10, "not JSON"),
        (b"9" * 5000, "not JSON"),
    ],
)
def test_a_text_beyond_a_limit_is_refused_in_one_line(text: bytes, message: str) -> None:
    with pytest.raises(JsonError, match=message) as refusal:
        load_json(text)
    assert "\n" not in str(refusal.value)


def test_the_largest_depth_is_read() -> None:
    assert depth(load_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)) == MAX_DEPTH
