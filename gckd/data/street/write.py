"""Writing a street to disk in the three real datasets' formats, all or nothing."""

import json
import os
import pickle
import queue
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gckd.data.street.attributes import Person
from gckd.data.street.check import check_arguments, holds_same_street
from gckd.data.street.domains import DOMAINS, Domain
from gckd.data.street.people import population
from gckd.data.street.render import render
from gckd.data.types import SplitCounts

GENERATOR = 6  # raise it with every change that alters a byte of what is written
SHIFT = 0.25  # gap between the domains if none is asked for
JPEG_QUALITY = 92
_CHUNK = 32  # identities a job

Entry = dict[str, Any]
ProgressCallback = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class StreetInfo:
    """What `make_street` left at `root`: domain -> split -> counts."""

    root: Path
    counts: dict[str, dict[str, SplitCounts]]


@dataclass(frozen=True, slots=True)
class Job:
    """Some identities of one domain to draw: (number, split, person) each."""

    root: Path
    domain: str
    people: tuple[tuple[int, str, Person], ...]
    seed: int
    shift: float


def _splits(domain: Domain, ids: int) -> list[str]:
    """The split of each identity in turn. Without a val split, its identities are train's."""
    val, test = max(4, ids // 12), max(8, ids // 4)
    return ["train"] * round(ids * domain.train_share) + ["val" if domain.has_val else "train"] * val + ["test"] * test


def _image_path(domain: Domain, split: str, identity: int, camera: int, image: int) -> str:
    """The image's path below `imgs/`, shaped as in the real dataset."""
    if domain.name == "CUHK-PEDES":
        return f"cam_{'abcdef'[camera]}/{identity:04d}_{image + 1:03d}.jpg"
    if domain.name == "ICFG-PEDES":
        return f"{split}/{identity:04d}/{identity:04d}_{camera:03d}_{image:02d}_0303street_{image:04d}_0.jpg"
    return f"{identity:04d}_c{camera + 1}_{image:04d}.jpg"


def _tokens(caption: str) -> list[str]:
    return re.findall(r"[a-z]+(?:-[a-z]+)*", caption)


def draw(job: Job) -> list[Entry]:
    """Writes the job's images; returns their entries in order."""
    domain = DOMAINS[job.domain]
    entries: list[Entry] = []
    for number, split, person in job.people:
        for image in range(domain.images):
            shot = render(person, domain.name, number, image, seed=job.seed, shift=job.shift)
            identity = domain.first_id + number
            path = _image_path(domain, split, identity, shot.camera, image)
            file = job.root / domain.name / "imgs" / path
            if image == 0 or domain.name == "CUHK-PEDES":
                file.parent.mkdir(parents=True, exist_ok=True)
            shot.picture.save(file, quality=JPEG_QUALITY)
            entry: Entry = {"id": identity, domain.path_field: path, "captions": shot.captions, "split": split}
            if domain.has_tokens:
                entry["processed_tokens"] = [_tokens(caption) for caption in shot.captions]
            entries.append(entry)
    return entries


class _Worker:
    """Process that draws the jobs it is sent, one at a time."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "gckd.data.street.worker"]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
        self._process = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )

    def draw(self, job: Job) -> list[Entry]:
        """Entries of the job.

        Raises:
            EOFError, BrokenPipeError: the process ended, for the reason on its standard error.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        pickle.dump(job, self._process.stdin)
        self._process.stdin.flush()
        entries: list[Entry] = pickle.load(self._process.stdout)  # noqa: S301 (written by our own process)
        return entries

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()


def _run(jobs: Sequence[Job], workers: int) -> Generator[tuple[int, list[Entry]], None, None]:
    """Index and entries of each job, in any order. One worker draws in this process."""
    if workers == 1:
        yield from ((i, draw(job)) for i, job in enumerate(jobs))
        return
    started = [_Worker() for _ in range(min(workers, len(jobs)))]
    idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
    for worker in started:
        idle.put(worker)

    def draw_elsewhere(job: Job) -> list[Entry]:
        worker = idle.get()
        try:
            return worker.draw(job)
        finally:
            idle.put(worker)

    pool = ThreadPoolExecutor(len(started))
    try:
        futures = {pool.submit(draw_elsewhere, job): i for i, job in enumerate(jobs)}
        yield from ((futures[future], future.result()) for future in as_completed(futures))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in started:
            worker.stop()
        pool.shutdown()


def _jobs(folder: Path, ids: int, shift: float, seed: int, domains: Iterable[str]) -> list[Job]:
    people = population(seed, shift, max(len(_splits(domain, ids)) for domain in DOMAINS.values()))
    jobs = []
    for name in domains:
        splits = _splits(DOMAINS[name], ids)
        rows = tuple(zip(range(len(splits)), splits, people[name], strict=False))
        jobs += [Job(folder, name, rows[i : i + _CHUNK], seed, shift) for i in range(0, len(rows), _CHUNK)]
    return jobs


def _count(entries: Sequence[Entry]) -> dict[str, SplitCounts]:
    found = {}
    for split in ("train", "val", "test"):
        rows = [entry for entry in entries if entry["split"] == split]
        if rows:
            ids = {row["id"] for row in rows}
            found[split] = SplitCounts(len(rows), len(ids), sum(len(row["captions"]) for row in rows))
    return found


def _build(folder: Path, arguments: dict[str, Any], workers: int, progress: ProgressCallback | None) -> dict[str, Any]:
    """Draws everything into `folder`; returns the counts as JSON-ready dicts."""
    jobs = _jobs(folder, arguments["ids"], arguments["shift"], arguments["seed"], arguments["domains"])
    total = sum(len(job.people) * DOMAINS[job.domain].images for job in jobs)
    drawn: dict[int, list[Entry]] = {}
    # Closed before an error leaves here: a worker still drawing would bring back the folder its caller removes.
    with closing(_run(jobs, workers)) as results:
        for i, entries in results:
            drawn[i] = entries
            if progress is not None:
                progress(sum(map(len, drawn.values())), total)
    counts = {}
    for name in arguments["domains"]:
        entries = [entry for i, job in enumerate(jobs) if job.domain == name for entry in drawn[i]]
        (folder / name / DOMAINS[name].json_name).write_text(json.dumps(entries) + "\n", encoding="utf-8")
        counts[name] = {
            split: {"ids": count.identities, "images": count.images, "captions": count.captions or 0}
            for split, count in _count(entries).items()
        }
    return counts


def _info(root: Path, counts: dict[str, dict[str, dict[str, int]]]) -> StreetInfo:
    return StreetInfo(
        root,
        {
            name: {split: SplitCounts(n["images"], n["ids"], n["captions"]) for split, n in splits.items()}
            for name, splits in counts.items()
        },
    )


def make_street(
    root: Path,
    *,
    ids: int = 1200,
    shift: float = SHIFT,
    seed: int = 0,
    domains: Sequence[str] = tuple(DOMAINS),
    workers: int = os.cpu_count() or 1,
    progress: ProgressCallback | None = None,
) -> StreetInfo:
    """Draws the street benchmark at `root`; `root` appears only once it is complete.

    Args:
        root: the folder to make. If it already holds this very street, nothing is drawn; any other content is refused.
        ids: train identities a domain (RSTPReid a third); there are `ids // 4` more for test (at least 8) and
            `ids // 12` for val (at least 4), which a domain without a val split adds to train.
        shift: how far the domains are apart: 0 for none (same cameras, words and frequencies), 1 for severe.
        seed: the same arguments give the same bytes, whatever `workers` and the other domains.
        domains: which datasets to write.
        workers: processes that draw; with 1, this process draws.
        progress: called with (images drawn, images in all).
    """
    root = Path(root)
    check_arguments(ids=ids, shift=shift, seed=seed, domains=domains, workers=workers)
    # In the table's order: the order a caller lists domains in is no different street.
    chosen = [name for name in DOMAINS if name in domains]
    arguments = {"generator": GENERATOR, "ids": ids, "shift": float(shift), "seed": seed, "domains": chosen}
    held = holds_same_street(root, arguments)
    if held is not None:
        return _info(root, held)
    root.parent.mkdir(parents=True, exist_ok=True)
    folder = root.parent / f".{root.name}.making-{os.getpid()}"
    try:
        folder.mkdir()
        counts = _build(folder, arguments, workers, progress)
        (folder / "street.json").write_text(json.dumps({**arguments, "counts": counts}, indent=1) + "\n")
        os.replace(folder, root)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return _info(root, counts)
