"""Where a study is kept: a journal file beside the output, or any database that Optuna knows."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from gckd.errors import InputError, reason_of

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

FILE = "study.journal"
_JOURNAL = "journal:"
_SQLITE = "sqlite"
_HEAD = b'{"op_code":'  # what every line of a journal begins with
_GRACE_S = 10  # a process killed while it writes leaves its lock behind; one write takes milliseconds
_CONNECT_S = 5
_TRIES = 5
_BY_CONNECT_TIMEOUT = ("psycopg", "psycopg2", "pymysql", "mysqldb")


def open_storage(uri: str | None, folder: Path) -> BaseStorage:
    """The storage at `uri`, made if it is not there; it can be pickled.

    Args:
        uri: `journal:PATH`, or the URL of a database (`sqlite:///study.db`, `postgresql+psycopg://host/name`). None:
            the journal file of `folder`. A pickle of the storage holds the whole URL: leave a password to the
            database's own means (PGPASSWORD or ~/.pgpass).
        folder: of the output; it is there.

    Raises:
        InputError: it is no URI, its driver is not installed, it cannot be reached or written, or it holds something
            else; one line, after a few seconds at most.
    """
    if uri is None:
        return _journal(folder / FILE)
    if uri.startswith(_JOURNAL):
        return _journal(Path(uri.removeprefix(_JOURNAL)).absolute())
    if "://" not in uri:
        raise InputError(f"--storage: {uri!r} is neither journal:PATH nor the URL of a database (sqlite:///study.db)")
    try:
        url = sqlalchemy.make_url(uri)
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        raise InputError(f"--storage: {uri!r} is not the URL of a database") from error
    return _database(url)


class _Sqlite(RDBStorage):
    """SQLite: a transaction locks the file when it begins, not at its first write.

    Optuna lets one process alone take a queued trial by SELECT ... FOR UPDATE, which SQLite overlooks: two processes
    could both find the trial waiting, and both run it.
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
    try:
        lock = JournalFileOpenLock(str(file), grace_period=_GRACE_S)
        backend = JournalFileBackend(str(file), lock_obj=lock)
        _mend(file, lock)
        return JournalStorage(backend)
    except OSError as error:
        raise InputError(f"--storage: {file} cannot be written ({reason_of(error)})") from error
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise InputError(f"--storage: {file} is not a journal of Optuna") from error


def _mend(file: Path, lock: JournalFileOpenLock) -> None:
    """Takes away a last line that was cut off.

    A process that is killed or runs out of disk while it writes leaves half a line. Optuna overlooks it until the next
    line is written behind it, and can read nothing of the study from then on.
    """
    lock.acquire()
    try:
        with file.open("r+b") as stream:
            head = stream.read(len(_HEAD))
            if not _HEAD.startswith(head):
                raise ValueError(file)
            stream.seek(0)
            whole = sum(len(line) for line in stream if line.endswith(b"\n"))
            stream.truncate(whole)
    finally:
        lock.release()


def _database(url: URL) -> BaseStorage:
    shown = url.render_as_string(hide_password=True)
    storage = _Sqlite if url.get_backend_name() == _SQLITE else RDBStorage
    for attempt in range(_TRIES):
        try:
            return storage(url.render_as_string(hide_password=False), _engine_options(url))
        except ImportError as error:
            reason = f"its driver is not installed ({error.__cause__ or error})"
            raise InputError(f"--storage: {shown}: {reason}") from error
        except (sqlalchemy.exc.SQLAlchemyError, StorageInternalError, RuntimeError) as error:
            # Two processes that make the tables at once get in each other's way, once.
            if attempt == _TRIES - 1 or isinstance(error, RuntimeError) or not _made_meanwhile(error):
                reason = reason_of(getattr(error, "orig", None) or error)
                raise InputError(f"--storage: {shown}: {reason}") from error
            time.sleep(0.2 * (attempt + 1))
    raise AssertionError("unreachable")


def _made_meanwhile(error: Exception) -> bool:
    found: BaseException | None = error
    while found is not None:
        text = str(found).lower()
        if isinstance(found, sqlalchemy.exc.IntegrityError) or "already exists" in text or "is locked" in text:
            return True
        found = found.__cause__
    return False


def _engine_options(url: URL) -> dict[str, Any]:
    if url.get_backend_name() == _SQLITE:
        return {"connect_args": {"timeout": 30}}  # s that a writer waits for another
    timeout = {"connect_timeout": _CONNECT_S} if url.drivername.partition("+")[2] in _BY_CONNECT_TIMEOUT else {}
    # A connection that the server has closed in the meantime is made anew.
    return {"connect_args": timeout, "pool_pre_ping": True}
