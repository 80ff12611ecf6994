"""JSON texts from anybody, parsed within limits on the number of values and their depth."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DEPTH = 32  # of lists and objects inside each other
MAX_VALUES = 10_000_000  # one value of three characters, {}, takes 72 bytes of memory
_BLOCK = 2**20  # characters that are counted at once
_QUOTE = ord('"')
_NOT_COUNTED = bytes(set(range(256)) - set(b'"[]{}'))
_STEPS = np.zeros(256, np.int8)  # change of the depth at a character
_STEPS[list(b"[{")], _STEPS[list(b"]}")] = 1, -1


class JsonError(ValueError):
    """A text that is not JSON, or that exceeds a limit. The message is one line."""


def load_json(text: bytes, *, constants: Callable[[str], Any] | None = None) -> Any:
    """Value of a JSON text. The limits are checked before anything is built from the text.

    Args:
        constants: called with NaN, Infinity and -Infinity, which JSON does not have; None: they are numbers.

    Raises:
        JsonError: the text is not JSON, has more than `MAX_VALUES` values, or its lists and objects are more than
            `MAX_DEPTH` deep.
    """
    values = sum(map(text.count, (b",", b"[", b"{")))  # at most: texts may hold these characters too
    if values > MAX_VALUES:
        raise JsonError(f"{values:,} values; the limit is {MAX_VALUES:,}")
    try:
        encoding = json.detect_encoding(text)
        # Bytes of UTF-16 and UTF-32 may look like brackets.
        utf8 = text if encoding.startswith("utf-8") else text.decode(encoding).encode()
        if is_deeper(utf8, MAX_DEPTH):
            raise JsonError(f"lists and objects inside each other, more than {MAX_DEPTH} deep")
        return json.loads(utf8, parse_constant=constants)
    except JsonError:
        raise
    except (ValueError, RecursionError) as error:
        raise JsonError(f"not JSON: {error}") from error


def is_deeper(text: bytes, limit: int) -> bool:
    """Whether more than `limit` lists and objects are inside each other in a JSON text in UTF-8.

    Brackets in strings do not count. In a text that is not JSON, a parser gets no deeper before it fails.
    """
    # Escaped quotes do not end a string. Without its pairs, a row of backslashes has one or none.
    marks = text.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _NOT_COUNTED)
    depth, inside_string = 0, False
    for start in range(0, len(marks), _BLOCK):
        block = np.frombuffer(marks, np.uint8, min(_BLOCK, len(marks) - start), start)
        in_string = np.logical_xor.accumulate(block == _QUOTE) ^ inside_string
        depths = depth + np.cumsum(_STEPS[block] * ~in_string, dtype=np.int64)
        if depths.max() > limit:
            return True
        depth, inside_string = int(depths[-1]), bool(in_string[-1])
    return False
