"""The driver's own folder beside an output in an object store: records and reports go there too."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from gckd.errors import InputError
from gckd.storage.path import StoragePath

Version = tuple[int, int]  # of a file: modification time, size

TUNES_OWN = "tune"  # a folder
_SHARE = 20  # of a driver's time, one part in so many is the most that `keep_up` takes


class Mirror:
    """Copies the files of a folder to `out`, and on another machine back; nothing where `out` is that folder."""

    def __init__(self, folder: Path, out: StoragePath, clock: Callable[[], float] = time.monotonic) -> None:
        """Clock: seconds."""
        self.folder, self.out, self._clock = folder, out, clock
        self.apart = out.local is None
        self._saved: dict[Path, Version] = {}
        self._next = clock()  # when `keep_up` copies again

    @staticmethod
    def of(out: StoragePath) -> Mirror:
        """With the folder that a driver has for an output: `out` itself, or runs/NAME-<digest>."""
        name = hashlib.sha256(json.dumps([str(out)]).encode()).hexdigest()[:8]
        apart = Path("runs") / f"{out.name}-{name}"
        return Mirror(out.local or apart.resolve(), out)

    def fetch(self, files: Iterable[Path]) -> None:
        """Gets those of the files (in the folder) that are there, in the place of those that are here."""
        for here in files if self.apart else ():
            there = self._there(here)
            if there.exists():
                there.copy_to(StoragePath.at(here))

    def begin(self, config: Path, others: Iterable[Path], *, resume: bool) -> None:
        """Gets what another machine has made of an output, `config` and others, if this is to go on with it.

        Raises:
            InputError: there is something, and `resume` is off.
        """
        if resume:
            self.fetch([config, *others])
        elif self.apart and self._there(config).exists():
            out = str(self._there(config)).rpartition("/")[0]
            raise InputError(f"--out: {out} is not empty; add --resume to go on with it, or choose another")

    def catch_up(self, here: Path) -> None:
        """Gets a file that is only ever appended to, where theirs goes on from ours.

        Raises:
            InputError: ours and theirs went on without each other.
        """
        there = self._there(here)
        if not self.apart or not there.exists():
            return
        with there.reading() as file:
            theirs = file.read_bytes()
        ours = here.read_bytes() if here.exists() else b""
        if not (ours.startswith(theirs) or theirs.startswith(ours)):
            raise InputError(f"--out: {there} and {here} went on without each other; keep one, remove the other")
        if len(theirs) > len(ours):
            here.write_bytes(theirs)

    def keep_up(self) -> None:
        """`save`, unless it did so just before: then the next one takes what there is to copy with it.

        An object is written whole, and a journal grows with every trial. A copy after each of them would come to a
        time that grows with the square of their number, in which the driver hears of nothing.
        """
        if self._clock() >= self._next:
            self.save()

    def save(self) -> None:
        """Puts every file of the folder there, each of them whole, but those that are there as they are."""
        begun = self._clock()
        for here in self._files() if self.apart else ():
            status = here.stat()
            version = (status.st_mtime_ns, status.st_size)
            if self._saved.get(here) != version:
                StoragePath.at(here).copy_to(self._there(here))
                self._saved[here] = version
        ended = self._clock()
        self._next = ended + (_SHARE - 1) * (ended - begun)

    def _files(self) -> Iterator[Path]:
        """Neither locks nor what Tune keeps for itself, some files a trial."""
        for folder, folders, names in os.walk(self.folder):
            folders[:] = sorted(set(folders) - {TUNES_OWN})
            yield from (Path(folder, name) for name in sorted(names) if name[0] != "." and not name.endswith(".lock"))

    def _there(self, here: Path) -> StoragePath:
        return self.out / here.relative_to(self.folder).as_posix()
