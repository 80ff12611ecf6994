"""Ctrl-C and SIGTERM, taken where they can be cleaned up after."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

_STDERR = 2
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def stop_on_sigterm() -> None:
    """SIGTERM ends this process the way Ctrl-C does: by KeyboardInterrupt, so that everything is cleaned up."""

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


class Interruption:
    """Notes a signal inside its block instead of raising in the middle of it.

    An exception that a signal raises inside Ray's C++ callbacks gets lost there; one that it raises inside a half-done
    import cannot be cleaned up after. So the block asks, where it is safe. A second signal does not wait: it raises.
    """

    def __init__(self) -> None:
        self._came = False
        self._before: dict[signal.Signals, Callable[[int, FrameType | None], Any] | int | None] = {}

    def __enter__(self) -> Interruption:
        self._before = {number: signal.getsignal(number) for number in _SIGNALS}
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, former in self._before.items():
            signal.signal(number, former)

    def listen(self) -> None:
        """Takes the signals (back): a library may have put in its own handlers since."""
        for number in _SIGNALS:
            signal.signal(number, self._note)

    def ignore(self) -> None:
        """From here on nothing interrupts the block: it is cleaning up."""
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def check(self) -> None:
        """Raises KeyboardInterrupt if a signal came."""
        if self._came:
            raise KeyboardInterrupt

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.check()
        self._came = True
        os.write(_STDERR, b"stopping; once more to stop at once\n")  # print could be inside a print
