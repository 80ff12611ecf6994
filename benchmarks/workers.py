"""Difference between runs of several workers and of one, which comes from rounding alone."""

from __future__ import annotations

import dataclasses
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # as a script: this checkout before an installed copy
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.options import config_options
from gckd.config import Config, apply, parse_edits, preset, to_yaml, value_at
from gckd.data.street import make_street
from gckd.report.console import wide_console
from gckd.storage.checkpoint import load_checkpoint

SOURCE, TARGET = "ICFG-PEDES", "RSTPReid"


def adapted(config: Config, folder: Path, workers: int) -> dict[str, Any]:
    """Last checkpoint of a run with this number of workers; all runs of `folder` share the source model."""
    file, out = folder / "config.yaml", folder / f"by-{workers}"
    file.write_text(to_yaml(config), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        rendezvous = ["--master-addr", "127.0.0.1", "--master-port", str(free.getsockname()[1])]
    launcher = [sys.executable, "-m", "torch.distributed.run", *rendezvous, "--nproc-per-node", str(workers)]
    options = ["--config", str(file), "--cache", str(folder / "cache"), "--out", str(out)]
    subprocess.run([*launcher, "-m", "gckd", "train", *options], check=True, capture_output=True)
    checkpoint: dict[str, Any] = load_checkpoint(out / "full" / f"seed-{config.seed}" / "checkpoint.pt")
    return checkpoint


def losses(checkpoint: Mapping[str, Any], config: Config) -> dict[tuple[int, str], float]:
    """Loss terms of the adaptation, by step and name."""
    terms = {field.name for field in dataclasses.fields(config.weights)}
    points = [point for point in checkpoint["curve"] if point["stage"] == "adapt" and point["name"] in terms]
    return {(point["step"], point["name"]): point["value"] for point in points}


def largest_difference(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> tuple[float, str]:
    """Largest difference of a weight, and the name of its tensor."""
    return max((float((a[name] - b[name]).abs().max()), name) for name in a if a[name].is_floating_point())


def without_key_biases(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights without the biases of attention keys.

    Their gradient is zero except for rounding: softmax ignores a constant added to the products with all keys.
    """
    rest = dict(weights)
    for name, weight in weights.items():
        if name.endswith("attn.qkv.bias"):
            query, _, value = weight.chunk(3)
            rest[name] = torch.cat((query, value))
        elif name.endswith("self.key.bias"):
            del rest[name]
    return rest


@click.command()
@config_options("tiny")
@click.option("--ids", default=120, show_default=True, help="Train identities of the street.")
@click.option("--steps", default=20, show_default=True, type=click.IntRange(min=1, max=1000), help="Adaptation steps.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(min=2), help="Workers of the second run.")
def main(name: str, assignments: tuple[str, ...], ids: int, steps: int, workers: int) -> None:
    """Compare losses and weights of one worker and of several in float32, from one source model.

    Both are runs of `gckd train` without dropout, whose masks differ between workers. In float64 they agree to 1e-9
    (tests/training/test_parity.py), so the printed differences come from rounding and its growth during training.

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
        paths = {"data.source": str(folder / "street" / SOURCE), "data.target": str(folder / "street" / TARGET)}
        config = apply(config, edits | paths | parse_edits(assignments))
        single, several = adapted(config, folder, 1), adapted(config, folder, workers)
    single_losses, several_losses = losses(single, config), losses(several, config)
    table = Table("step", "largest difference of a loss term", "term", "value of the term")
    for step in sorted({1, 2, 5, 10, steps} & {step for step, _ in single_losses}):
        differences = {
            term: abs(value - several_losses[at, term]) for (at, term), value in single_losses.items() if at == step
        }
        term = max(differences, key=differences.__getitem__)
        table.add_row(str(step), f"{differences[term]:.1e}", term, f"{single_losses[step, term]:.2f}")
    students = single["modules"]["student"], several["modules"]["student"]
    all_weights, other_weights = largest_difference(*students), largest_difference(*map(without_key_biases, students))
    table.caption = (
        f"{name}, float32, 1 worker and {workers}. Largest difference of a weight after {steps} steps: "
        f"{all_weights[0]:.1e} in {all_weights[1]}; without key biases of attention: "
        f"{other_weights[0]:.1e} in {other_weights[1]}"
    )
    wide_console().print(table)


if __name__ == "__main__":
    main()
