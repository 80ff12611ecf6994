"""The four memory banks by number, and the graphs over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

Value = TypeVar("Value")

SOURCE_IMAGE, SOURCE_TEXT, TARGET_IMAGE, TARGET_TEXT = range(4)  # the order of every list with one item per bank


def per_bank(domains: tuple[Value, Value]) -> list[Value]:
    """One value for each of the four banks, from one value of the source and one of the target."""
    source, target = domains
    return [source, source, target, target]


class GraphNodes(NamedTuple):
    """A graph's name, and the banks whose entries are its nodes."""

    name: str
    banks: tuple[int, ...]

    def total(self, sizes: Sequence[int]) -> int:
        """Number of nodes.

        Args:
            sizes: entries of each of the four banks.
        """
        return sum(sizes[bank] for bank in self.banks)
