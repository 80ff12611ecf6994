"""Ctrl-C and SIGTERM handlers that let a command save its work and clean up."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

_STDERR = 2
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_requested = threading.Event()


def request_interruption() -> None:
    """Interrupt this process as a signal does, also in threads other than the main one, which receive no signals."""
    _requested.set()


def stop_on_sigterm() -> None:
    """Let SIGTERM raise KeyboardInterrupt, as Ctrl-C does, so that the same clean-up runs."""

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


class Interruption:
    """Deferred interruption: inside its block, a signal raises KeyboardInterrupt at the next `check`, not at once.

    An exception that a signal handler raises inside Ray's C++ callbacks is lost, and one inside an import leaves a half
    imported module. A second signal raises at once. Outside the main thread the block changes nothing.
    """

    def __init__(self) -> None:
        self._signalled = False
        self._former: dict[signal.Signals, Callable[[int, FrameType | None], Any] | int | None] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._former = {number: signal.getsignal(number) for number in _SIGNALS}
            self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if threading.current_thread() is threading.main_thread():
            for number, former in self._former.items():
                signal.signal(number, former)

    def listen(self) -> None:
        """Install the handlers, also after a library has replaced them."""
        for number in _SIGNALS:
            signal.signal(number, self._handle)

    def ignore(self) -> None:
        """Ignore signals from here on, during clean-up."""
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    @property
    def received(self) -> bool:
        """Whether a signal was received, or an interruption requested."""
        return self._signalled or _requested.is_set()

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal was received, or an interruption requested."""
        if self.received:
            raise KeyboardInterrupt

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self.check()
        self._signalled = True
        os.write(_STDERR, b"stopping; press Ctrl-C again to stop at once\n")  # print is not reentrant
