"""Dataset readers: one class per format, registered by the name that users write in FORMAT:PATH.

A reader of your own in a file of your own, loaded with `--plugin FILE`:

    @register_reader("my-csv")
    class CsvReader(DatasetReader):
        annotation_files = ("annotations.csv",)

        def read(self, file: Path) -> Iterator[Record]:
            for row in csv.DictReader(file.open()):
                yield Record(row["image"], (row["caption"],), int(row["identity"]), row["split"])
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from gckd.data.plain_folder import PLAIN_FILES, read_plain_folder
from gckd.data.types import Record, SplitCounts
from gckd.errors import InputError
from gckd.printable import brief, shortened
from gckd.storage.json_text import JsonError, load_json
from gckd.storage.text_file import read_bytes

MAX_BYTES = 2**28  # of an annotation file in JSON


class DatasetReader(ABC):
    """Reader of one dataset format: an annotation file beside a folder of images."""

    annotation_files: ClassVar[tuple[str, ...]]  # names by which the format is recognised in a folder
    image_folder: ClassVar[str] = "imgs"  # beside the annotation file; paths in records are relative to it
    published: ClassVar[Mapping[str, SplitCounts]] = MappingProxyType({})  # split -> published size; may be empty
    val_from_train: ClassVar[bool] = False  # whether train identities are held out as val where a file has no val split
    field_names: ClassVar[Mapping[str, str]] = MappingProxyType({})  # field of Record -> its name in the file, if other

    @abstractmethod
    def read(self, file: Path) -> Iterable[Record]:
        """Records in an annotation file, one per image.

        `gckd.data.annotations.read_annotations` checks every record, so that a reader only has to parse.

        Raises:
            ValueError: `file` is not in this format.
        """

    def read_with_notes(self, file: Path) -> tuple[Iterable[Record], tuple[str, ...]]:
        """Records as `read` returns them, and notes on them that belong below result tables.

        Raises:
            ValueError: `file` is not in this format.
        """
        return self.read(file), ()


READERS: dict[str, DatasetReader] = {}  # format name -> its reader

ReaderT = TypeVar("ReaderT", bound=DatasetReader)


def register_reader(name: str) -> Callable[[type[ReaderT]], type[ReaderT]]:
    """Class decorator that registers a reader under a format name, for automatic recognition and FORMAT:PATH.

    Args:
        name: lower-case letters, digits and hyphens, starting with a letter.

    Raises:
        InputError: `name` is malformed, or another class has it.
    """

    def register(reader: type[ReaderT]) -> type[ReaderT]:
        if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
            raise InputError(f"dataset format {name!r}: expected lower-case letters, digits and hyphens")
        registered = type(READERS[name]) if name in READERS else reader
        if (registered.__module__, registered.__qualname__) != (reader.__module__, reader.__qualname__):
            owner = f"{registered.__module__}.{registered.__qualname__}"
            raise InputError(f"dataset format {name!r}: registered already by {owner}; choose another name")
        READERS[name] = reader()
        return reader

    return register


class JsonReader(DatasetReader):
    """Reader of a JSON list of objects with an image path, captions, an identity and a split.

    Fields have the names of the published file, or those that RaSa's and APTM's code give them.
    """

    dataset: ClassVar[str]  # name of the dataset, which folders have
    short_name: ClassVar[str]  # in the names of APTM's files, cuhk_train.json for example
    older_files: ClassVar[tuple[str, ...]] = ()  # read where no other file is there
    image_field: ClassVar[str]  # field that holds the image path

    def read(self, file: Path) -> Iterator[Record]:
        return self.read_split(file, "")

    def read_split(self, file: Path, split: str) -> Iterator[Record]:
        """Records in a file that holds one split; with "", each entry names its split.

        Raises:
            InputError: `file` is not in this format, is larger than `MAX_BYTES`, or an entry names another split.
        """
        try:
            entries = load_json(read_bytes(file, MAX_BYTES))
        except JsonError as error:
            raise InputError(f"{file}: {error}") from error
        if not isinstance(entries, list) or not (entries or split):
            raise InputError(f"{file}: expected a JSON list of at least 1 entry, got {brief(entries)}")
        if file.name in self.older_files and not any("split" in entry for entry in entries if isinstance(entry, dict)):
            newer = self.annotation_files[0]
            raise InputError(f"{file}: no entry has a split; use {newer}, which has the splits of the paper")
        for number, entry in enumerate(entries):
            yield self._record(entry, f"{file}: entry {number} (from 0)", split)

    def _record(self, entry: Any, where: str, split: str) -> Record:
        if not isinstance(entry, dict):
            raise InputError(f"{where}: expected an object, got {brief(entry)}")
        image = _field(entry, where, self.image_field, "file_path", "img_path", "image")
        identity = _field(entry, where, "id", "image_id")
        captions = _field(entry, where, "captions", "caption")
        named_split = entry.get("split", split) if split else _field(entry, where, "split")
        if split and named_split != split:
            raise InputError(f"{where}: 'split' is {brief(named_split)}; expected {split!r} in this file")
        if isinstance(captions, str):
            captions = [captions]
        if not isinstance(captions, list):
            raise InputError(f"{where}: 'captions' is {brief(captions)}; expected a list of texts")
        return Record(image, tuple(captions), identity, named_split)


def _field(entry: dict[str, Any], where: str, *names: str) -> Any:
    """Value of the first field that an entry has.

    Raises:
        InputError: it has none of them.
    """
    for name in names:
        if name in entry:
            return entry[name]
    present = shortened(", ".join(map(str, entry)) or "none")
    raise InputError(f"{where}: missing field {names[0]!r} (fields present: {present})")


@register_reader("cuhk-pedes")
class CuhkPedesReader(JsonReader):
    """CUHK-PEDES (Li et al., CVPR 2017); counts of its paper."""

    dataset = "CUHK-PEDES"
    short_name = "cuhk"
    annotation_files = ("reid_raw.json",)
    older_files = ("caption_all.json",)
    image_field = "file_path"
    field_names = MappingProxyType({"image": image_field, "identity": "id"})
    published = MappingProxyType(
        {
            "train": SplitCounts(34_054, 11_003, 68_126),
            "val": SplitCounts(3_078, 1_000, 6_158),
            "test": SplitCounts(3_074, 1_000, 6_156),
        }
    )


@register_reader("icfg-pedes")
class IcfgPedesReader(JsonReader):
    """ICFG-PEDES (Ding et al., arXiv 2107.12666); counts of its paper. It has no val split."""

    dataset = "ICFG-PEDES"
    short_name = "icfg"
    annotation_files = ("ICFG-PEDES.json", "ICFG_PEDES.json")
    image_field = "file_path"
    field_names = MappingProxyType({"image": image_field, "identity": "id"})
    published = MappingProxyType(
        {"train": SplitCounts(34_674, 3_102, 34_674), "test": SplitCounts(19_848, 1_000, 19_848)}
    )
    val_from_train = True


@register_reader("rstpreid")
class RstpReidReader(JsonReader):
    """RSTPReid (Zhu et al., ACM MM 2021); counts of its paper."""

    dataset = "RSTPReid"
    short_name = "rstp"
    annotation_files = ("data_captions.json",)
    image_field = "img_path"
    field_names = MappingProxyType({"image": image_field, "identity": "id"})
    published = MappingProxyType(
        {
            "train": SplitCounts(18_505, 3_701, 37_010),
            "val": SplitCounts(1_000, 200, 2_000),
            "test": SplitCounts(1_000, 200, 2_000),
        }
    )


@register_reader("folder")
class FolderReader(DatasetReader):
    """Images in a folder, with sub-folders or without, beside captions.csv or captions.jsonl."""

    annotation_files = PLAIN_FILES
    image_folder = "."
    val_from_train = True

    def read(self, file: Path) -> Iterable[Record]:
        return self.read_with_notes(file)[0]

    def read_with_notes(self, file: Path) -> tuple[Iterable[Record], tuple[str, ...]]:
        return read_plain_folder(file)
