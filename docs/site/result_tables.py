"""Page with the results in LOG.md that count: whole entries, chosen by their headings."""

from __future__ import annotations

import re

# Part of a heading of LOG.md -> title on the page.
ENTRIES = {
    "averaging the student with the source model": "The default table",
    "people-emoji with five seeds": "Drawings of another kind",
    "base on a GPU": "The paper's setting",
    "value of the search": "The search",
}
_INTRODUCTION = """# Results

Entries of the [log](LOG_PAGE), newest first, that answer the main questions. The log has all others, with the failures.
"""


def results_page(log: str) -> str:
    """Markdown of the page.

    Args:
        log: text of LOG.md.

    Raises:
        LookupError: an entry is missing.
    """
    entries = re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", log, re.DOTALL | re.MULTILINE)
    sections = [_INTRODUCTION.replace("LOG_PAGE", "../LOG.md")]
    for part, title in ENTRIES.items():
        matches = [(heading, text) for heading, text in entries if part in heading]
        if not matches:
            raise LookupError(f"LOG.md: no heading has {part!r}")
        heading, text = matches[0]
        sections.append(f"## {title}\n\n*{heading}*\n\n{text.strip()}\n")
    return "\n".join(sections)
