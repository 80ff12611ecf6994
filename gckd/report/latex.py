"""Parts of LaTeX files: escaped text, and a table float with its notes below."""

from __future__ import annotations

import re
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
    "±": r"$\pm$",
    "Δ": r"$\Delta$",
    "→": r"$\rightarrow$",
    "†": r"$\dagger$",
    "%": r"\%",
    "_": r"\_",
    "&": r"\&",
    "#": r"\#",
}


_NARROW = r"\small\setlength{\tabcolsep}{3pt}"  # five columns then fit a column of a page with two
_SHRINK = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"  # never enlarges


def escape(text: str) -> str:
    """Plain text as LaTeX text."""
    return "".join(_ESCAPES.get(character, character) for character in text)


def label_of(text: str) -> str:
    """Text as a part of a label: lower-case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def table_float(tabular: Sequence[str], caption: str, label: str, notes: Sequence[str], *, wide: bool = False) -> str:
    """A `table` with the caption above, and the notes below in small type; it needs the package booktabs.

    Args:
        caption: plain text, short.
        label: without the prefix `tab:`.
        notes: plain texts.
        wide: scale the tabular down to the width of the line, which needs the package graphicx.
    """
    body = [_SHRINK, *tabular, "}"] if wide else [_NARROW, *tabular]
    packages = "booktabs and graphicx" if wide else "booktabs"
    text = " ".join(map(escape, notes))
    below = [r"\par\smallskip", rf"\parbox{{\linewidth}}{{\footnotesize\raggedright {text}}}"] if notes else []
    return (
        "\n".join(
            [
                f"% Needs the package{'s' if wide else ''} {packages}.",
                r"\begin{table}[t]",
                r"\centering",
                rf"\caption{{{escape(caption)}}}",
                rf"\label{{tab:{label}}}",
                *body,
                *below,
                r"\end{table}",
            ]
        )
        + "\n"
    )
