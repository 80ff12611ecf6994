"""Storage of a study: a journal file in the output folder, or any database that Optuna supports."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from gckd.errors import InputError, reason_of, unknown_choice
from gckd.printable import brief, is_text
from gckd.storage import atomic
from gckd.storage.json_text import MAX_DEPTH, is_deeper
from gckd.storage.path import expanded

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

FILE = "study.journal"
_JOURNAL = "journal:"
_SQLITE = "sqlite"
_DATABASES = (_SQLITE, "postgresql", "mysql")  # of Optuna
_HEAD = b'{"op_code":'  # of every line of a journal
_LINES_SHOWN = 5
_LINE_BYTES = 2**20  # of a line of a journal
_NAME_BYTES = 200  # of a journal's file name; the lock files beside it have longer names, and the system allows 255
_GRACE_S = 10  # a process that is killed during a write leaves its lock file; a write takes milliseconds
_CONNECT_S = 5
_SQLITE_WAIT_S = 30  # of a writer for another
_TRIES = 5
_PACKAGES = {"psycopg": "'psycopg[binary]'", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}  # by their module
_BY_CONNECT_TIMEOUT = ("psycopg", "psycopg2", "pymysql", "mysqldb")


def open_storage(uri: str | None, folder: Path) -> BaseStorage:
    """The storage at `uri`, created if necessary; it can be pickled.

    Args:
        uri: `journal:PATH`, or the URL of a database (`sqlite:///study.db`, `postgresql+psycopg://host/name`). None:
            the journal file in `folder`. A pickle of the storage contains the whole URL; give a password by PGPASSWORD
            or ~/.pgpass instead.
        folder: output folder; it exists.

    Raises:
        InputError: not a URI, a missing driver, a storage that cannot be reached or written, or a file with other
            content; one line, after a few seconds at most.
    """
    if uri is None:
        return _journal(folder / FILE)
    if not is_text(uri):
        raise InputError(f"--storage: {uri!r} is not text in UTF-8")
    if uri.startswith(_JOURNAL):
        return _journal(expanded(uri.removeprefix(_JOURNAL)).absolute())
    if "://" not in uri:
        raise InputError(f"--storage: {uri!r} is neither journal:PATH nor a database URL such as sqlite:///study.db")
    try:
        url = sqlalchemy.make_url(uri)
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        raise InputError(f"--storage: {uri!r} is not a database URL") from error
    return _database(url)


class _JournalFile(JournalFileBackend):
    """Journal file whose errors name it."""

    def __init__(self, file: Path, lock: JournalFileOpenLock) -> None:
        super().__init__(str(file), lock_obj=lock)
        self._file = file

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        with atomic.naming(self._file):
            super().append_logs(logs)


class _SqliteStorage(RDBStorage):
    """SQLite storage whose transactions lock the file when they begin, not at their first write.

    Optuna uses SELECT ... FOR UPDATE so that only one process takes a queued trial. SQLite ignores it: two processes
    could both read that the trial is waiting, and both run it.
    """

    def __init__(self, url: str, engine_kwargs: dict[str, Any]) -> None:
        super().__init__(url, engine_kwargs)
        self._lock_at_begin()

    def __setstate__(self, state: dict[Any, Any]) -> None:
        super().__setstate__(state)
        self._lock_at_begin()

    def _lock_at_begin(self) -> None:
        sqlalchemy.event.listen(self.engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))


def _journal(file: Path) -> BaseStorage:
    length = len(os.fsencode(file.name))
    if length > _NAME_BYTES:
        raise InputError(f"--storage: the file name {brief(file.name)} has {length} bytes; the limit is {_NAME_BYTES}")
    try:
        lock = JournalFileOpenLock(str(file), grace_period=_GRACE_S)
        backend = _JournalFile(file, lock)
        _remove_torn_line(file, lock)
        return JournalStorage(backend)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"--storage: {file} cannot be written ({reason_of(error)})") from error
    except (ValueError, KeyError, TypeError, AssertionError, RecursionError) as error:
        raise InputError(f"--storage: {file} {_journal_problem(file)}") from error


def _journal_problem(file: Path) -> str:
    """Reason why Optuna cannot read a journal: its damaged lines, or that it is none."""
    with file.open("rb") as stream:
        whole = [_is_entry(line) for line in stream]
    damaged = [number for number, is_whole in enumerate(whole, 1) if not is_whole]
    if not damaged or len(damaged) == len(whole):
        return "is not an Optuna journal"
    lines = "line" if len(damaged) == 1 else "lines"
    numbers = ", ".join(map(str, damaged[:_LINES_SHOWN])) + (", ..." if len(damaged) > _LINES_SHOWN else "")
    rest = f"the other {len(whole) - len(damaged)} of {len(whole)} lines are whole"
    return f"is damaged in {lines} {numbers}; {rest}; restore the file from a copy, or remove the damaged {lines}"


def _is_entry(line: bytes) -> bool:
    """Whether a line of a journal is whole."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(entry, dict) and isinstance(entry.get("op_code"), int)


