"""Golden loss curves: every loss term of every step of two short runs.

Written by `python -m tests.golden.make`, to be run only when a change of the numbers is meant; the difference of
losses.json then shows what it did.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import torch

from gckd.progress import Progress
from gckd.training.run import train_run
from tests.toy import make_toy
from tests.training.micro import micro, row

FILE = Path(__file__).with_name("losses.json")
ROWS = {"full": (), "-cmkd": ("cmkd",)}
Curve = list[dict[str, float]]


def curves(folder: Path) -> dict[str, Curve]:
    """Loss terms of each step by row or stage, computed in `folder` with one thread."""
    torch.set_num_threads(1)
    config = micro(make_toy(folder / "source"), make_toy(folder / "target", shade=120))
    result: dict[str, Curve] = {}
    for name, dropped in ROWS.items():

        def report(progress: Progress, name: str = name) -> None:
            if progress.losses:
                result.setdefault(name if progress.stage == "adapt" else progress.stage, []).append(progress.losses)

        train_run(row(config, *dropped), cache=folder / "cache", out=folder / name, report=report)
    return result


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        FILE.write_text(json.dumps(curves(Path(temporary)), indent=1) + "\n")
