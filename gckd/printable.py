"""Text from files and command lines, made safe and short for messages, tables and reports."""

from __future__ import annotations

import re
from typing import Any

import click

_SHOWN = 80  # characters of a value in a message
_READ = 10_000  # characters that are searched for passwords before a value is cut
_LINE = 2_000  # characters of a line of a message
# Control characters except tab and newline, marks that change the direction of text, line separators, and halves of
# surrogate pairs: a terminal would obey them, show another text than the file has, or fail.
_HIDDEN = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_WORD = re.compile(r"\S+")
# Paths join the slashes of a URI that is taken for a file name: `scheme:/user:password@host`.
_USER = re.compile(r"\w:/{1,2}[^\s/:@]*:")  # the password follows, up to the last @ of the word
_PARAMETER = re.compile(r"(?P<head>[?&;](?P<name>[\w.-]+)=)[^\s&;'\"]+")
_SECRET = re.compile("password|passwd|pwd|secret|token|signature|access_key", re.IGNORECASE)  # in a parameter's name


def printable(text: str) -> str:
    """The text with control and direction characters as escapes such as `\\x1b`, and without passwords of URIs."""
    return _HIDDEN.sub(lambda match: _escape(match[0]), without_passwords(text))


def without_passwords(text: str) -> str:
    """The text with `***` in place of each password of a URI."""
    if ":/" not in text:
        return text
    return _PARAMETER.sub(_without_secret, _WORD.sub(lambda match: _without_password(match[0]), text))


def _without_password(word: str) -> str:
    """A text without spaces, and without the passwords of its URIs. The time grows in proportion to its length."""
    head, at, tail = word.rpartition("@")
    user = _USER.search(head) if at else None
    return f"{head[: user.end()]}***@{tail}" if user else word


def _without_secret(parameter: re.Match[str]) -> str:
    return f"{parameter['head']}***" if _SECRET.search(parameter["name"]) else parameter[0]


def brief(value: Any, limit: int = _SHOWN) -> str:
    """`repr` of a value for a message, cut to `limit` characters."""
    if isinstance(value, str):
        value = without_passwords(value[:_READ])  # before a cut that removes the @ by which a password is known
    text = repr(value[: limit + 1] if isinstance(value, (str, bytes)) else value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def shortened(text: str, limit: int = _SHOWN) -> str:
    """A name from a file for a message, cut to `limit` characters."""
    text = without_passwords(text[:_READ]) if len(text) > limit else text
    return text if len(text) <= limit else text[: limit - 3] + "..."


def is_text(value: Any) -> bool:
    """Whether a value is a string without halves of surrogate pairs, which JSON can spell.

    No file name and no Arrow column can hold such a half.
    """
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def one_line(text: str) -> str:
    """A problem that may quote a file, as one line of bounded length."""
    return shortened(text.replace("\n", "\\n"), _LINE)


def echo(text: object, *, err: bool = False, newline: bool = True) -> None:
    """Print a text on standard output or standard error, made printable."""
    click.echo(printable(str(text)), err=err, nl=newline)


def message_lines(text: str, most: int = 100) -> list[str]:
    """The lines of an error message, each printable and of bounded length, at most `most` of them."""
    lines = [shortened(printable(line), _LINE) for line in text.split("\n") if line.strip()]
    more = len(lines) - most
    return [*lines[:most], f"... and {more:,} more lines"] if more > 0 else lines


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