def _remove_torn_line(file: Path, lock: JournalFileOpenLock) -> None:
    """Removes an incomplete last line.

    A process that is killed, or runs out of disk, during a write leaves an incomplete line. Optuna ignores it until
    the next line is appended to it; from then on it cannot read the study at all.
    """
    lock.acquire()
    try:
        with file.open("r+b") as stream:
            head = stream.read(len(_HEAD))
            if not _HEAD.startswith(head):
                raise ValueError(file)
            stream.seek(0)
            size, lines = 0, 0
            while line := stream.readline(_LINE_BYTES + 1):
                if len(line) > _LINE_BYTES:
                    limit = f"the limit of a line is {_LINE_BYTES:,} bytes"
                    raise InputError(f"--storage: {file}: line {lines + 1:,} is longer; {limit}")
                if is_deeper(line, MAX_DEPTH):
                    limit = f"the limit is {MAX_DEPTH}"
                    raise InputError(f"--storage: {file}: line {lines + 1:,} has more levels of lists; {limit}")
                size, lines = size + len(line) * line.endswith(b"\n"), lines + 1
            stream.truncate(size)
    finally:
        lock.release()


def _database(url: URL) -> BaseStorage:
    safe_url = url.render_as_string(hide_password=True)
    storage_class = _SqliteStorage if url.get_backend_name() == _SQLITE else RDBStorage
    # Optuna formats the URL as a template; a password may contain braces.
    template = url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
    for attempt in range(_TRIES):
        try:
            return storage_class(template, _engine_options(url))
        except ImportError as error:
            reason = f"its driver is not installed ({error.__cause__ or error})"
            module = getattr(error.__cause__, "name", None) or url.get_driver_name()
            remedy = f"pip install {_PACKAGES.get(module, module)}"
            raise InputError(f"--storage: {safe_url}: {reason}; {remedy}") from error
        except sqlalchemy.exc.NoSuchModuleError as error:
            problem = unknown_choice("database", url.drivername, _DATABASES)
            raise InputError(f"--storage: {safe_url}: {problem}") from error
        except (sqlalchemy.exc.SQLAlchemyError, StorageInternalError, RuntimeError) as error:
            # Of two processes that create the tables at once, one fails.
            if attempt == _TRIES - 1 or isinstance(error, RuntimeError) or not _created_meanwhile(error):
                reason = reason_of(getattr(error, "orig", None) or error)
                raise InputError(f"--storage: {safe_url}: {reason}") from error
            time.sleep(0.2 * (attempt + 1))
    raise AssertionError("unreachable")


def _created_meanwhile(error: Exception) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        text = str(cause).lower()
        if isinstance(cause, sqlalchemy.exc.IntegrityError) or "already exists" in text or "is locked" in text:
            return True
        cause = cause.__cause__
    return False


def _engine_options(url: URL) -> dict[str, Any]:
    if url.get_backend_name() == _SQLITE:
        return {"connect_args": {"timeout": _SQLITE_WAIT_S}}
    timeout = {"connect_timeout": _CONNECT_S} if url.drivername.partition("+")[2] in _BY_CONNECT_TIMEOUT else {}
    # pool_pre_ping: replaces a connection that the server has closed.
    return {"connect_args": timeout, "pool_pre_ping": True}
