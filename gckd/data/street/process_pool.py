"""Drawing by several processes, without a `__main__` guard in the caller's script.

`multiprocessing` imports the caller's main module again in every process that it spawns, so a plain script would run
once more in each of them. These processes are started as `python -m gckd.data.street.worker` and import only gckd.
Threads do not help, because drawing holds the interpreter lock.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import SimpleQueue

import gckd
from gckd.data.street.drawing import Entry, Job, draw

Worker = subprocess.Popen[bytes]


def draw_all(jobs: Sequence[Job], workers: int) -> Generator[tuple[int, list[Entry]], None, None]:
    """Index and entries of each job, in order of completion.

    Args:
        workers: number of processes; 1 draws in this process.

    Raises:
        OSError: an image cannot be written.
        RuntimeError: a process died.
    """
    if workers == 1:
        yield from ((index, draw(job)) for index, job in enumerate(jobs))
        return
    with ExitStack() as stack:
        idle: SimpleQueue[Worker] = SimpleQueue()
        for _ in range(min(workers, len(jobs))):
            worker = _start_worker()
            stack.callback(_stop, worker)
            idle.put(worker)
        pool = ThreadPoolExecutor(idle.qsize())  # a thread per process, which waits for its reply
        stack.callback(pool.shutdown, cancel_futures=True)
        futures = {pool.submit(_draw_remotely, idle, job): index for index, job in enumerate(jobs)}
        yield from ((futures[future], future.result()) for future in as_completed(futures))


def _start_worker() -> Worker:
    # The same gckd as in this process, whatever folder it was imported from; -P keeps the working directory out.
    path = os.pathsep.join(filter(None, [str(Path(gckd.__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "gckd.data.street.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path},
    )


def _stop(worker: Worker) -> None:
    """End a worker's input, at which it exits, and wait for it."""
    for pipe in (worker.stdin, worker.stdout):
        assert pipe is not None
        with suppress(BrokenPipeError):  # it died with a job in the pipe
            pipe.close()
    worker.wait()


def _draw_remotely(idle: "SimpleQueue[Worker]", job: Job) -> list[Entry]:
    worker = idle.get()
    assert worker.stdin is not None
    assert worker.stdout is not None
    try:
        pickle.dump(job, worker.stdin)
        worker.stdin.flush()
        reply: list[Entry] | Exception = pickle.load(worker.stdout)  # noqa: S301
    except (EOFError, BrokenPipeError) as error:
        raise RuntimeError(f"a process that draws images ended with exit status {worker.wait()}") from error
    finally:
        idle.put(worker)
    if isinstance(reply, Exception):
        raise reply
    return reply
