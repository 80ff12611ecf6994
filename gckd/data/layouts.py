"""Layouts in which datasets are kept on disk: annotation files and the folder of their images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gckd.data.plain_folder import PLAIN_FILES
from gckd.data.readers import READERS, DatasetReader, JsonReader
from gckd.data.types import SPLITS
from gckd.errors import InputError

RASA_FOLDER = "processed_data"  # RaSa (Bai et al., IJCAI 2023): train.json, val.json and test.json in it
APTM_FOLDERS = ("", "finetune", "data/finetune")  # APTM (Yang et al., ACM MM 2023): cuhk_train.json and so on in it
APTM_IMAGES = "images"  # APTM: images/CUHK-PEDES and so on


@dataclass(frozen=True)
class Layout:
    """Annotation files of one dataset, and the folder of its images."""

    format: str
    name: str  # last two parts of the dataset's folder
    folder: Path  # finds this dataset again as FORMAT:FOLDER
    files: Mapping[str, Path]  # split -> its file; the key is "" where one file has all splits
    images: Path
    description: str = ""  # printed as a note; empty for the layout in which the dataset is published

    @property
    def file(self) -> Path:
        """File that messages name."""
        return next(iter(self.files.values()))


def find_layout(folder: Path, formats: Mapping[str, DatasetReader]) -> Layout:
    """The only dataset in `folder` or, if it has none, in its direct sub-folders.

    Raises:
        InputError: there is no dataset, there are several, or split files of an unknown dataset.
        OSError: the folder cannot be listed.
    """
    image_folders = {reader.image_folder for reader in READERS.values()}
    subfolders = sorted(path for path in folder.iterdir() if path.is_dir() and path.name not in image_folders)
    for level in ([folder], subfolders):
        layouts = [layout for path in level for layout in _layouts(path, formats)]
        if len(layouts) == 1:
            return layouts[0]
        if layouts:
            raise InputError(_several(folder, layouts))
        for path in level:
            files = _rasa_files(path)
            if files:
                names = ", ".join(file.name for file in files.values())
                raise InputError(f"{path}: {names} do not name their dataset; write FORMAT:PATH ({', '.join(formats)})")
    expected = ", ".join(file for reader in formats.values() for file in reader.annotation_files)
    own = f"; for images of your own, write {PLAIN_FILES[0]} with the columns image and caption"
    remedy = own if len(formats) > 1 else ""
    raise InputError(f"{folder}: no annotation file in it or in its sub-folders (expected one of {expected}){remedy}")


def _several(folder: Path, layouts: Sequence[Layout]) -> str:
    """Error of a folder with several datasets, which names those that may be given."""
    listed = ", ".join(f"{layout.format}:{_relative(layout.file, folder)}" for layout in layouts)
    choices = " or ".join(f"{layout.format}:{layout.folder}" for layout in layouts)
    return f"{folder}: {len(layouts)} annotation files ({listed}); give {choices}"


def _layouts(folder: Path, formats: Mapping[str, DatasetReader]) -> Iterator[Layout]:
    """At most one layout of each format, the published one first."""
    for name, reader in formats.items():
        layout = _published(folder, name, reader, reader.annotation_files)
        if layout is None and isinstance(reader, JsonReader):
            layout = (
                _rasa(folder, name, reader, selected=len(formats) == 1)
                or _aptm(folder, name, reader)
                or _published(folder, name, reader, reader.older_files)
            )
        if layout is not None:
            yield layout


def _published(folder: Path, name: str, reader: DatasetReader, files: tuple[str, ...]) -> Layout | None:
    """One annotation file beside the image folder."""
    for file in files:
        if (folder / file).is_file():
            return Layout(name, _name(folder), folder, {"": folder / file}, folder / reader.image_folder)
    return None


def _rasa_files(folder: Path) -> dict[str, Path]:
    """train.json, val.json and test.json of RaSa; empty if there are none."""
    return _split_files(folder, "") or _split_files(folder / RASA_FOLDER, "")


def _rasa(folder: Path, name: str, reader: JsonReader, *, selected: bool) -> Layout | None:
    """One file per split. Its name does not name the dataset: the folder or FORMAT does."""
    files = _rasa_files(folder)
    if not files:
        return None
    parent = files["train"].parent
    dataset = parent.parent if parent.name == RASA_FOLDER else parent
    named = {reader for reader in READERS.values() if _names(dataset, reader)}
    if reader not in named and (named or not selected):
        return None
    description = f"one file per split, as RaSa's code writes them ({', '.join(file.name for file in files.values())})"
    return Layout(name, _name(dataset), folder, files, dataset / reader.image_folder, description)


def _aptm(folder: Path, name: str, reader: JsonReader) -> Layout | None:
    """Files such as cuhk_train.json, for images in images/CUHK-PEDES or beside the files."""
    candidates = [folder / sub for sub in APTM_FOLDERS]
    if folder.parent.name == APTM_IMAGES and _names(folder, reader):
        candidates += [folder.parents[1] / sub for sub in APTM_FOLDERS]
    for parent in candidates:
        files = _split_files(parent, f"{reader.short_name}_")
        if files:
            images = _aptm_images(parent, reader)
            description = f"one file per split, as in APTM ({', '.join(file.name for file in files.values())})"
            return Layout(name, f"{folder.name}/{reader.dataset}", folder, files, images, description)
    return None


def _aptm_images(annotations: Path, reader: JsonReader) -> Path:
    """Image folder of a dataset whose annotations are in the folder `annotations`."""
    roots = [annotations, *list(annotations.parents)[:2]]
    folders = [root / APTM_IMAGES / reader.dataset for root in roots]
    dataset = next((folder for folder in folders if folder.is_dir()), None)
    if dataset is None:
        beside = annotations / reader.image_folder
        return beside if beside.is_dir() else folders[-1]
    inner = dataset / reader.image_folder  # CUHK-PEDES/imgs/cam_a, but ICFG-PEDES/train
    return inner if inner.is_dir() else dataset


def _split_files(folder: Path, prefix: str) -> dict[str, Path]:
    """File of each split; empty without one for train and one for test. ICFG-PEDES has none for val."""
    files = {split: folder / f"{prefix}{split}.json" for split in SPLITS}
    present = {split: file for split, file in files.items() if file.is_file()}
    return present if {"train", "test"} <= present.keys() else {}


def _name(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"


def _names(folder: Path, reader: DatasetReader) -> bool:
    """Whether a folder has the name or the annotation file of a reader's dataset."""
    if any((folder / file).is_file() for file in reader.annotation_files):
        return True
    return isinstance(reader, JsonReader) and _plain(folder.name) == _plain(reader.dataset)


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _relative(file: Path, folder: Path) -> Path:
    return file.relative_to(folder) if file.is_relative_to(folder) else file
