"""Published ALBEF checkpoints: a report on every key, renaming and resizing to this project's model."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from gckd.errors import InputError, reason_of
from gckd.models.checkpoint_file import Weights
from gckd.models.vision import Grid, resize_positions, trained_grid
from gckd.storage.path import expanded

# Published name -> our name; the first match counts. Pre-training and RaSa use `text_encoder.bert.`, fine-tuned
# retrieval models `text_encoder.`.
_NAMES = (
    (re.compile(r"^text_encoder\.(?:bert\.)?embeddings\."), "text_encoder.embeddings."),
    (re.compile(r"^text_encoder\.(?:bert\.)?encoder\.layer\."), "text_encoder.layer."),
    (re.compile(r"^text_encoder\.cls\.predictions\."), "text_encoder.predictions."),
    (re.compile(r"^temp$"), "log_tau"),
)
_MOMENTUM = re.compile(r"^(visual_encoder|text_encoder|vision_proj|text_proj)_m\.")
_UNUSED = (
    (_MOMENTUM, "momentum copies"),
    (re.compile(r"^(image_queue|text_queue|idx_queue|queue_ptr)$"), "queues"),
    (re.compile(r"\.embeddings\.position_ids$"), "position ids (0, 1, 2, ...)"),
    (re.compile(r"^n_averaged$"), "counter of a moving average"),
    (re.compile(r"^(prd_head|mrtd_head)\."), "heads of RaSa's own objectives"),
)
_TIED = {
    "text_encoder.predictions.decoder.weight": "text_encoder.embeddings.word_embeddings.weight",
    "text_encoder.predictions.decoder.bias": "text_encoder.predictions.bias",
}
_MLM_HEAD = "text_encoder.predictions."  # ALBEF's fine-tuned retrieval models have none
_TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)  # of weights
_LISTED = 5  # names in a line; `gckd weights` lists all
LEAST_SHARE = 0.5  # of the backbone's parameters that a checkpoint must hold
_POSITIONS = "visual_encoder.pos_embed"
_TEXT_POSITIONS = "text_encoder.embeddings.position_embeddings.weight"


@dataclass
class KeyReport:
    """Outcome of loading for every key of a checkpoint, and weights of the model that are missing in it.

    Keys are named as in the checkpoint, missing weights as in the model.
    """

    loaded: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)  # loaded, but resized or cut: "name: change"
    unused: dict[str, list[str]] = field(default_factory=dict)  # reason -> keys
    optional: list[str] = field(default_factory=list)  # missing, but not needed: the MLM head
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    wrong_shape: list[str] = field(default_factory=list)
    share: float = 0.0  # of the model's parameters that were loaded

    def problems(self) -> Iterator[str]:
        """One short line for each kind of problem that a strict load refuses."""
        for kind in ("missing", "unexpected", "wrong_shape"):
            if names := getattr(self, kind):
                yield f"{len(names)} {kind.replace('_', ' ')}: {_first(names)}"

    def summary(self) -> tuple[str, ...]:
        """Report of a few short lines, for the start of a run and its record."""
        lines = [f"{len(self.loaded)} tensors loaded, {100 * self.share:.1f} % of the backbone's parameters"]
        lines += [f"fitted: {change}" for change in self.changed]
        if self.optional:
            lines.append("the checkpoint has no MLM head; it starts from random weights")
        for kind in ("missing", "unexpected", "wrong_shape"):
            if names := getattr(self, kind):
                lines.append(f"{len(names)} {kind.replace('_', ' ')}, not loaded: {_first(names)}")
        return tuple(lines)


def _first(names: list[str]) -> str:
    """The first few names; an ellipsis stands for the others."""
    return ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")


def momentum_copies(weights: Weights) -> Weights:
    """The checkpoint with its momentum copies in place of the online weights; unchanged if it has no copies."""
    copies = {_MOMENTUM.sub(r"\1.", key): value for key, value in weights.items() if _MOMENTUM.match(key)}
    return {key: copies.get(key, value) for key, value in weights.items()}


def load_weights(model: nn.Module, weights: Weights, grid: Grid, mode: str, strict: bool) -> KeyReport:
    """Load published weights into an `AlbefBackbone`. The arguments are those of `fit_weights`.

    Raises:
        InputError: see `fit_weights`.
    """
    report, fitted = fit_weights(model.state_dict(), weights, grid, mode)
    refuse_misfit(report, strict)
    model.load_state_dict(fitted, strict=False)
    return report


def fit_weights(state: Weights, weights: Weights, grid: Grid, mode: str) -> tuple[KeyReport, Weights]:
    """Rename and resize published weights to those of an `AlbefBackbone`.

    Args:
        state: the model's own weights; only their names and shapes are read.
        grid: rows and columns of patches in the model's images.
        mode: interpolation of position embeddings, `bicubic` (as in ALBEF) or `bilinear`.

    Returns:
        The report, and the weights that fit, by the model's names.

    Raises:
        InputError: a weight that would be loaded is NaN or infinite in the model's type, or is of another type than
            `_TYPES`.
    """
    _check_types(weights, state)
    report, fitted = _rename(weights, state)
    _resize(fitted, state, grid, mode, report, square="log_tau" not in weights)
    infinite = [name for name, value in fitted.items() if not _is_finite(value.to(state[name].dtype))]
    if infinite:
        raise InputError(f"backbone.weights: {len(infinite)} weights hold NaN or infinite values ({_first(infinite)})")
    total = sum(value.numel() for name, value in state.items() if name not in _TIED)
    report.share = sum(value.numel() for value in fitted.values()) / total
    return report, fitted


def refuse_misfit(report: KeyReport, strict: bool) -> None:
    """Refuse a checkpoint that does not fit.

    Args:
        strict: refuse missing, unexpected or misshapen weights; otherwise the model keeps its own, and the report
            lists them.

    Raises:
        InputError: `strict`, and weights are missing, unexpected or misshapen (the message has their numbers and the
            first few names); or less than half of the model's parameters are in the checkpoint.
    """
    problems = list(report.problems())
    listed = [f"  {line}" for line in problems]
    if report.share < LEAST_SHARE:
        raise InputError(
            f"backbone.weights: the checkpoint does not fit: it holds {100 * report.share:.1f} % of the backbone's "
            f"parameters; at least {100 * LEAST_SHARE:.0f} % are needed; `gckd weights FILE` lists all keys",
            *listed,
        )
    if strict and problems:
        raise InputError(
            "backbone.weights: the checkpoint does not fit (backbone.strict=false loads the weights that do); "
            "`gckd weights FILE` lists all keys",
            *listed,
        )


def _check_types(weights: Weights, state: Weights) -> None:
    """Refuse weights of the model that are not of one of `_TYPES`."""
    names = [name for name, value in weights.items() if our_name(name) in state and value.dtype not in _TYPES]
    if names:
        raise InputError(
            f"backbone.weights: {names[0]} is of type {weights[names[0]].dtype}; "
            f"choose from {', '.join(map(str, _TYPES))}"
        )


def _is_finite(value: Tensor) -> bool:
    return bool(torch.isfinite(value).all())


def our_name(key: str) -> str:
    """Name in `AlbefBackbone` of a published weight."""
    for pattern, name in _NAMES:
        if pattern.match(key):
            return pattern.sub(name, key)
    return key


def _rename(weights: Weights, state: Weights) -> tuple[KeyReport, Weights]:
    """Weights that the model has, by its names, and a report on all keys. `state`: the model's current weights."""
    report, ours = KeyReport(), {}
    for key, value in weights.items():
        name = our_name(key)
        reason = next((reason for pattern, reason in _UNUSED if pattern.search(key)), None)
        if reason is None and name in _TIED and _equal_to_tied(weights, name, value):
            reason = "tied: equal to another weight"
        if reason is not None:
            report.unused.setdefault(reason, []).append(key)
        elif name in state and name not in _TIED:
            ours[name] = value.log() if name == "log_tau" != key else value
            report.loaded.append(key)
        else:
            report.unexpected.append(key)
    missing = [name for name in state if name not in ours and name not in _TIED]
    if not any(name.startswith(_MLM_HEAD) for name in ours):
        report.optional = [name for name in missing if name.startswith(_MLM_HEAD)]
    report.missing = [name for name in missing if name not in report.optional]
    return report, ours


