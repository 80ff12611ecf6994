"""The driver's own folder beside an output in an object store: the study's journal and the report go there too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gckd.errors import InputError
from tune.storage import FILE as JOURNAL

if TYPE_CHECKING:
    from pathlib import Path

    from gckd.place import Place


class Mirror:
    """Copies the files of a folder to `out`, and on another machine back; nothing where `out` is that folder."""

    def __init__(self, folder: Path, out: Place) -> None:
        self._folder, self._out = folder, out
        self._apart = out.local is None

    def fetch(self, names: tuple[str, ...]) -> None:
        """Gets those of the files that are there and not here, and the journal where theirs goes on from ours.

        Raises:
            InputError: ours and theirs went on without each other.
        """
        if not self._apart:
            return
        for name in (*names, JOURNAL):
            there, here = self._out / name, self._folder / name
            if not there.exists():
                continue
            with there.reading() as file:
                theirs = file.read_bytes()
            ours = here.read_bytes() if here.exists() else b""
            if name == JOURNAL and not (ours.startswith(theirs) or theirs.startswith(ours)):
                raise InputError(f"--out: {there} and {here} went on without each other; keep one, remove the other")
            if len(theirs) > len(ours):
                here.write_bytes(theirs)

    def save(self) -> None:
        """Puts every file of the folder there, each of them whole."""
        if not self._apart:
            return
        for here in sorted(self._folder.iterdir()):
            if here.is_file() and not here.name.startswith(".") and here.suffix != ".lock":
                with (self._out / here.name).writing() as file:
                    file.write_bytes(here.read_bytes())
