"""Wall-clock time and peak memory of a command, including all processes that it starts."""

from __future__ import annotations

import contextlib
import subprocess
import time

import click
import psutil

SECONDS_BETWEEN_SAMPLES = 2.0
TITLES = 12  # process titles printed


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def main(command: tuple[str, ...]) -> None:
    """Run COMMAND, then print its time and the peak memory of it and its descendants together.

    Below that: the process titles that held most of the memory, and the number of processes of each title. Memory is
    the proportional set size: shared pages count once. Linux only. Sampled every two seconds.

    \b
    python benchmarks/peak.py -- python ablations/run.py --drop gmp
    """
    begun, peak = time.perf_counter(), 0
    at_peak: dict[str, list[int]] = {}
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            memory = memory_by_title(psutil.Process(process.pid))
            total = sum(map(sum, memory.values()))
            peak, at_peak = (total, memory) if total > peak else (peak, at_peak)
            time.sleep(SECONDS_BETWEEN_SAMPLES)
    minutes, seconds = divmod(round(time.perf_counter() - begun), 60)
    used = f"{minutes} min {seconds} s, {peak / 2**30:.2f} GiB"
    click.echo(f"{' '.join(command)}: exit status {process.returncode}, {used}")
    for title, sizes in sorted(at_peak.items(), key=lambda item: -sum(item[1]))[:TITLES]:
        click.echo(f"  {sum(sizes) / 2**20:6,.0f} MiB  {len(sizes):2} x {title}")


def memory_by_title(root: psutil.Process) -> dict[str, list[int]]:
    """Bytes of a process and each of its descendants, by title."""
    memory: dict[str, list[int]] = {}
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                memory.setdefault(_title(process), []).append(process.memory_full_info().pss)
    return memory


def _title(process: psutil.Process) -> str:
    """Title that a Ray worker gives itself (`ray::...`), or the program's name."""
    first = " ".join(process.cmdline()).partition(" ")[0]
    return first if first.startswith("ray::") else str(process.name())


if __name__ == "__main__":
    main()
