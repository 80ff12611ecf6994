"""What a page consists of, and the page as text: no script, no address, the pictures inside."""

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
    """Texts: a head, empty for a list of facts, and a body. The first `left` columns are texts, the others numbers."""

    head: Sequence[str]
    body: Sequence[Sequence[str]]
    left: int = 1
    marked: int | None = None  # the row that is set off from the others
    marks: Mapping[tuple[int, int], str] = field(default_factory=dict)  # (row, column) -> `best` or `second`
    groups: Mapping[int, str] = field(default_factory=dict)  # row -> heading above it

    @property
    def look(self) -> str:
        """The class of its style."""
        if not self.head:
            return "facts"
        return "dense" if len(self.head) > _MANY_COLUMNS else ""


@dataclass(frozen=True)
class Picture:
    """source: a data URI. says: what is to be seen, for who does not see it; the title of the section if empty."""

    source: str
    says: str = ""


@dataclass(frozen=True)
class Ranking:
    """The first images that one row of the table ranks for a query, each with whether it is a hit."""

    row: str
    result: str
    images: Sequence[tuple[str, bool]]  # data URI, hit


@dataclass(frozen=True)
class Example:
    """A query and what rows of the table answer to it."""

    query: str
    kind: str
    rankings: Sequence[Ranking]


@dataclass(frozen=True)
class Section:
    """A part of the page. It shows what it has, in this order; `folded` parts are open on paper."""

    title: str
    lines: Sequence[str] = ()
    table: Table | None = None
    notes: Sequence[str] = ()  # below the table
    legend: Mapping[str, str] = field(default_factory=dict)  # name -> colour, of the pictures
    pictures: Sequence[Picture] = ()
    examples: Sequence[Example] = ()
    commands: Sequence[str] = ()
    mark: str = ""  # a warning below the title
    folded: bool = False


@dataclass(frozen=True)
class Page:
    """A whole report; `lead` is what must be read first, and `alert` sets it in red."""

    title: str
    lead: str
    sections: Sequence[Section]
    question: str = ""
    alert: bool = False
    mark: str = ""  # a warning below every table

    def text(self) -> str:
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
    """Text that may be broken inside names: `graph.propagate.k=3`, `-gmp-cmkd`, `rank_1`."""
    return Markup(_BREAKS.sub("<wbr>", escape(text)))  # noqa: S704 (escaped)


def data_uri(content: bytes, kind: str) -> str:
    """The content of an image file of this kind (`png`, `jpeg`, `svg+xml`) as an address that holds it."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def duration(seconds: float) -> str:
    """In the unit that is easiest to read."""
    for unit, size in (("h", _HOUR), ("min", _MINUTE)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
