"""Exit of every command: each input error is one `error:` line, without a traceback."""

from __future__ import annotations

import errno
import os
import signal
import sys
import tempfile
from typing import TYPE_CHECKING, Any, NoReturn

import click

from gckd.errors import InputError, reason_of
from gckd.interruption import stop_on_sigterm
from gckd.printable import brief, message_lines
from gckd.runs.environment import allow_open_files, omp_threads, tolerate_console

if TYPE_CHECKING:
    from collections.abc import Sequence

BAD_INPUT, INTERRUPTED = 2, 130
_REMEDY = "correct this and repeat the command; finished work is kept"
_NO_SPACE = "free space there and repeat the command, with --resume for a run or table; finished work is kept"
_NO_ACCESS = "choose another folder, or change its permissions"
_MORE_FILES = "run `ulimit -n 4096` before the command"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_REMEDIES = {
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.EFBIG: "raise the limit of the file size (ulimit -f)",
    errno.EROFS: _NO_ACCESS,
    errno.EACCES: _NO_ACCESS,
    errno.EPERM: _NO_ACCESS,
    errno.EMFILE: _MORE_FILES,
    errno.ENFILE: _MORE_FILES,
    errno.EAGAIN: "raise the limit of processes (ulimit -u)",
    errno.ENOMEM: "raise the limit of memory (ulimit -v), or use smaller batches",
}
# Part of a message that is not raised as an OSError -> problem and remedy. A MemoryError has the first.
_SIGNS = {
    "can't allocate memory": "not enough memory; raise the limit of memory (ulimit -v), or use smaller batches",
    "can't start new thread": "too few threads are allowed; raise the limit of processes (ulimit -u)",
    "Too many open files": f"too many open files; {_MORE_FILES}",
}


def run_command(command: click.Command, arguments: Sequence[str] | None = None, obj: Any = None) -> NoReturn:
    """Run `command` and exit with 0 or its return value, 2 on bad input, or 130 when interrupted.

    Problems of the system, such as a full disk, count as bad input: the work that is finished is kept.

    Args:
        arguments: command-line arguments without the program name; None: those of this process.
        obj: context object of click, for commands that take one.
    """
    stop_on_sigterm()
    tolerate_console()
    allow_open_files()
    sys.exit(_status(command, arguments, obj))


def _status(command: click.Command, arguments: Sequence[str] | None, obj: Any) -> int:
    try:
        omp_threads()
        status = command.main(args=arguments, standalone_mode=False, obj=obj)
    except (InputError, FloatingPointError) as error:
        for line in message_lines(str(error)):
            click.echo(f"error: {line}", err=True)
        return BAD_INPUT
    except click.ClickException as error:
        for line in message_lines(_usage_problem(error)):
            click.echo(f"error: {line}", err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not change the exit status
        return INTERRUPTED
    except (OSError, MemoryError, RuntimeError, ImportError) as error:
        problem = _system_problem(error)
        if not problem:
            raise
        click.echo(f"error: {problem}", err=True)
        return BAD_INPUT
    return status if isinstance(status, int) else 0


def _system_problem(error: Exception) -> str:
    """One line on an error of the operating system, with its remedy; empty for any other error."""
    chain: list[BaseException] = [error]
    while cause := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(cause)
    system = next((link for link in chain if isinstance(link, OSError) and link.errno is not None), None)
    if system is not None and (error is system or isinstance(error, RuntimeError)):
        path = _full_folder(system) if system.errno in _FULL else _path_of(system)
        return f"{path}{os.strerror(system.errno or 0)}; {_REMEDIES.get(system.errno or 0, _REMEDY)}"
    if isinstance(error, OSError):
        return f"{reason_of(error)}; {_REMEDY}"
    text = str(error)
    for mark, problem in _SIGNS.items():
        if mark in text or isinstance(error, MemoryError):
            return problem
    return ""


def _path_of(error: OSError) -> str:
    """File of an error, as the beginning of a message; empty if the error names none."""
    # Of two files, the second one is written.
    named = [name for name in (error.filename2, error.filename) if isinstance(name, str | bytes)]
    return f"{os.fsdecode(named[0])}: " if named else ""


def _full_folder(error: OSError) -> str:
    """Folder on the full disk, as the beginning of a message. Libraries that name no file write temporary files."""
    path = _path_of(error).removesuffix(": ")
    folder = os.path.dirname(os.path.abspath(path)) if path else tempfile.gettempdir()
    return f"folder {folder}: "


def _usage_problem(error: click.ClickException) -> str:
    """Text of an error of click in the form of every other error: option or argument, value, remedy."""
    if not isinstance(error, click.UsageError):
        return error.format_message()
    text = error.message[:1].lower() + error.message[1:].rstrip(".")
    if isinstance(error, click.NoSuchOption):
        text = f"unknown option {brief(error.option_name)}"
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
