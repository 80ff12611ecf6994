"""Size of the content of a ZIP file, by the sizes that it declares; readers unpack no more than these."""

import zipfile
from pathlib import Path


def unpacked_size(file: Path) -> int:
    """Bytes of all entries.

    Raises:
        OSError: the file cannot be read.
        zipfile.BadZipFile: it is damaged.
    """
    with zipfile.ZipFile(file) as archive:
        return sum(entry.file_size for entry in archive.infolist())
