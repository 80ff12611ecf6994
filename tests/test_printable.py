"""Text from files, as messages, tables and reports show it."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gckd.errors import unknown_choice
from gckd.printable import brief, message_lines, printable, shortened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b31m", "\\x9b31m"),
        ("a\rb\x08\x7f", "a\\x0db\\x08\\x7f"),
        ("abc\u202egpj.exe", "abc\\u202egpj.exe"),
        ("\u2066a\u2069\u200f\u061c", "\\u2066a\\u2069\\u200f\\u061c"),
        ("a\u2028b\x85", "a\\u2028b\\x85"),
        ("\ud800", "\\ud800"),
        ("tab\tand\nnewline, é, 行, \U0001f600", "tab\tand\nnewline, é, 行, \U0001f600"),
    ],
)
def test_control_and_direction_characters_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql://ann:secret@host/db", "postgresql://ann:***@host/db"),
        ("postgresql+psycopg://ann:se:cr%40et@host/db", "postgresql+psycopg://ann:***@host/db"),
        ("at s3://key:secret@bucket/a and s3://k:s@b", "at s3://key:***@bucket/a and s3://k:***@b"),
        ("mysql://host/db?user=a&password=secret&x=1", "mysql://host/db?user=a&password=***&x=1"),
        ("s3://b/x?secret_key=secret;a=1", "s3://b/x?secret_key=***;a=1"),
        ("https://b/x?X-Amz-Signature=secret", "https://b/x?X-Amz-Signature=***"),
        ("redis://:secret@host", "redis://:***@host"),
        ("postgresql://ann:se'cr\"et@host/db", "postgresql://ann:***@host/db"),
        ("/data/postgresql:/ann:secret@host/db is not a file", "/data/postgresql:/ann:***@host/db is not a file"),
        ("no@mail, postgresql:/ann:secret@host", "no@mail, postgresql:/ann:***@host"),
        ("s3://bucket/street", "s3://bucket/street"),
        ("postgresql://ann:p@ss/word@host/db", "postgresql://ann:***@host/db"),
        ("http://localhost:8080/a", "http://localhost:8080/a"),
    ],
)
def test_passwords_of_uris_are_hidden(uri: str, shown: str) -> None:
    assert printable(uri) == shown


@pytest.mark.parametrize("cut", [brief, shortened])
@pytest.mark.parametrize("length", [10, 100, 1_000])
def test_a_password_that_is_longer_than_a_cut_value_is_hidden(cut: Callable[[str], str], length: int) -> None:
    shown = printable(cut(f"postgresql://ann:{'s3cr' * length}@host/db"))
    assert "s3cr" not in shown
    assert shown.strip("'") == "postgresql://ann:***@host/db"


@pytest.mark.parametrize("text", ["a://:" * 26_000, "a://b?" + "token" * 26_000, "a://b" + "?token=" * 18_000])
def test_a_hostile_text_is_searched_for_passwords_in_a_short_time(text: str) -> None:
    """The time must grow in proportion to the length: with its square, the first text took over a minute."""
    start = time.process_time()
    assert printable(text + " \x1b").endswith("\\x1b")
    assert time.process_time() - start < 2


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=50))
def test_a_printable_text_can_be_written_and_stays_the_same(text: str) -> None:
    shown = printable(text)
    shown.encode()
    assert printable(shown) == shown
    assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in shown if character not in "\t\n")


def test_values_and_messages_are_cut() -> None:
    assert brief("a") == "'a'"
    assert len(brief("x" * 10**6)) == len(brief(["x"] * 1000)) == 80
    assert len(unknown_choice("kind", "x" * 10**6, ["a"])) < 120
    lines = message_lines("\n".join(["x" * 10_000] * 200))
    assert len(lines) == 101 and max(map(len, lines)) == 2_000 and lines[-1] == "... and 100 more lines"
