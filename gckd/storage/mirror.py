"""Local working folder of a driver whose output is in an object store, kept equal to that output."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from gckd.errors import InputError, reason_of
from gckd.printable import echo
from gckd.storage import atomic
from gckd.storage.path import StoragePath

FileVersion = tuple[int, int]  # modification time in ns, size in bytes

RAY_TUNE_FOLDER = "tune"
_TIME_SHARE = 20  # `upload_if_due` spends at most 1 / _TIME_SHARE of the driver's time


class Mirror:
    """A local folder and its copy in an object store. Does nothing where the output `out` is the local folder itself.

    Args:
        folder: the local folder.
        out: the output, local or in an object store.
        clock: returns the time in seconds.
    """

    def __init__(self, folder: Path, out: StoragePath, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder, self.out, self._clock = folder, out, clock
        self.is_remote = out.local is None
        self._uploaded: dict[Path, FileVersion] = {}
        self._next_upload = clock()

    @staticmethod
    def for_output(out: StoragePath) -> Mirror:
        """Mirror between an output and its local folder: a local output itself, or runs/NAME-<digest>."""
        digest = hashlib.sha256(json.dumps([str(out)]).encode()).hexdigest()[:8]
        working_folder = Path("runs") / f"{out.name}-{digest}"
        return Mirror(out.local or working_folder.resolve(), out)

    def download(self, files: Iterable[Path]) -> None:
        """Copy those of `files` (paths in the local folder) that exist in the store, replacing local ones."""
        for file in files if self.is_remote else ():
            remote = self._remote(file)
            if remote.exists():
                remote.copy_to(StoragePath.at(file))

    def start(self, config: Path, others: Iterable[Path], *, resume: bool) -> None:
        """Download an existing output (its `config` and `others`) to resume it.

        Raises:
            InputError: the output exists and `resume` is false.
        """
        if resume:
            self.download([config, *others])
        elif self.is_remote and self._remote(config).exists():
            out = str(self._remote(config)).rpartition("/")[0]
            raise InputError(f"--out: {out} is not empty; add --resume to continue it, or choose another")

    def download_appended(self, file: Path) -> None:
        """Download a file that is only ever appended to, if the store's version is the longer one.

        Raises:
            InputError: neither version is a prefix of the other.
        """
        remote = self._remote(file)
        if not self.is_remote or not remote.exists():
            return
        with remote.reading() as copy:
            remote_content = copy.read_bytes()
        local_content = file.read_bytes() if file.exists() else b""
        if not (local_content.startswith(remote_content) or remote_content.startswith(local_content)):
            raise InputError(f"--out: {remote} and {file} have diverged; keep one and remove the other")
        if len(remote_content) > len(local_content):
            atomic.write(file, remote_content)

    def upload_if_due(self) -> None:
        """`upload`, unless the last one was too recent; a later upload then includes the changes.

        A store replaces objects as a whole, and a search's journal grows with every trial. Uploading after each trial
        would take time quadratic in the number of trials, and the driver handles no events meanwhile.
        """
        if self._clock() >= self._next_upload:
            self.try_upload()

    def try_upload(self) -> None:
        """`upload`; an error of the store is printed, and the next upload includes the files. Runs continue."""
        try:
            self.upload()
        except (InputError, OSError) as error:
            echo(f"warning: {self.out}: not updated ({reason_of(error)}); tried again later", err=True)

    def upload(self) -> None:
        """Copy every local file that is new or has changed since its last upload; each file is replaced atomically."""
        started = self._clock()
        for file in self._files() if self.is_remote else ():
            status = file.stat()
            version = (status.st_mtime_ns, status.st_size)
            if self._uploaded.get(file) != version:
                StoragePath.at(file).copy_to(self._remote(file))
                self._uploaded[file] = version
        ended = self._clock()
        self._next_upload = ended + (_TIME_SHARE - 1) * (ended - started)

    def _files(self) -> Iterator[Path]:
        """Files of the folder, without hidden files, locks and the folder that Ray Tune fills with files per trial."""
        for folder, subfolders, names in os.walk(self.folder):
            subfolders[:] = sorted(set(subfolders) - {RAY_TUNE_FOLDER})
            yield from (Path(folder, name) for name in sorted(names) if name[0] != "." and not name.endswith(".lock"))

    def _remote(self, file: Path) -> StoragePath:
        return self.out / file.relative_to(self.folder).as_posix()
