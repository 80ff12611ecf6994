"""The one exception a user is meant to see: a clear line, exit status 2, never a traceback."""

from __future__ import annotations


class InputError(ValueError):
    """What the user gave cannot be used. The message names the field (or file), the value and the limit."""


def reason_of(error: BaseException) -> str:
    """What an error says, in one line: the system's words without number and path; else its first line, or its type."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    said = str(error).strip()
    return said.splitlines()[0] if said else type(error).__name__
