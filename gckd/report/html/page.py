"""HTML page of a report in one file: pictures are embedded, and there are no scripts and no links to other files."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

NONE = "-"
_MINUTE, _HOUR = 60.0, 3600.0
_MANY_COLUMNS = 9
_BREAKS = re.compile(r"(?<=[_.,/])(?=[A-Za-z])|(?<==)|(?<=\w)(?=-[A-Za-z])")


@dataclass(frozen=True)
class Table:
    """A table of texts.

    head: names of the columns; empty for a list of facts. text_columns: the first columns, which are aligned to the
    left; the others are numbers. highlighted_row: the row with a coloured background. marks: (row, column) ->
    `supported` (bold) or `best` (underlined). groups: row -> heading above it.
    """

    head: Sequence[str]
    body: Sequence[Sequence[str]]
    text_columns: int = 1
    highlighted_row: int | None = None
    marks: Mapping[tuple[int, int], str] = field(default_factory=dict)
    groups: Mapping[int, str] = field(default_factory=dict)

    @property
    def css_class(self) -> str:
        """Class of its style in page.css."""
        if not self.head:
            return "facts"
        return "dense" if len(self.head) > _MANY_COLUMNS else ""


@dataclass(frozen=True)
class Picture:
    """source: data URI. alt: text for readers who do not see the picture; if empty, the title of the section."""

    source: str
    alt: str = ""


@dataclass(frozen=True)
class Ranking:
    """The first images that one row of the table ranks for a query."""

    row: str
    result: str
    images: Sequence[tuple[str, bool]]  # data URI, whether it is a hit


@dataclass(frozen=True)
class Example:
    """A query and its rankings by several rows of the table."""

    query: str
    kind: str
    rankings: Sequence[Ranking]


@dataclass(frozen=True)
class Section:
    """A part of the page; its contents are shown in the order of the fields.

    notes: list below the table. legend: name -> colour in the pictures. warning: red box below the title. folded:
    closed on the screen, open on paper.
    """

    title: str
    lines: Sequence[str] = ()
    table: Table | None = None
    notes: Sequence[str] = ()
    legend: Mapping[str, str] = field(default_factory=dict)
    pictures: Sequence[Picture] = ()
    examples: Sequence[Example] = ()
    commands: Sequence[str] = ()
    warning: str = ""
    folded: bool = False


@dataclass(frozen=True)
class Page:
    """A whole report.

    headline: first heading, with the title as a small line above it; empty: the title is the heading. lead: box below
    the heading; red with `alert`. question: above that box. warning: below every table.
    """

    title: str
    lead: str
    sections: Sequence[Section]
    headline: str = ""
    question: str = ""
    alert: bool = False
    warning: str = ""

    def text(self) -> str:
        """The page as HTML."""
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(Path(__file__).parent),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["breakable"] = _breakable
        return environment.get_template("page.html.j2").render(page=self)


def _breakable(text: str) -> Markup:
    """Text with line breaks allowed inside names such as `graph.propagate.k=3`, `-gmp-cmkd` and `rank_1`."""
    return Markup(_BREAKS.sub("<wbr>", escape(text)))  # noqa: S704 (escaped)


def data_uri(content: bytes, kind: str) -> str:
    """Data URI of an image file of this kind (`png`, `jpeg`, `svg+xml`)."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def duration(seconds: float) -> str:
    """`2.5 h`, `3.0 min` or `12.0 s`: hours and minutes from two of them on."""
    for unit, size in (("h", _HOUR), ("min", _MINUTE)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
