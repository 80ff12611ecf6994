"""Result of a check: a figure with its title and three sentences."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gckd.report.figure_files import save_figure
from gckd.storage import atomic

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

_LABELS_LINE = "uses target labels, for understanding only"
_TITLE_CHARACTERS = 13  # per inch


@dataclass(frozen=True)
class CheckResult:
    """name: of the files. key: what lines and colours mean. sentences: computed from the numbers in the figure."""

    name: str
    title: str
    key: str
    sentences: tuple[str, str, str]
    uses_target_labels: bool
    figure: Figure

    def write(self, folder: Path) -> None:
        """Writes `figures/<name>.png`, `.svg`, `.pdf` and `.json` into the output folder."""
        figures = folder / "figures"
        figures.mkdir(parents=True, exist_ok=True)
        if self.uses_target_labels:
            self.figure.supxlabel(_LABELS_LINE, fontsize=8, color="#a00000", x=0.01, ha="left")
        characters = int(_TITLE_CHARACTERS * self.figure.get_figwidth())
        heading = "\n".join(line for text in (self.title, self.key) for line in textwrap.wrap(text, characters))
        self.figure.suptitle(heading, fontsize=10, x=0.01, ha="left")
        save_figure(self.figure, figures / self.name)
        note = {
            "title": self.title,
            "key": self.key,
            "sentences": list(self.sentences),
            "uses_target_labels": self.uses_target_labels,
        }
        text = json.dumps(note, indent=1, ensure_ascii=False) + "\n"
        atomic.write(figures / f"{self.name}.json", text)
