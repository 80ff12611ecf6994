"""Parts of LaTeX files: escaped text, and a table float with its notes below."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "$": r"\$",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "±": r"$\pm$",
    "\u2212": "$-$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≈": r"$\approx$",
    "→": r"$\rightarrow$",
    "\u03bf": "o",  # omicron
    "†": r"$\dagger$",
    "%": r"\%",
    "_": r"\_",
    "&": r"\&",
    "#": r"\#",
}
_DASHES = re.compile("-(?=-)")  # LaTeX joins two hyphens to a dash
_LAST_LATIN = "\u017e"
_PUNCTUATION = "\u2013\u2014\u2018\u2019\u201c\u201d\u2026\u20ac"  # pdflatex knows it: dashes, quotes, an ellipsis, €
_GREEK = re.compile("GREEK (SMALL|CAPITAL) LETTER ([A-Z]+)")
_GREEK_CAPITALS = re.compile("GAMMA|DELTA|THETA|LAMBDA|XI|PI|SIGMA|UPSILON|PHI|PSI|OMEGA")  # the others look Latin
_NARROW = r"\small\setlength{\tabcolsep}{3pt}"  # five columns then fit a column of a page with two
_SHRINK = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"  # never enlarges


def escape(text: str) -> str:
    """Plain text as LaTeX text that pdflatex compiles; a letter that it lacks as its number, such as U+732B."""
    return _DASHES.sub("-{}", "".join(map(_character, unicodedata.normalize("NFC", text))))


def _character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character <= _LAST_LATIN or character in _PUNCTUATION:
        return character
    size, name = _greek(character)
    if size == "SMALL" or _GREEK_CAPITALS.fullmatch(name):
        return rf"$\{name.lower() if size == 'SMALL' else name.capitalize()}$"
    return f"U+{ord(character):04X}"


def _greek(character: str) -> tuple[str, str]:
    """`SMALL` or `CAPITAL`, and the name as LaTeX spells it; both empty for other letters."""
    match = _GREEK.fullmatch(unicodedata.name(character, ""))
    return (match[1], match[2].replace("LAMDA", "LAMBDA")) if match else ("", "")


def label_of(text: str) -> str:
    """Text as a part of a label: lower-case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def table_float(tabular: Sequence[str], caption: str, label: str, notes: Sequence[str], *, wide: bool = False) -> str:
    """A float with the caption above, and the notes below in small type; it needs the packages booktabs and graphicx.

    Args:
        tabular: is scaled down to the width of the line if it is wider.
        caption: plain text, short.
        label: without the prefix `tab:`.
        notes: plain texts; each ends as a sentence.
        wide: over both columns of a page with two.
    """
    float_name = "table*" if wide else "table"
    text = " ".join(escape(note if note.endswith((".", "?", "!")) else f"{note}.") for note in notes)
    below = [r"\par\smallskip", rf"\parbox{{\linewidth}}{{\footnotesize\raggedright {text}}}"] if notes else []
    lines = [
        "% Needs the packages booktabs and graphicx.",
        rf"\begin{{{float_name}}}[t]",
        r"\centering",
        rf"\caption{{{escape(caption)}}}",
        rf"\label{{tab:{label}}}",
        _NARROW,
        _SHRINK,
        *tabular,
        "}",
        *below,
        rf"\end{{{float_name}}}",
    ]
    return "\n".join(lines) + "\n"
