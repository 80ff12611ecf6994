"""Wall-clock time and peak memory of a command with all the processes it starts."""

from __future__ import annotations

import contextlib
import subprocess
import time

import click
import psutil

SECONDS_BETWEEN_SAMPLES = 2.0


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def main(command: tuple[str, ...]) -> None:
    """Run COMMAND; afterwards print its time and the most memory that it and its descendants held at one time.

    Memory is the proportional set size: pages that several processes share count once. Linux only. Sampled every two
    seconds.

    \b
    python benchmarks/peak.py -- python ablations/run.py --drop gmp
    """
    begun, peak = time.perf_counter(), 0
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            peak = max(peak, held_by(psutil.Process(process.pid)))
            time.sleep(SECONDS_BETWEEN_SAMPLES)
    minutes, seconds = divmod(round(time.perf_counter() - begun), 60)
    used = f"{minutes} min {seconds} s, {peak / 2**30:.2f} GiB"
    click.echo(f"{' '.join(command)}: exit status {process.returncode}, {used}")


def held_by(root: psutil.Process) -> int:
    """Bytes of a process and its descendants."""
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += process.memory_full_info().pss
    return total


if __name__ == "__main__":
    main()
