"""Wall-clock time and peak memory of a command with all the processes it starts."""

from __future__ import annotations

import contextlib
import subprocess
import time

import click
import psutil

SECONDS_BETWEEN_SAMPLES = 2.0
TITLES = 12  # printed


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def main(command: tuple[str, ...]) -> None:
    """Run COMMAND; afterwards print its time and the most memory that it and its descendants held at one time.

    Below it: what held most of that, by the titles that processes have, and how many have each. Memory is the
    proportional set size: pages that several processes share count once. Linux only. Sampled every two seconds.

    \b
    python benchmarks/peak.py -- python ablations/run.py --drop gmp
    """
    begun, peak = time.perf_counter(), 0
    most: dict[str, list[int]] = {}
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            held = held_by(psutil.Process(process.pid))
            now = sum(map(sum, held.values()))
            peak, most = (now, held) if now > peak else (peak, most)
            time.sleep(SECONDS_BETWEEN_SAMPLES)
    minutes, seconds = divmod(round(time.perf_counter() - begun), 60)
    used = f"{minutes} min {seconds} s, {peak / 2**30:.2f} GiB"
    click.echo(f"{' '.join(command)}: exit status {process.returncode}, {used}")
    for title, each in sorted(most.items(), key=lambda item: -sum(item[1]))[:TITLES]:
        click.echo(f"  {sum(each) / 2**20:6,.0f} MiB  {len(each):2} x {title}")


def held_by(root: psutil.Process) -> dict[str, list[int]]:
    """Bytes of a process and each of its descendants, by title."""
    found: dict[str, list[int]] = {}
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                found.setdefault(_title(process), []).append(process.memory_full_info().pss)
    return found


def _title(process: psutil.Process) -> str:
    """As a worker of Ray names itself (`ray::...`), or the program's name."""
    first = " ".join(process.cmdline()).partition(" ")[0]
    return first if first.startswith("ray::") else str(process.name())


if __name__ == "__main__":
    main()
