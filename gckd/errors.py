"""Exceptions whose message is for the user: commands print it and exit with status 2, without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from gckd.printable import brief, one_line, shortened


class InputError(ValueError):
    """Invalid input by the user. The message names the field or file, the value and the limit.

    Args:
        lines: the lines of the message. Line breaks inside a line come from a file or a file name: they are escaped,
            and long lines are cut.
    """

    def __init__(self, *lines: str) -> None:
        super().__init__(*map(one_line, lines))

    def __str__(self) -> str:
        return "\n".join(self.args)


class LostInputError(InputError):
    """A dataset or file disappeared after the start. No other run is started; finished runs are kept."""


class DivergenceError(FloatingPointError):
    """Training diverged. The message names the stage, the step, the terms that are not finite, and the remedy."""


def unknown_choice(noun: str, value: object, choices: Iterable[str]) -> str:
    """Text of every error about a name that is not among the choices.

    Args:
        noun: type of the choices in the singular, for example "component".
        choices: valid names, in the order in which they are listed.

    Returns:
        For example "unknown component 'gpm'; choose from gmp, cmkd (did you mean 'gmp'?)".
    """
    names = list(choices)
    close = difflib.get_close_matches(shortened(str(value)), names, 1)
    suggestion = f" (did you mean {close[0]!r}?)" if close else ""
    return f"unknown {noun} {brief(value)}; choose from {', '.join(names)}{suggestion}"


def reason_of(error: BaseException) -> str:
    """An error in one line: the description of a system error without its number and path, else the first line.

    An error without a message is described by its type.
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    message = str(error).strip()
    return message.splitlines()[0] if message else type(error).__name__
