"""Published ALBEF checkpoints: read safely, every key accounted for, names mapped to ours, positions resized."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from gckd.config.paths import albef_checkpoint
from gckd.errors import InputError, reason_of
from gckd.models.albef import AlbefModel
from gckd.models.vision import Grid, grid_of, resize_positions

Weights = dict[str, Tensor]

# Published name -> ours, first match. Pre-training and RaSa say `text_encoder.bert.`, fine-tuned retrieval does not.
_NAMES = (
    (re.compile(r"^text_encoder\.(?:bert\.)?embeddings\."), "text_encoder.embeddings."),
    (re.compile(r"^text_encoder\.(?:bert\.)?encoder\.layer\."), "text_encoder.layer."),
    (re.compile(r"^text_encoder\.cls\.predictions\."), "text_encoder.predictions."),
    (re.compile(r"^temp$"), "log_tau"),
)
_COPY = re.compile(r"^(visual_encoder|text_encoder|vision_proj|text_proj)_m\.")
_UNUSED = (
    (_COPY, "momentum copies"),
    (re.compile(r"^(image_queue|text_queue|idx_queue|queue_ptr)$"), "queues"),
    (re.compile(r"\.embeddings\.position_ids$"), "position ids, counted from 0 here too"),
    (re.compile(r"^(prd_head|mrtd_head)\."), "heads of RaSa's own objectives"),
)
_TIED = {
    "text_encoder.predictions.decoder.weight": "text_encoder.embeddings.word_embeddings.weight",
    "text_encoder.predictions.decoder.bias": "text_encoder.predictions.bias",
}
_POSITIONS = "visual_encoder.pos_embed"
_TEXT_POSITIONS = "text_encoder.embeddings.position_embeddings.weight"


@dataclass
class KeyReport:
    """What became of every key of a checkpoint, and of every weight of the model. Names as in the checkpoint."""

    loaded: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)  # loaded, but resized or cut: "name: what was done"
    unused: dict[str, list[str]] = field(default_factory=dict)  # reason -> keys
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    wrong_shape: list[str] = field(default_factory=list)

    def problems(self) -> Iterator[str]:
        """One line for each kind of key that a strict load refuses."""
        for kind in ("missing", "unexpected", "wrong_shape"):
            names = getattr(self, kind)
            if names:
                yield f"{len(names)} {kind.replace('_', ' ')}: {', '.join(names)}"


def read_weights(path: str | Path) -> Weights:
    """The tensors of a checkpoint, `{"model": {...}}` or flat, by their published names; nothing in it is executed.

    Raises:
        InputError: there is no such file, or it holds no named tensors that can be read without running code.
    """
    path = albef_checkpoint(path)
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(f"backbone.weights: {path} cannot be read as weights alone ({reason_of(error)})") from error
    content = content.get("model", content) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise InputError(f'backbone.weights: {path} holds no named tensors, neither flat nor under "model"')
    return content


def momentum_copies(weights: Weights) -> Weights:
    """The same checkpoint with its momentum copies in place of the weights they follow; as it is without copies."""
    copies = {_COPY.sub(r"\1.", key): value for key, value in weights.items() if _COPY.match(key)}
    return {key: copies.get(key, value) for key, value in weights.items()}


def load_weights(model: AlbefModel, weights: Weights, grid: Grid, mode: str, strict: bool) -> KeyReport:
    """Fill the model from published weights.

    Args:
        grid: patches (rows, columns) of the model's images. mode: of resizing position embeddings, `bicubic` (ALBEF's)
            or `bilinear`. strict: refuse where a weight is missing, unexpected or of another shape; else leave those
            as they are and say so in the report.

    Raises:
        InputError: strict, and something is missing, unexpected or of another shape; the message lists all of it.
    """
    report, ours = _sort(weights, model.state_dict())
    _fit(ours, model.state_dict(), grid, mode, report)
    problems = list(report.problems())
    if strict and problems:
        listed = "\n".join(f"  {line}" for line in problems)
        raise InputError(
            f"backbone.weights: the checkpoint does not fit (backbone.strict=false loads the rest)\n{listed}"
        )
    model.load_state_dict(ours, strict=False)
    return report


def our_name(key: str) -> str:
    """The name that a published weight has in `AlbefModel`."""
    for pattern, name in _NAMES:
        if pattern.match(key):
            return pattern.sub(name, key)
    return key


def _sort(weights: Weights, wanted: Weights) -> tuple[KeyReport, Weights]:
    report, ours = KeyReport(), {}
    for key, value in weights.items():
        name = our_name(key)
        reason = next((reason for pattern, reason in _UNUSED if pattern.search(key)), None)
        if reason is None and name in _TIED and _equal_to_tied(weights, name, value):
            reason = "tied: the same as another weight"
        if reason is not None:
            report.unused.setdefault(reason, []).append(key)
        elif name in wanted and name not in _TIED:
            ours[name] = value.log() if name == "log_tau" else value
            report.loaded.append(key)
        else:
            report.unexpected.append(key)
    report.missing = [name for name in wanted if name not in ours and name not in _TIED]
    return report, ours


def _equal_to_tied(weights: Weights, name: str, value: Tensor) -> bool:
    """A decoder that was trained on its own is not a duplicate, and may not be dropped as one."""
    return any(our_name(key) == _TIED[name] and torch.equal(other, value) for key, other in weights.items())


def _fit(ours: Weights, wanted: Weights, grid: Grid, mode: str, report: KeyReport) -> None:
    """Resize positions to this model's images and captions; drop what still has another shape."""
    if _POSITIONS in ours and ours[_POSITIONS].shape[::2] == wanted[_POSITIONS].shape[::2]:
        count = ours[_POSITIONS].shape[1] - 1
        old, side = grid_of(count, grid), math.isqrt(count)
        if old == grid != (side, side) and side * side == count:
            taken = f"{grid[0]} x {grid[1]}, could be {side} x {side}"
            report.changed.append(f"{_POSITIONS}: {count} positions taken as {taken}")
        if old is not None and old != grid:
            ours[_POSITIONS] = resize_positions(ours[_POSITIONS], old, grid, mode)
            report.changed.append(f"{_POSITIONS}: {old[0]} x {old[1]} -> {grid[0]} x {grid[1]} patches, {mode}")
    if _TEXT_POSITIONS in ours and len(ours[_TEXT_POSITIONS]) > (most := len(wanted[_TEXT_POSITIONS])):
        report.changed.append(f"{_TEXT_POSITIONS}: the first {most} of {len(ours[_TEXT_POSITIONS])} (data.max_tokens)")
        ours[_TEXT_POSITIONS] = ours[_TEXT_POSITIONS][:most]
    for name in [name for name in ours if ours[name].shape != wanted[name].shape]:
        here, there = tuple(wanted[name].shape), tuple(ours.pop(name).shape)
        report.wrong_shape.append(f"{name} {there} in the checkpoint, {here} in the model")
        report.loaded = [key for key in report.loaded if our_name(key) != name]
