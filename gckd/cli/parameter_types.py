"""Types of command-line values. Their errors read like those of the config."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from gckd.errors import InputError, unknown_choice
from gckd.storage.path import expanded

_SMALLEST_SHARE = 0.0001  # of a GPU, in Ray


class WholeNumber(click.types.IntParamType):
    """A whole number with an optional lower limit."""

    name = "n"  # `--help` shows it in capitals

    def __init__(self, minimum: int | None = None) -> None:
        self._minimum = minimum

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number that a text spells; fails for any other text, and below the limit."""
        try:
            number = int(value)
        except ValueError:
            self.fail(f"{value!r} is not a whole number", param, ctx)
        if self._minimum is not None and number < self._minimum:
            self.fail(f"{number} is outside its limit: >= {self._minimum}", param, ctx)
        return number


class Number(click.types.FloatParamType):
    """A number that is not negative."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number that a text spells; fails for any other text, and for a negative number."""
        try:
            number = float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number", param, ctx)
        if not number >= 0:  # also refuses nan
            self.fail(f"{number:g} is outside its limit: >= 0", param, ctx)
        return number


class GpuShare(Number):
    """GPUs of a worker: a whole number, or a fraction of one GPU in the steps of Ray."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number that a text spells; fails for a number that Ray cannot assign."""
        number = super().convert(value, param, ctx)
        if not (number.is_integer() or _SMALLEST_SHARE <= number < 1):
            limit = f"a whole number, or a fraction from {_SMALLEST_SHARE} to 1"
            self.fail(f"{number:g} is outside its limit: {limit}", param, ctx)
        return number


class LocalPath(click.Path):
    """A file or folder of this machine. A shell does not expand `~` in `--out=~/a` or in quotes."""

    def convert(self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path with `~` and `~user` replaced by the home folder; fails for a user without one."""
        try:
            return expanded(str(super().convert(value, param, ctx)))
        except InputError as error:
            self.fail(str(error), param, ctx)


class OneOf(click.types.StringParamType):
    """One of a few names."""

    def __init__(self, noun: str, choices: Sequence[str]) -> None:
        self.name, self._choices = noun, choices

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name; fails if it is not among the choices."""
        if value not in self._choices:
            self.fail(unknown_choice(self.name, value, self._choices), param, ctx)
        return str(value)


AT_LEAST_ONE = WholeNumber(1)
