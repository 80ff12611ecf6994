"""Problems of captions: shared by several identities, code or markup, other scripts, invisible characters, no words."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from gckd.data.caption_form import albef_form
from gckd.data.types import Record
from gckd.printable import brief

EXAMPLES = 5  # a problem names at most this many cases
_FOREIGN_SHARE = 0.3  # share of a caption's letters outside the Latin script from which it is in another script
_CODE = re.compile(
    r"</?(?!person>)[a-zA-Z][^<>]*>|&(?:[a-z]+|#\d+);|https?://|[{}\\]|[=<>!+-]=|=>|->|%[sd]\b|\$\w"
    r"|\b\w+\([^()]*\(|\b\w+\([\"'0-9]|\b\w+\(\w+\s*=|\b\w+\.\w+\(",
    re.IGNORECASE,
)


def caption_problems(records: Iterable[Record], named: bool = True) -> list[str]:
    """One line for each kind of problem that captions have.

    Args:
        records: images of a dataset.
        named: whether the dataset names identities; otherwise two images with one caption may show one person.
    """
    records = list(records)
    captions = [caption for record in records for caption in record.captions if caption.strip()]
    kinds: dict[str, Callable[[str], bool]] = {
        "look like code or markup": lambda caption: bool(_CODE.search(caption)),
        "are not in the Latin script": _is_foreign,
        "hold invisible characters": _has_invisible,
        "have no word": lambda caption: not any(map(str.isalnum, caption)),
    }
    cases = {kind: [brief(caption) for caption in captions if has(caption)] for kind, has in kinds.items()}
    problems = [
        f"{len(captions):,} captions {kind}: {examples(captions)}" for kind, captions in cases.items() if captions
    ]
    return [*(_shared(records) if named else ()), *problems]


def _shared(records: list[Record]) -> Iterator[str]:
    """Captions that describe images of several identities, whatever their case, punctuation and spaces."""
    identities: dict[str, set[int]] = defaultdict(set)
    for record in records:
        for caption in record.captions:
            identities[albef_form(caption.casefold())].add(record.identity)
    shared = [(caption, len(ids)) for caption, ids in identities.items() if caption and len(ids) > 1]
    if shared:
        shared.sort(key=lambda case: -case[1])
        listed = examples(f"{brief(caption)} ({count:,} identities)" for caption, count in shared)
        yield f"{len(shared):,} captions are of several identities: {listed}"


def _is_foreign(caption: str) -> bool:
    if caption.isascii():
        return False
    letters = [character for character in caption if character.isalpha()]
    foreign = sum(not unicodedata.name(letter, "").startswith("LATIN") for letter in letters)
    return foreign > _FOREIGN_SHARE * len(letters)


def _has_invisible(caption: str) -> bool:
    return any(
        unicodedata.category(character) in ("Cc", "Cf", "Co", "Cn")
        for character in caption
        if character not in "\n\t\r"
    )


def examples(names: Iterable[str]) -> str:
    """The first names of a list, and the number of the others."""
    listed = list(names)
    more = f" and {len(listed) - EXAMPLES:,} more" if len(listed) > EXAMPLES else ""
    return ", ".join(listed[:EXAMPLES]) + more
