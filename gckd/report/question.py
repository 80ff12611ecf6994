"""Question of a table: what its report must show beside the rows. It is saved in the output folder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

QUESTION_FILE = "question.json"
_FIRST_VERSION_FILE = "asked.json"  # its name in version 0.1.0, with the same content


@dataclass(frozen=True)
class Question:
    """question: first line of the caption. dropped: row -> components it lacks, if the rows are every combination of
    them: Shapley values are reported. checks: names in `gckd.report.checks.CHECKS`, whose figures are drawn.
    """

    question: str = ""
    dropped: Mapping[str, Sequence[str]] = field(default_factory=dict)
    checks: Sequence[str] = ()

    def save(self, folder: Path) -> None:
        """Writes question.json into the folder; no file if there is nothing to say."""
        if self.question or self.dropped or self.checks:
            text = json.dumps(dataclasses.asdict(self), indent=1)
            (folder / QUESTION_FILE).write_text(text + "\n", encoding="utf-8")

    @staticmethod
    def load(folder: Path) -> Question:
        """The question of an output folder; empty without a file."""
        for file in (folder / QUESTION_FILE, folder / _FIRST_VERSION_FILE):
            if file.exists():
                return Question(**json.loads(file.read_text(encoding="utf-8")))
        return Question()
