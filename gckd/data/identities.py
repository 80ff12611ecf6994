"""Identities that an annotation file stores as text, as the numbers with which the package works."""

from __future__ import annotations

from collections.abc import Sequence

MAX_IDENTITY = 2**63  # the first number that does not fit


def number_identities(identities: Sequence[int | str]) -> tuple[list[int], str]:
    """Numbers of identities, and a note; the note is empty if all are numbers already.

    Texts that are numbers keep their value. Other texts are numbered from 0 in alphabetical order, so that the result
    does not depend on the order of the entries.
    """
    texts = {identity for identity in identities if isinstance(identity, str)}
    if not texts:
        return [int(identity) for identity in identities], ""
    values = {text: int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 20}
    if len(values) == len(texts) == len(set(values.values())) and max(values.values()) < MAX_IDENTITY:
        note = f"{len(texts):,} identities are stored as text; read as numbers"
        return [int(identity) for identity in identities], note
    names = sorted({str(identity) for identity in identities})
    numbers = {name: number for number, name in enumerate(names)}
    note = f"{len(texts):,} identities are stored as text; numbered 0 to {len(names) - 1:,} in alphabetical order"
    return [numbers[str(identity)] for identity in identities], note
