"""How far a run of several workers is from that of one: the same training, in another order of rounding."""

from __future__ import annotations

import dataclasses
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # run as a script: the checkout it lies in, before any installed copy
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from gckd.config import PRESETS, Config, apply, parse_edits, preset, to_yaml, value_at
from gckd.data.street import make_street
from gckd.report.console import wide_console
from gckd.storage.checkpoint import load_checkpoint

SOURCE, TARGET = "ICFG-PEDES", "RSTPReid"


def adapted(config: Config, folder: Path, workers: int) -> dict[str, Any]:
    """The last checkpoint of a run by so many workers; all runs of `folder` share the source model."""
    file, out = folder / "config.yaml", folder / f"by-{workers}"
    file.write_text(to_yaml(config), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        where = ["--master-addr", "127.0.0.1", "--master-port", str(free.getsockname()[1])]
    launcher = [sys.executable, "-m", "torch.distributed.run", *where, "--nproc-per-node", str(workers)]
    options = ["--config", str(file), "--cache", str(folder / "cache"), "--out", str(out)]
    subprocess.run([*launcher, "-m", "gckd", "train", *options], check=True, capture_output=True)
    found: dict[str, Any] = load_checkpoint(out / "full" / f"seed-{config.seed}" / "checkpoint.pt")
    return found


def losses(saved: Mapping[str, Any], config: Config) -> dict[tuple[int, str], float]:
    """Every term of every step of the adaptation."""
    terms = {field.name for field in dataclasses.fields(config.weights)}
    points = [point for point in saved["curve"] if point["stage"] == "adapt" and point["name"] in terms]
    return {(point["step"], point["name"]): point["value"] for point in points}


def furthest(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> tuple[float, str]:
    """The largest difference of a weight, and whose it is."""
    return max((float((one[name] - other[name]).abs().max()), name) for name in one if one[name].is_floating_point())


def without_key_biases(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """They have no gradient but rounding: softmax does not see what is added to the products with all keys."""
    found = dict(weights)
    for name, weight in weights.items():
        if name.endswith("attn.qkv.bias"):
            query, _, value = weight.chunk(3)
            found[name] = torch.cat((query, value))
        elif name.endswith("self.key.bias"):
            del found[name]
    return found


@click.command()
@click.option("--preset", "name", default="tiny", show_default=True, type=click.Choice(list(PRESETS)), help="Config.")
@click.option("--set", "assignments", multiple=True, metavar="PATH=VALUE", help="Edit of the config: adapt.batch=33.")
@click.option("--ids", default=120, show_default=True, help="Train identities of the street.")
@click.option("--steps", default=20, show_default=True, type=click.IntRange(min=1, max=1000), help="Of the adaptation.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(min=2), help="Beside one.")
def main(name: str, assignments: tuple[str, ...], ids: int, steps: int, workers: int) -> None:
    """Differences of losses and weights between one worker and several, in float32, from one source model.

    Both are runs of `gckd train`, without dropout, whose masks workers draw for themselves. In float64 they agree to
    1e-9 (tests/training/test_parity.py): what is printed here is rounding, and what training makes of it.

    \b
    python benchmarks/workers.py
    python benchmarks/workers.py --workers 3
    """
    config = preset(name)
    edits = {"adapt.steps": steps, "adapt.evaluations": steps, "backbone.text.dropout": 0.0}
    edits = {path: value for path, value in edits.items() if value_at(config, path) != value}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        Console(stderr=True).print("drawing a street, training a source model and adapting it twice ...")
        make_street(folder / "street", ids=ids, domains=(SOURCE, TARGET))
        sides = {"data.source": str(folder / "street" / SOURCE), "data.target": str(folder / "street" / TARGET)}
        config = apply(config, edits | sides | parse_edits(assignments))
        one, several = adapted(config, folder, 1), adapted(config, folder, workers)
    by_one, by_several = losses(one, config), losses(several, config)
    table = Table("step", "largest difference of a term", "whose", "its value")
    for step in sorted({1, 2, 5, 10, steps} & {step for step, _ in by_one}):
        apart = {term: abs(value - by_several[at, term]) for (at, term), value in by_one.items() if at == step}
        term = max(apart, key=apart.__getitem__)
        table.add_row(str(step), f"{apart[term]:.1e}", term, f"{by_one[step, term]:.2f}")
    students = one["modules"]["student"], several["modules"]["student"]
    every, others = furthest(*students), furthest(*map(without_key_biases, students))
    table.caption = (
        f"{name}, float32, 1 worker and {workers}. Largest difference of a weight after {steps} steps: {every[0]:.1e} "
        f"in {every[1]}; key biases of attention left out: {others[0]:.1e} in {others[1]}"
    )
    wide_console().print(table)


if __name__ == "__main__":
    main()