def _equal_to_tied(weights: Weights, name: str, value: Tensor) -> bool:
    """Whether a weight equals the one it is tied to; a decoder with weights of its own must not be dropped."""
    return any(our_name(key) == _TIED[name] and torch.equal(original, value) for key, original in weights.items())


def _resize(ours: Weights, state: Weights, grid: Grid, mode: str, report: KeyReport, square: bool) -> None:
    """Resize positions to the model's images and captions; drop weights whose shape still differs.

    Args:
        square: read an ambiguous number of positions as a square, as in published checkpoints.
    """
    shape, count = ours[_POSITIONS].shape if _POSITIONS in ours else (), 0
    if len(shape) == 3 and shape[::2] == state[_POSITIONS].shape[::2]:
        count = shape[1] - 1
    if count > 0:
        old, side = trained_grid(count, grid, square), math.isqrt(count)
        if side * side == count == grid[0] * grid[1] and grid != (side, side):
            grids = [f"{side} x {side}", f"{grid[0]} x {grid[1]}"]
            assumption = ", could be ".join(grids if square else reversed(grids))
            report.changed.append(f"{_POSITIONS}: {count} positions taken as {assumption}")
        if old is not None and old != grid:
            ours[_POSITIONS] = resize_positions(ours[_POSITIONS], old, grid, mode)
            report.changed.append(f"{_POSITIONS}: {old[0]} x {old[1]} -> {grid[0]} x {grid[1]} patches, {mode}")
    if _TEXT_POSITIONS in ours and len(ours[_TEXT_POSITIONS]) > (most := len(state[_TEXT_POSITIONS])):
        report.changed.append(f"{_TEXT_POSITIONS}: the first {most} of {len(ours[_TEXT_POSITIONS])} (data.max_tokens)")
        ours[_TEXT_POSITIONS] = ours[_TEXT_POSITIONS][:most]
    for name in [name for name in ours if ours[name].shape != state[name].shape]:
        model_shape, checkpoint_shape = tuple(state[name].shape), tuple(ours.pop(name).shape)
        report.wrong_shape.append(f"{name} {checkpoint_shape} in the checkpoint, {model_shape} in the model")
        report.loaded = [key for key in report.loaded if our_name(key) != name]


def weights_digest(name: str) -> str:
    """Identity of the weights that `backbone.weights` names: digest of a file or of a folder's files, or a hub name.

    Raises:
        InputError: a file cannot be read.
    """
    path = expanded(name)
    if not name or not (path.exists() or path.suffix):
        return name
    files = sorted(path.glob("*.safetensors")) + sorted(path.glob("*.bin")) if path.is_dir() else [path]
    return " ".join(file_digest(file) for file in files)


def file_digest(path: Path) -> str:
    """First 16 hexadecimal digits of the SHA-256 of a checkpoint.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise InputError(f"backbone.weights: {path} cannot be read ({reason_of(error)})") from error
