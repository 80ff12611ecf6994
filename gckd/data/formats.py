"""The dataset formats: how each lies on disk, and the statistics published for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Counts:
    """Size of a split; `captions` is None where no publication states it."""

    images: int
    identities: int
    captions: int | None = None


@dataclass(frozen=True)
class Format:
    """One dataset format: a JSON list of entries beside an `imgs/` folder."""

    name: str  # as in FORMAT:PATH
    files: tuple[str, ...]  # accepted names of the annotation file
    path_field: str  # field of an entry that holds the image path
    published: Mapping[str, Counts] = field(hash=False)  # split -> statistics of the published dataset
    has_val: bool = True  # False: where a file has no val split, one is held out of train


FORMATS = {
    f.name: f
    for f in (
        Format(
            name="cuhk-pedes",
            files=("reid_raw.json",),
            path_field="file_path",
            published={
                "train": Counts(34_054, 11_003, 68_126),
                "val": Counts(3_078, 1_000, 6_158),
                "test": Counts(3_074, 1_000, 6_156),
            },
        ),
        Format(
            name="icfg-pedes",
            files=("ICFG-PEDES.json", "ICFG_PEDES.json"),
            path_field="file_path",
            published={"train": Counts(34_674, 3_102), "test": Counts(19_848, 1_000, 19_848)},
            has_val=False,
        ),
        Format(
            name="rstpreid",
            files=("data_captions.json",),
            path_field="img_path",
            published={
                "train": Counts(18_505, 3_701),
                "val": Counts(1_000, 200),
                "test": Counts(1_000, 200, 2_000),
            },
        ),
    )
}
