"""Exit of every command: each input error is one `error:` line, without a traceback."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from gckd.errors import InputError
from gckd.runs.signals import stop_on_sigterm

if TYPE_CHECKING:
    from collections.abc import Sequence

BAD_INPUT, INTERRUPTED = 2, 130


def run_command(command: click.Command, arguments: Sequence[str] | None = None, obj: Any = None) -> NoReturn:
    """Run `command` and exit with 0 or its return value, 2 on bad input, or 130 when interrupted.

    Args:
        arguments: command-line arguments without the program name; None: those of this process.
        obj: context object of click, for commands that take one.
    """
    stop_on_sigterm()
    sys.exit(_status(command, arguments, obj))


def _status(command: click.Command, arguments: Sequence[str] | None, obj: Any) -> int:
    try:
        status = command.main(args=arguments, standalone_mode=False, obj=obj)
    except InputError as error:
        for line in str(error).splitlines():
            click.echo(f"error: {line}", err=True)
        return BAD_INPUT
    except click.ClickException as error:
        click.echo(f"error: {_usage_problem(error)}", err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not change the exit status
        return INTERRUPTED
    return status if isinstance(status, int) else 0


def _usage_problem(error: click.ClickException) -> str:
    """Text of an error of click in the form of every other error: option or argument, value, remedy."""
    if not isinstance(error, click.UsageError):
        return error.format_message()
    text = error.message[:1].lower() + error.message[1:].rstrip(".")
    if isinstance(error, click.NoSuchOption):
        text = f"unknown option {error.option_name!r}"
    elif isinstance(error, click.MissingParameter) and error.param:
        text = f"{_name_of(error.param)}: is missing"
    elif isinstance(error, click.BadParameter) and error.param:
        text = f"{_name_of(error.param)}: {text}"
    hint = f"; see '{error.ctx.command_path} --help'" if error.ctx else ""
    close = isinstance(error, click.NoSuchOption) and error.possibilities
    return text + hint + (f" (did you mean {close[0]!r}?)" if close else "")


def _name_of(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Option):
        return parameter.opts[0]
    return parameter.human_readable_name.removesuffix("...").strip("[]")
