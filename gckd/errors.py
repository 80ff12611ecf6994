"""The exception for invalid input: commands print its message and exit with status 2, without a traceback."""

from __future__ import annotations


class InputError(ValueError):
    """Invalid input by the user. The message names the field or file, the value and the limit."""


def reason_of(error: BaseException) -> str:
    """An error in one line: the description of a system error without its number and path, else the first line.

    An error without a message is described by its type.
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    message = str(error).strip()
    return message.splitlines()[0] if message else type(error).__name__
