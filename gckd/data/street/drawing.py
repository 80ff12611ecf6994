"""Drawing jobs: the images of some identities of one domain, written to disk, and their annotation entries."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gckd.data.street.attributes import Person
from gckd.data.street.domains import DOMAINS, Domain
from gckd.data.street.population import population
from gckd.data.street.shot import render

JPEG_QUALITY = 92
_IDENTITIES_PER_JOB = 32

Entry = dict[str, Any]  # one image in the annotation file


@dataclass(frozen=True, slots=True)
class Job:
    """Identities of one domain to draw, each as (number, split, person)."""

    root: Path
    domain: str
    people: tuple[tuple[int, str, Person], ...]
    seed: int
    shift: float


def drawing_jobs(root: Path, ids: int, shift: float, seed: int, domains: Iterable[str]) -> list[Job]:
    """Jobs that draw the whole benchmark into `root`; the arguments are those of `make_street`."""
    people = population(seed, shift, max(len(_splits(domain, ids)) for domain in DOMAINS.values()))
    jobs = []
    for name in domains:
        splits = _splits(DOMAINS[name], ids)
        rows = tuple(zip(range(len(splits)), splits, people[name], strict=False))
        starts = range(0, len(rows), _IDENTITIES_PER_JOB)
        jobs += [Job(root, name, rows[start : start + _IDENTITIES_PER_JOB], seed, shift) for start in starts]
    return jobs


def draw(job: Job) -> list[Entry]:
    """Write the images of a job and return their entries in order."""
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
                entry["processed_tokens"] = [_words(caption) for caption in shot.captions]
            entries.append(entry)
    return entries


def _splits(domain: Domain, ids: int) -> list[str]:
    """Split of each identity in turn. A domain without a val split adds these identities to train."""
    val, test = max(4, ids // 12), max(8, ids // 4)
    return ["train"] * round(ids * domain.train_share) + ["val" if domain.has_val else "train"] * val + ["test"] * test


def _image_path(domain: Domain, split: str, identity: int, camera: int, image: int) -> str:
    """Path of an image below `imgs/`, in the pattern of the real dataset."""
    if domain.name == "CUHK-PEDES":
        return f"cam_{'abcdef'[camera]}/{identity:04d}_{image + 1:03d}.jpg"
    if domain.name == "ICFG-PEDES":
        return f"{split}/{identity:04d}/{identity:04d}_{camera:03d}_{image:02d}_0303street_{image:04d}_0.jpg"
    return f"{identity:04d}_c{camera + 1}_{image:04d}.jpg"


def _words(caption: str) -> list[str]:
    return re.findall(r"[a-z]+(?:-[a-z]+)*", caption)
