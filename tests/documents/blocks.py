"""Fenced blocks of the documents, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# CHANGELOG.md and LOG.md tell of former versions, whose commands need not work today.
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "PAPER.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "ablations" / "README.md",
    ROOT / "tune" / "README.md",
]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`((?:gckd|python|torchrun|ray|sbatch|pytest|pip|mkdocs) [^`]*)`")
_ASSIGNMENT = re.compile(r'^(\w+)="(.*)"$')


@dataclass(frozen=True)
class Block:
    """A fenced block: its document and language."""

    document: str
    language: str
    text: str


@dataclass(frozen=True)
class Command:
    """One command of a document as words, without its environment variables and redirections."""

    document: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.document}: {shlex.join(self.words)}"


def blocks(*languages: str) -> list[Block]:
    """Blocks of all documents in one of the languages."""
    return [block for document in DOCUMENTS for block in blocks_of(document) if block.language in languages]


def blocks_of(document: Path) -> list[Block]:
    """Blocks of one document."""
    name = str(document.relative_to(ROOT))
    return [Block(name, language, text) for language, text in _BLOCK.findall(document.read_text(encoding="utf-8"))]


def commands() -> list[Command]:
    """Every command in a block of shell code, and in the text between the blocks."""
    shell = [command for block in blocks("sh", "bash") for command in commands_in(block.document, block.text)]
    inline = [
        command
        for document in DOCUMENTS
        for text in _INLINE.findall(_BLOCK.sub("", document.read_text(encoding="utf-8")))
        for command in commands_in(str(document.relative_to(ROOT)), text)
    ]
    return list({str(command): command for command in (*shell, *inline)}.values())


def commands_in(document: str, text: str) -> Iterator[Command]:
    """Commands of shell code. Variables that it assigns are replaced by their values."""
    variables: dict[str, str] = {}
    for line in text.replace("\\\n", " ").splitlines():
        if assignment := _ASSIGNMENT.match(line):
            variables[assignment[1]] = assignment[2]
            continue
        for name, value in variables.items():
            line = line.replace(f"${name}", value)
        for part in line.split(" && "):
            words = shlex.split(part, comments=True)
            if ">" in words:
                words = words[: words.index(">")]
            if words:
                yield Command(document, tuple(words))
