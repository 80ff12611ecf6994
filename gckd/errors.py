"""The one exception a user is meant to see: a clear line, exit status 2, never a traceback."""

from __future__ import annotations


class InputError(ValueError):
    """What the user gave cannot be used. The message names the field (or file), the value and the limit."""
