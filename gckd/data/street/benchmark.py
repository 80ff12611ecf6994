"""The street benchmark on disk, in the formats of the three real datasets, complete or absent."""

import json
import os
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gckd.data.street.arguments import METADATA, check_arguments, existing_counts
from gckd.data.street.domains import DOMAINS
from gckd.data.street.drawing import Entry, drawing_jobs
from gckd.data.street.process_pool import draw_all
from gckd.data.types import SplitCounts
from gckd.storage import atomic

if TYPE_CHECKING:
    from gckd.data.types import ItemProgress

GENERATOR = 6  # increase with every change that alters a written byte
# Of the default benchmark. No setting was chosen on it; LOG.md names the seeds of development.
SEED = 1
SHIFT = 0.25  # default gap between the domains

_CountsInFile = dict[str, dict[str, dict[str, int]]]  # domain -> split -> ids, images, captions


@dataclass(frozen=True, slots=True)
class Street:
    """A street benchmark on disk. Each domain is a dataset in the folder `root / domain`."""

    root: Path
    counts: dict[str, dict[str, SplitCounts]]  # domain -> split -> size


def make_street(
    root: str | os.PathLike[str],
    *,
    ids: int = 1200,
    shift: float = SHIFT,
    seed: int = SEED,
    domains: Sequence[str] = tuple(DOMAINS),
    workers: int | None = None,
    progress: "ItemProgress | None" = None,
) -> Street:
    """Draw the street benchmark in the folder `root`, which appears only once it is complete.

    Args:
        root: folder to make. If it holds a street with the same arguments, nothing is drawn.
        ids: train identities per domain (RSTPReid gets a third). `ids // 4` more, at least 8, are for test, and
            `ids // 12`, at least 4, for val; a domain without a val split adds the latter to train.
        shift: gap between the domains, from 0 (same cameras, words and frequencies) to 1 (severe).
        seed: random seed. Equal arguments give equal bytes, whatever `workers` and the other domains are.
        domains: names of the datasets to write, from `gckd.data.street.domains.DOMAINS`.
        workers: processes that draw; None for one per core. No `__main__` guard is needed.
        progress: called with (images drawn, images in total).

    Raises:
        InputError: an argument is out of range, or `root` holds anything else.
        OSError: the folder cannot be written.
    """
    root = Path(root)
    workers = (os.cpu_count() or 1) if workers is None else workers
    check_arguments(ids=ids, shift=shift, seed=seed, domains=domains, workers=workers)
    # In the order of DOMAINS, because the order of the argument makes no other street.
    names = [name for name in DOMAINS if name in domains]
    arguments = {"generator": GENERATOR, "ids": ids, "shift": float(shift), "seed": seed, "domains": names}
    counts = existing_counts(root, arguments)
    if counts is None:
        counts = _make(root, arguments, workers, progress)
    return Street(root, {name: _split_counts(splits) for name, splits in counts.items()})


def _make(root: Path, arguments: dict[str, Any], workers: int, progress: "ItemProgress | None") -> _CountsInFile:
    """Draw into a temporary folder beside `root`, then rename it."""
    with atomic.making(root, f".{root.name}.making-{os.getpid()}") as folder:
        counts = _draw_domains(folder, arguments, workers, progress)
        atomic.write(folder / METADATA, json.dumps({**arguments, "counts": counts}, indent=1) + "\n")
    return counts


def _draw_domains(
    folder: Path, arguments: dict[str, Any], workers: int, progress: "ItemProgress | None"
) -> _CountsInFile:
    """Write the images and annotation files of every domain."""
    names = arguments["domains"]
    jobs = drawing_jobs(folder, arguments["ids"], arguments["shift"], arguments["seed"], names)
    total = sum(DOMAINS[job.domain].images * len(job.people) for job in jobs)
    entries_of: dict[int, list[Entry]] = {}
    # Closed before an error leaves here: a process that still draws would recreate the folder that the caller removes.
    with closing(draw_all(jobs, workers)) as finished:
        for index, entries in finished:
            entries_of[index] = entries
            if progress:
                progress(sum(map(len, entries_of.values())), total)
    counts = {}
    for name in names:
        entries = [entry for index, job in enumerate(jobs) if job.domain == name for entry in entries_of[index]]
        atomic.write(folder / name / DOMAINS[name].json_name, json.dumps(entries) + "\n")
        counts[name] = _count(entries)
    return counts


def _count(entries: Iterable[Entry]) -> dict[str, dict[str, int]]:
    """Number of identities, images and captions per split, as written to the metadata."""
    splits: dict[str, list[Entry]] = {}
    for entry in entries:
        splits.setdefault(entry["split"], []).append(entry)
    return {
        split: {
            "ids": len({entry["id"] for entry in members}),
            "images": len(members),
            "captions": sum(len(entry["captions"]) for entry in members),
        }
        for split, members in splits.items()
    }


def _split_counts(splits: dict[str, dict[str, int]]) -> dict[str, SplitCounts]:
    return {split: SplitCounts(n["images"], n["ids"], n["captions"]) for split, n in splits.items()}
