"""Content of a ZIP file as it declares it: its size, more than which readers do not unpack, and its names."""

import zipfile
from pathlib import Path, PurePosixPath


def unpacked_size(file: Path) -> int:
    """Bytes of all entries.

    Raises:
        OSError: the file cannot be read.
        zipfile.BadZipFile: it is damaged.
    """
    with zipfile.ZipFile(file) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def entry_names(file: Path) -> set[str]:
    """Last parts of the names of all entries.

    Raises:
        OSError: the file cannot be read.
        zipfile.BadZipFile: it is damaged.
    """
    with zipfile.ZipFile(file) as archive:
        return {PurePosixPath(name).name for name in archive.namelist()}
