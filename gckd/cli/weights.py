"""`gckd weights`: keys of a published ALBEF checkpoint that the backbone loads."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click
from rich.table import Table

from gckd.cli.options import LateConfig, late_config_options
from gckd.cli.parameter_types import LocalPath
from gckd.errors import InputError
from gckd.report.console import wide_console


@click.command()
@click.argument("file", type=LocalPath())
@late_config_options
def weights(file: Path, config: LateConfig) -> int:
    """List which keys of a checkpoint the backbone loads.

    FILE is an ALBEF checkpoint, and the config describes the backbone. Without --preset and --config, it is preset base
    with the sizes of the file. The vocabulary size is that of the file. A checkpoint does not hold the number of
    attention heads: compare backbone.vision.heads and backbone.text.heads with its documentation.

    \b
    Example:
      gckd weights ALBEF.pth

    Exit status: 0, or 1 if weights are missing, unexpected or of another shape, or 2 if the file cannot be read.
    """
    from gckd.data.types import Vocabulary
    from gckd.models.albef import AlbefBackbone
    from gckd.models.albef_sizes import fitting_config
    from gckd.models.build import build_model
    from gckd.models.checkpoint_file import read_checkpoint
    from gckd.models.weights import fit_weights, our_name

    checkpoint = read_checkpoint(file)
    published = checkpoint.weights
    words = next((v for k, v in published.items() if our_name(k).endswith("word_embeddings.weight")), None)
    if words is None:
        raise InputError(f"backbone.weights: {file} has no word embeddings; an ALBEF checkpoint is expected")
    resolved = config(lambda: fitting_config(published))
    model = build_model(resolved, Vocabulary(len(words), end=0))
    if not isinstance(model, AlbefBackbone):
        raise InputError(
            f"backbone: {resolved.backbone.kind!r} is outside its limit: this command reads ALBEF checkpoints"
        )
    report, _ = fit_weights(model.state_dict(), published, model.grid, model.config.positions)
    table = Table("what", "keys", "which", title=f"{file.name}: {len(published)} keys")
    for note in checkpoint.notes:
        table.add_row("file", "", note)
    table.add_row("loaded", str(len(report.loaded)), _grouped(report.loaded))
    for line in report.changed:
        table.add_row("  of these, fitted", "", line)
    for reason, keys in report.unused.items():
        table.add_row(f"not used: {reason}", str(len(keys)), _grouped(keys))
    if report.optional:
        table.add_row("not in the file: MLM head", str(len(report.optional)), "\n".join(report.optional))
    for kind in ("missing", "unexpected", "wrong_shape"):
        names: list[str] = getattr(report, kind)
        table.add_row(kind.replace("_", " "), str(len(names)), "\n".join(names))
    wide_console().print(table)
    return 1 if list(report.problems()) else 0


def _grouped(keys: Iterable[str]) -> str:
    """Number of keys for each first part of their names; a single key in full."""
    groups: dict[str, list[str]] = {}
    for key in keys:
        groups.setdefault(key.partition(".")[0], []).append(key)
    return ", ".join(f"{name}.* ({len(names)})" if len(names) > 1 else names[0] for name, names in groups.items())
