"""Checks of one or two datasets before training, for `gckd data check`."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import combinations, product
from pathlib import Path

from gckd.data.annotations import read_annotations
from gckd.data.caption_check import caption_problems, examples
from gckd.data.image_problems import image_problems
from gckd.data.images import confine, in_parallel, inspect_picture
from gckd.data.near_copies import Picture, near_copies
from gckd.data.plain_folder import without_identities
from gckd.data.readers import READERS
from gckd.data.store import Store
from gckd.data.types import SPLITS, Annotations, ItemProgress, Record, SplitCounts
from gckd.errors import InputError

NEAR = 0.2  # a dataset within this share of the published number of images counts as a copy of the published one

RecordsByPixels = dict[Picture, list[Record]]  # decoded picture -> records


@dataclass(frozen=True)
class DatasetProblem:
    """One problem of a dataset, in one line."""

    dataset: str  # annotation file, or both files
    kind: str  # "counts", "image", "caption", "identity" or "duplicate"
    text: str


@dataclass(frozen=True)
class SplitRow:
    """One row of the table of counts."""

    dataset: str  # annotation file
    format: str
    split: str
    counts: SplitCounts
    published: SplitCounts | None  # None where no size is published


@dataclass(frozen=True)
class CheckResult:
    """Counts, problems and notes of the checked datasets."""

    rows: list[SplitRow]
    problems: list[DatasetProblem]
    notes: list[str]


def check(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str] | None = None,
    *,
    progress: ItemProgress | None = None,
) -> CheckResult:
    """Read every image of one or two datasets and report problems that would spoil an experiment.

    Args:
        first: PATH or FORMAT:PATH.
        second: PATH or FORMAT:PATH of a dataset to compare with the first.
        progress: called with (images done, images in total), per dataset.

    Raises:
        InputError: a dataset cannot be read at all, both are the same, or an image lies outside its folder.
    """
    datasets = [read_annotations(spec) for spec in (first, second) if spec is not None]
    if len({dataset.file for dataset in datasets}) < len(datasets):
        raise InputError(f"dataset {second!r}: is the first dataset again ({datasets[0].file}); give another")
    result = CheckResult([], [], [f"{dataset.file}: {note}" for dataset in datasets for note in dataset.notes])
    pictures = []
    for dataset in datasets:
        result.rows.extend(_rows(dataset))
        readable, unreadable = _inspect_pictures(dataset, progress)
        pictures.append(readable)
        named = without_identities(len(dataset.records)) not in dataset.notes
        problems = {
            "counts": _count_problems(dataset),
            "image": unreadable,
            "caption": [*_empty_captions(dataset), *caption_problems(dataset.records, named)],
            "identity": _shared_identities(dataset),
            "duplicate": [*_shared_pictures(readable, named), *_shared_near_copies(readable, named)],
        }
        file = str(dataset.file)
        result.problems.extend(DatasetProblem(file, kind, text) for kind, texts in problems.items() for text in texts)
    if len(datasets) == 2:
        files = " and ".join(str(dataset.file) for dataset in datasets)
        texts = [*_pictures_in_both(*pictures), *_near_copies_in_both(*pictures)]
        result.problems.extend(DatasetProblem(files, "duplicate", text) for text in texts)
    return result


def split_counts(annotations: Annotations) -> dict[str, SplitCounts]:
    """Number of images, identities and captions of each split."""
    counts = {}
    for split in SPLITS:
        records = [record for record in annotations.records if record.split == split]
        captions = sum(len(record.captions) for record in records)
        counts[split] = SplitCounts(len(records), len({record.identity for record in records}), captions)
    return counts


def published_match(annotations: Annotations) -> str | None:
    """Format name if every published count is met exactly; None otherwise, or if none is published.

    Where the published dataset has no val split, val is counted as train, from which it was held out.
    """
    published = READERS[annotations.format].published
    return annotations.format if published and not _differences(annotations) else None


def uses_published_counts(store: Store) -> bool:
    """Whether the images and captions that a store holds meet every published count of its format.

    Broken images and empty captions that were left out count as missing.
    """
    reader = READERS.get(store.format)
    counts = {split: SplitCounts(**numbers) for split, numbers in store.counts.items()}
    if reader is None or not reader.published:
        return False
    if reader.val_from_train:
        counts["train"] = _sum(counts["train"], counts["val"])
    return all(
        expected in (None, getattr(counts[split], unit))
        for split, published in reader.published.items()
        for unit, expected in vars(published).items()
    )


def _sum(first: SplitCounts, second: SplitCounts) -> SplitCounts:
    """Counts of two splits without common identities."""
    captions = (first.captions or 0) + (second.captions or 0)
    return SplitCounts(first.images + second.images, first.identities + second.identities, captions)


def _counts_as_published(annotations: Annotations) -> dict[str, SplitCounts]:
    """Counts per split; val is counted as train where it was held out of train."""
    if not READERS[annotations.format].val_from_train:
        return split_counts(annotations)
    records = tuple(
        replace(record, split="train") if record.split == "val" else record for record in annotations.records
    )
    return split_counts(replace(annotations, records=records))


def _differences(annotations: Annotations) -> list[str]:
    counts, texts = _counts_as_published(annotations), []
    for split, published in READERS[annotations.format].published.items():
        for unit in ("images", "identities", "captions"):
            expected, actual = getattr(published, unit), getattr(counts[split], unit)
            follows = unit == "captions" and counts[split].images != published.images  # one cause, one line
            if expected is not None and expected != actual and not follows:
                texts.append(f"{split} has {actual:,} {unit}, the published {annotations.format} {expected:,}")
    return texts


def _count_problems(annotations: Annotations) -> list[str]:
    """Differences from the published counts, if the size suggests that this is meant to be the published dataset."""
    size = sum(counts.images for counts in READERS[annotations.format].published.values())
    return _differences(annotations) if abs(len(annotations.records) - size) <= NEAR * size else []


def _rows(annotations: Annotations) -> Iterable[SplitRow]:
    file, published = str(annotations.file), READERS[annotations.format].published
    return (
        SplitRow(file, annotations.format, split, counts, published.get(split))
        for split, counts in split_counts(annotations).items()
    )


def _inspect_pictures(annotations: Annotations, progress: ItemProgress | None) -> tuple[RecordsByPixels, list[str]]:
    """Records by their pictures, and one line for each cause for which images cannot be read."""
    confine(annotations.images, [record.image for record in annotations.records])
    paths = [annotations.images / record.image for record in annotations.records]
    readable: RecordsByPixels = defaultdict(list)
    problems: dict[str, str] = {}
    inspections = in_parallel(_inspect_picture, paths, None, progress)
    for record, inspected in zip(annotations.records, inspections, strict=True):
        if isinstance(inspected, str):
            problems[record.image] = inspected
        else:
            readable[inspected].append(record)
    return readable, image_problems(annotations.images, problems)


def _inspect_picture(path: Path) -> Picture | str:
    """The picture in a file, or its problem."""
    inspection, picture = inspect_picture(path)
    return inspection.problem if picture is None else Picture.of(inspection.pixel_hash, picture)


def _empty_captions(annotations: Annotations) -> list[str]:
    without = [record.image for record in annotations.records if not record.captions]
    blank = [record.image for record in annotations.records if any(not caption.strip() for caption in record.captions)]
    texts = [f"{len(without):,} images have no caption: {examples(without)}"] if without else []
    return [*texts, f"{len(blank):,} images have an empty caption: {examples(blank)}"] if blank else texts


def _shared_identities(annotations: Annotations) -> list[str]:
    identities = {
        split: {record.identity for record in annotations.records if record.split == split} for split in SPLITS
    }
    texts = []
    for a, b in combinations(SPLITS, 2):
        shared = sorted(identities[a] & identities[b])
        if shared:
            texts.append(f"{len(shared):,} identities are in {a} and in {b}: {examples(map(str, shared))}")
    return texts


def _shared_pictures(pictures: RecordsByPixels, named: bool) -> list[str]:
    """Identical pictures in two splits leak labels, of two identities are labelling errors; others count twice.

    Args:
        named: whether the dataset names identities; otherwise each image is its own.
    """
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    repeated: dict[str, list[str]] = defaultdict(list)  # split -> pictures
    for records in pictures.values():
        for a, b in combinations(_one_per_split(records), 2):
            names[a.split, b.split].append(f"{a.image} = {b.image}")
        images: dict[tuple[str, int], dict[str, None]] = defaultdict(dict)
        for record in records:
            images[record.split, record.identity if named else 0][record.image] = None
        for (split, _), paths in images.items():
            if len(paths) > 1:
                repeated[split].append(" = ".join(paths))
    texts = [
        f"{len(same):,} pictures of {a} are in {b} too: {examples(sorted(same))}" for (a, b), same in names.items()
    ]
    texts += [
        f"{len(same):,} pictures are in {split} under several paths: {examples(sorted(same))}"
        for split, same in repeated.items()
    ]
    of_identities = [records for records in pictures.values() if len({record.identity for record in records}) > 1]
    if named and of_identities:
        listed = examples(" = ".join(record.image for record in records) for records in of_identities)
        texts.append(f"{len(of_identities):,} pictures are of several identities: {listed}")
    return texts


def _pictures_in_both(first: RecordsByPixels, second: RecordsByPixels) -> list[str]:
    """Identical pictures in two datasets, one line for each pair of splits."""
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    for picture in first.keys() & second.keys():
        for a, b in product(_one_per_split(first[picture]), _one_per_split(second[picture])):
            names[a.split, b.split].append(f"{a.image} = {b.image}")
    return [
        f"{len(same):,} pictures of the first dataset's {a} are in the second's {b}: {examples(sorted(same))}"
        for (a, b), same in sorted(names.items())
    ]


def _shared_near_copies(pictures: RecordsByPixels, named: bool) -> list[str]:
    """Near copies in two splits, and of two named identities; the same pixels are left to `_shared_pictures`."""
    listed = list(pictures)
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    of_identities = []
    for i, j in near_copies(listed, listed):
        if i >= j:
            continue
        first, second = pictures[listed[i]], pictures[listed[j]]
        for a, b in product(_one_per_split(first), _one_per_split(second)):
            if a.split != b.split:
                a, b = _in_split_order([a, b])
                names[a.split, b.split].append(f"{a.image} ~ {b.image}")
        if named and {record.identity for record in first} != {record.identity for record in second}:
            of_identities.append(f"{first[0].image} ~ {second[0].image}")
    copies = "near copies (resized or encoded again)"
    texts = [
        f"{len(same):,} {copies} of {a} are in {b} too: {examples(sorted(same))}" for (a, b), same in names.items()
    ]
    if of_identities:
        texts.append(f"{len(of_identities):,} {copies} are of several identities: {examples(of_identities)}")
    return texts


def _near_copies_in_both(first: RecordsByPixels, second: RecordsByPixels) -> list[str]:
    """Near copies in two datasets, one line for each pair of splits."""
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    firsts, seconds = list(first), list(second)
    for i, j in near_copies(firsts, seconds):
        a, b = first[firsts[i]][0], second[seconds[j]][0]
        names[a.split, b.split].append(f"{a.image} ~ {b.image}")
    return [
        f"{len(pairs):,} pictures of the first dataset's {a} have near copies (resized or encoded again) in the "
        f"second's {b}: {examples(pairs)}"
        for (a, b), pairs in sorted(names.items())
    ]


def _one_per_split(records: list[Record]) -> list[Record]:
    """The first record of each split, in the order of `SPLITS`."""
    return _in_split_order({record.split: record for record in reversed(records)}.values())


def _in_split_order(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda record: SPLITS.index(record.split))
