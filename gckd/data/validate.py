"""`gckd data check`: what is wrong with a dataset, or with a pair of them, before anybody trains on it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from gckd.data.formats import FORMATS, Counts
from gckd.data.images import Progress, confine, in_parallel, inspect
from gckd.data.readers import read_annotations
from gckd.data.types import SPLITS, Annotations, Record

NEAR = 0.2  # a dataset within this share of the published size is taken for a copy of the published one
EXAMPLES = 5  # findings of one kind name at most so many cases


@dataclass(frozen=True)
class Finding:
    """One thing to look into, in one line."""

    dataset: str  # its annotation file, or both
    kind: str  # "counts", "image", "caption", "identity" or "duplicate"
    text: str


@dataclass(frozen=True)
class SplitRow:
    """One line of the counts table."""

    dataset: str
    split: str
    counts: Counts
    published: Counts | None


@dataclass(frozen=True)
class CheckResult:
    """All that `check` has to say."""

    rows: list[SplitRow]
    findings: list[Finding]
    notes: list[str]


def check(spec_a: str, spec_b: str | None = None, *, progress: Progress | None = None) -> CheckResult:
    """Reads every image of one or two datasets and reports what would spoil an experiment.

    Raises:
        InputError: a dataset cannot be read at all, or an image lies outside its folder.
    """
    datasets = [read_annotations(spec) for spec in (spec_a, spec_b) if spec is not None]
    result = CheckResult([], [], [f"{ann.file}: {note}" for ann in datasets for note in ann.notes])
    pictures = []
    for ann in datasets:
        result.rows.extend(_rows(ann))
        seen, problems = _pictures(ann, progress)
        pictures.append(seen)
        name = str(ann.file)
        found = {"counts": _count_problems(ann), "image": problems, "caption": _empty_captions(ann)}
        found |= {"identity": _shared_identities(ann), "duplicate": _shared_pictures(seen)}
        result.findings.extend(Finding(name, kind, text) for kind, texts in found.items() for text in texts)
    if len(datasets) == 2:
        pair = " and ".join(str(ann.file) for ann in datasets)
        texts = _across(pictures[0], pictures[1])
        result.findings.extend(Finding(pair, "duplicate", text) for text in texts)
    return result


def split_counts(ann: Annotations) -> dict[str, Counts]:
    """Images, identities and captions of each split."""
    counts = {}
    for split in SPLITS:
        records = [r for r in ann.records if r.split == split]
        captions = sum(len(r.captions) for r in records)
        counts[split] = Counts(len(records), len({r.identity for r in records}), captions)
    return counts


def published_match(ann: Annotations) -> str | None:
    """The format's name if every split counts exactly what is published for it, else None.

    Where the published dataset has no val split, val counts as the part of train that it was held out of.
    """
    return ann.format if not _differences(ann) else None


def _compared(ann: Annotations) -> dict[str, Counts]:
    """The splits as published: val joined to train where no val split was published."""
    if FORMATS[ann.format].has_val:
        return split_counts(ann)
    joined = [Record(r.image, r.captions, r.identity, "test" if r.split == "test" else "train") for r in ann.records]
    return split_counts(Annotations(ann.format, ann.file, ann.images, tuple(joined)))


def _differences(ann: Annotations) -> list[str]:
    ours, texts = _compared(ann), []
    for split, published in FORMATS[ann.format].published.items():
        for what in ("images", "identities", "captions"):
            expected, found = getattr(published, what), getattr(ours[split], what)
            if expected is not None and expected != found:
                texts.append(f"{split} has {found:,} {what}, the published {ann.format} {expected:,}")
    return texts


def _count_problems(ann: Annotations) -> list[str]:
    """Differences count as findings only where the size says that this is meant to be the published dataset."""
    size = sum(counts.images for counts in FORMATS[ann.format].published.values())
    return _differences(ann) if abs(len(ann.records) - size) <= NEAR * size else []


def _rows(ann: Annotations) -> Iterable[SplitRow]:
    published = FORMATS[ann.format].published
    return (SplitRow(str(ann.file), split, counts, published.get(split)) for split, counts in split_counts(ann).items())


def _pictures(ann: Annotations, progress: Progress | None) -> tuple[dict[str, list[Record]], list[str]]:
    """Records by the hash of their pixels, and one line for each image that cannot be read."""
    confine(ann.images, [r.image for r in ann.records])
    paths = [ann.images / r.image for r in ann.records]
    seen: dict[str, list[Record]] = defaultdict(list)
    problems = []
    for record, path, found in zip(ann.records, paths, in_parallel(inspect, paths, None, progress), strict=True):
        if found.problem:
            problems.append(f"{path}: {found.problem}")
        else:
            seen[found.pixels].append(record)
    return seen, problems


def _empty_captions(ann: Annotations) -> list[str]:
    without = [r.image for r in ann.records if not r.captions]
    blank = [r.image for r in ann.records if any(not c.strip() for c in r.captions)]
    texts = [f"{len(without):,} images have no caption: {_some(without)}"] if without else []
    return [*texts, f"{len(blank):,} images have an empty caption: {_some(blank)}"] if blank else texts


def _shared_identities(ann: Annotations) -> list[str]:
    members = {split: {r.identity for r in ann.records if r.split == split} for split in SPLITS}
    texts = []
    for one, other in combinations(SPLITS, 2):
        shared = sorted(members[one] & members[other])
        if shared:
            texts.append(f"{len(shared):,} identities are in {one} and in {other}: {_some(map(str, shared))}")
    return texts


def _shared_pictures(seen: dict[str, list[Record]]) -> list[str]:
    """Identical pictures in two splits leak; identical pictures of two identities are labelling errors."""
    across = [same for same in seen.values() if len({r.split for r in same}) > 1]
    confused = [same for same in seen.values() if len({r.identity for r in same}) > 1]
    texts = []
    for groups, what in ((across, "in several splits"), (confused, "of several identities")):
        if groups:
            named = _some(" = ".join(r.image for r in same) for same in groups)
            texts.append(f"{len(groups):,} pictures are {what}: {named}")
    return texts


def _across(one: dict[str, list[Record]], other: dict[str, list[Record]]) -> list[str]:
    """Identical pictures in two datasets, one line for each pair of splits."""
    places: dict[tuple[str, str], list[str]] = defaultdict(list)
    for pixels in one.keys() & other.keys():
        a, b = one[pixels][0], other[pixels][0]
        places[a.split, b.split].append(f"{a.image} = {b.image}")
    sizes = Counter({where: len(named) for where, named in places.items()})
    return [
        f"{size:,} pictures of the first dataset's {a} are in the second's {b}: {_some(sorted(places[a, b]))}"
        for (a, b), size in sorted(sizes.items())
    ]


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - EXAMPLES:,} more" if len(listed) > EXAMPLES else ""
    return ", ".join(listed[:EXAMPLES]) + more
