"""Small table below the component table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tabulate import tabulate


@dataclass(frozen=True)
class SmallTable:
    """A table of texts with a caption."""

    title: str
    header: Sequence[str]
    lines: Sequence[Sequence[str]]
    caption: str

    def to_markdown(self) -> str:
        """The table and its caption."""
        return f"{tabulate(self.lines, self.header, tablefmt='pipe', disable_numparse=True)}\n\n{self.caption}\n"
