"""Label of a table row, subtable or study, which is also the name of its folder."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from gckd.errors import InputError
from gckd.printable import brief

MAX_BYTES = 200  # file systems allow 255; suffixes such as `.partial` need some of them
# Names that commands write into an output folder.
OUTPUT_NAMES = (
    *("asked.json", "best.yaml", "config.yaml", "curves.parquet", "examples.parquet", "figures"),
    *("curves.pdf", "curves.png", "curves.svg", "grid.tex", "setup.tex", "table_full.tex", "question.json"),
    *(
        "gains.json",
        "gains.md",
        "gains.pdf",
        "gains.png",
        "gains.svg",
        "launches.json",
        "owner",
        "queries.parquet",
        "question.json",
    ),
    *("report.html", "runs.parquet", "study.journal", "table.csv", "table.md", "table.tex", "train", "trials"),
    *("trials.parquet", "tune", "tuned_rates.json", "tuning", "tuning.parquet"),
)
_PORTS = (f"{port}{number}" for port in ("com", "lpt") for number in (*range(1, 10), *"¹²³"))
_DEVICES = ("con", "prn", "aux", "nul", "conin$", "conout$", *_PORTS)
_FORBIDDEN = re.compile(r"[/\\:*?\"<>|]")
_UNSAFE = re.compile(r"[^\w.+=,-]+")
_DROPPED = "without"  # prefix of the folder of a row such as `-gmp`: `ls -gmp` would read the name as options


class Label(str):
    """Text that is safe as the name of a folder on every file system. It is a `str` in records and tables.

    Raises:
        InputError: the text is empty, reserved or longer than `MAX_BYTES`; it starts or ends with a dot or a space; or
            it has a separator or a control character.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Label:
        problem = _problem(text)
        if problem:
            raise InputError(f"label {brief(text)}: {problem}")
        return super().__new__(cls, text)

    @staticmethod
    def of(text: str) -> Label:
        """Label of a text in which other characters than letters, digits and `_.+=,-` become `_`.

        Raises:
            InputError: see `Label`.
        """
        return Label(_UNSAFE.sub("_", text))

    @property
    def folder(self) -> str:
        """Name of the folder: the label, with `without` before a leading dash."""
        return f"{_DROPPED}{self}" if self.startswith("-") else str(self)


def check_distinct(labels: Iterable[str]) -> None:
    """Refuse labels that are the same folder on a file system which ignores case.

    Raises:
        InputError: two labels differ by nothing else; the message names both.
    """
    names: dict[str, str] = {}
    for label in labels:
        earlier = names.setdefault(unicodedata.normalize("NFKC", Label(label).folder).casefold(), label)
        if earlier is not label:
            raise InputError(f"row {label}: has the same folder as row {earlier}; rename one of the two")


def run_folder(table: Path, row: str, seed: int) -> Path:
    """Folder of a run in the output folder of its table.

    Raises:
        InputError: `row` is not a label, or the folder is a link to a place outside the output folder.
    """
    folder = table / Label(row).folder / f"seed-{seed}"
    if not folder.resolve().is_relative_to(table.resolve()):
        raise InputError(f"{folder}: is outside of {table}; remove the link")
    return folder


def _problem(text: str) -> str:
    """Reason why a text is not a label; empty if it is one."""
    if not text.strip("_"):
        return "is empty; give at least 1 letter or digit"
    if text[0] in ". " or text[-1] in ". ":
        return "starts or ends with a dot or a space, which folders must not; rename it"
    if len(text.encode(errors="replace")) > MAX_BYTES:
        return f"has {len(text.encode(errors='replace'))} bytes; the limit is {MAX_BYTES}; give a shorter name"
    if _FORBIDDEN.search(text) or not text.isprintable():
        return 'has a control character or one of / \\ : * ? " < > |; rename it'
    if text.casefold() in OUTPUT_NAMES or text.partition(".")[0].casefold() in _DEVICES:
        return "is the name of a file that gckd or the operating system uses; rename it"
    return ""
