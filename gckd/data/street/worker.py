"""Process that draws for `gckd.data.street.process_pool`; run as `python -m gckd.data.street.worker`.

Reads pickled jobs from standard input and writes the pickled entries, or the exception, of each to standard output.
It ends with its input.
"""

import pickle
import signal
import sys

from gckd.data.street.drawing import draw


def main() -> None:
    """Draw jobs until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends the input
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            job = pickle.load(requests)  # noqa: S301
        except EOFError:
            return
        try:
            reply: object = draw(job)
        except Exception as error:  # raised again in the parent process
            reply = error
        pickle.dump(reply, replies)
        replies.flush()


if __name__ == "__main__":
    main()
