"""Page with the results in LOG.md that answer the main questions."""

from __future__ import annotations

import re

# (title on the page, part of a heading of LOG.md, bold words at the start of a part of that entry, or "" for all of it)
RESULTS = [
    ("The default table", "averaging the student with the source model", "The default table."),
    ("Drawings of another kind", "averaging the student with the source model", "People-emoji."),
    ("The paper's setting", "base on a GPU", ""),
    ("The search", "value of the search", ""),
]
_INTRODUCTION = """# Results

Parts of the [log](../LOG.md) that answer the main questions. The log has all other figures, with the failures.
"""
_ENTRY = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)


def results_page(log: str) -> str:
    """Markdown of the page.

    Args:
        log: text of LOG.md.

    Raises:
        LookupError: LOG.md has no such entry, or the entry no such part.
    """
    sections = [_INTRODUCTION]
    for title, part, lead in RESULTS:
        heading, text = next(((heading, text) for heading, text in _ENTRY.findall(log) if part in heading), ("", ""))
        if lead:
            text = next(iter(re.findall(rf"^\*\*{re.escape(lead)}\*\*.*?(?=^\*\*|\Z)", text, re.DOTALL | re.M)), "")
        if not text:
            raise LookupError(f"LOG.md: no entry with {part!r} in its heading has a part {lead!r}")
        sections.append(f"## {title}\n\n*{heading}*\n\n{text.strip()}\n")
    return "\n".join(sections)
