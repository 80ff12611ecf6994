"""Worker process that draws the jobs sent to it: `python -m gckd.data.street.worker`, pickled jobs on standard input.

multiprocessing would import the caller's script anew in each worker, so that a script would need a `__main__` guard.
"""

from __future__ import annotations

import pickle
import signal
import sys

from gckd.data.street.write import draw


def main() -> None:
    """Draw jobs until standard input ends; the parent process handles Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            job = pickle.load(sys.stdin.buffer)  # noqa: S301 (written by the parent process)
        except EOFError:
            return
        pickle.dump(draw(job), sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
