"""Question of a table: what its report must show beside the rows. It is saved in the output folder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gckd.storage import atomic
from gckd.storage.json_file import read_json

QUESTION_FILE = "question.json"
_TEXTS = {"type": "array", "items": {"type": "string"}}
_SCHEMA = {
    "type": "object",
    "properties": {
        "question": {"type": "string"},
        "dropped": {"type": "object", "additionalProperties": _TEXTS},
        "checks": _TEXTS,
        "spec_changes": _TEXTS,
    },
    "additionalProperties": False,
}
_FIRST_VERSION_FILE = "asked.json"  # its name in version 0.1.0, with the same content


@dataclass(frozen=True)
class Question:
    """question: first line of the caption. dropped: row -> components it lacks, if the rows are every combination of
    them: Shapley values are reported. checks: names in `gckd.report.checks.CHECKS`, whose figures are drawn.
    spec_changes: edits by `--set` beside `--spec`, as the user wrote them.
    """

    question: str = ""
    dropped: Mapping[str, Sequence[str]] = field(default_factory=dict)
    checks: Sequence[str] = ()
    spec_changes: Sequence[str] = ()

    @property
    def mark(self) -> str:
        """Statement that the table is a trial of a changed spec; empty for a spec as it is."""
        if not self.spec_changes:
            return ""
        changes = " ".join(f"--set {change}" for change in self.spec_changes)
        return f"Changed spec: {changes}. This is a trial; its numbers are not those of the spec as written."

    def save(self, folder: Path) -> None:
        """Writes question.json into the folder; no file if there is nothing to say."""
        if self.question or self.dropped or self.checks or self.spec_changes:
            text = json.dumps(dataclasses.asdict(self), indent=1)
            atomic.write(folder / QUESTION_FILE, text + "\n")

    @staticmethod
    def load(folder: Path) -> Question:
        """The question of an output folder; empty without a file.

        Raises:
            InputError: the file is damaged.
        """
        for file in (folder / QUESTION_FILE, folder / _FIRST_VERSION_FILE):
            if file.exists():
                return Question(**read_json(file, _SCHEMA, "delete it; the report then lacks the question"))
        return Question()
