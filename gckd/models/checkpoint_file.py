"""Files of pretrained weights: read without executing code, and taken out of the wrappers of training programs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from gckd.config.paths import albef_checkpoint
from gckd.errors import InputError
from gckd.models.file_description import describe_unreadable, is_safetensors
from gckd.printable import brief
from gckd.storage.tensor_file import read_tensors

Weights = dict[str, Tensor]

_MAX_DEPTH = 5  # of dictionaries inside each other, from the file to the weights

# Segments that wrappers insert anywhere in a name: DataParallel, torch.compile, FSDP, activation checkpointing.
_INSERTED = re.compile(r"(?<![^.])(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
# First segments of ALBEF's names, and of the names of gckd.
_PARTS = r"(?:visual_encoder|text_encoder|vision_proj|text_proj)(?:_m)?\.|itm_head\.|(?:temp|log_tau)$"
_NAME = re.compile(rf"^(?P<prefix>(?:[^.]+\.)*?)(?:{_PARTS})")
_AVERAGED = re.compile(r"ema|averag|shadow|teacher|momentum", re.IGNORECASE)


@dataclass(frozen=True)
class CheckpointFile:
    """Tensors of a checkpoint by their published names, and remarks about what was taken out of the file."""

    weights: Weights
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Model:
    """Tensors of one model in a file: a dictionary in it, and the common prefix of the names."""

    path: str  # keys of the dictionaries around it, joined by dots
    prefix: str
    names: int  # names of ALBEF under this prefix

    @property
    def rank(self) -> tuple[int, bool]:
        """Order of preference: most names first, and among equals weights that are no average over training."""
        return self.names, not _AVERAGED.search(f"{self.path}.{self.prefix}")

    def __str__(self) -> str:
        return ".".join(part for part in (self.path, self.prefix.rstrip(".")) if part)


def read_checkpoint(path: str | Path) -> CheckpointFile:
    """Weights of the model in a checkpoint, read without executing its code.

    The weights may be at the top of the file or inside dictionaries (`model`, `state_dict`, `model_state_dict`, `net`,
    ...), and under prefixes (`module.`, `model.`, `_orig_mod.`, `ema_model.`, ...). Of several models, the one with the
    most names of ALBEF is read, and of equal ones the first that is no moving average.

    Raises:
        InputError: the file does not exist, or does not contain named tensors that can be read safely.
    """
    path = albef_checkpoint(path)
    content = _content(path)
    groups = dict(_groups_of_tensors(content, set()))
    if not groups:
        raise InputError(f"backbone.weights: {path} contains no named tensors, only {_kind(content)}")
    models = [model for where, tensors in groups.items() for model in _models(where, tensors)]
    if not models:  # another architecture; `load_weights` lists what is missing
        return CheckpointFile(max(groups.values(), key=len))
    best = max(models, key=lambda model: model.rank)
    unread = [str(model) or "the top level" for model in models if model is not best]
    notes = [f"read from {best}"] if str(best) not in ("", "model") else []
    notes += [f"not read: another model under {name}" for name in unread]
    others = {model.prefix for model in models if model.path == best.path} - {best.prefix, ""}
    return CheckpointFile(_unprefixed(groups[best.path], best.prefix, others), tuple(notes))


def _content(path: Path) -> Any:
    try:
        if is_safetensors(path):
            return safetensors.torch.load_file(path)
        return read_tensors(path)
    except InputError as error:
        raise InputError(f"backbone.weights: {error}") from error
    except Exception as error:  # damaged files make the readers raise almost every exception type
        raise InputError(f"backbone.weights: {path}: {describe_unreadable(path, error)}") from error


def _groups_of_tensors(
    content: Any, visited: set[int], path: str = "", depth: int = 0
) -> Iterator[tuple[str, Weights]]:
    """Every dictionary with named tensors inside a file, by the keys that lead to it.

    Args:
        visited: ids of dictionaries, extended: a file can refer to one dictionary many times, at every level.
    """
    if not isinstance(content, Mapping) or depth > _MAX_DEPTH or id(content) in visited:
        return
    visited.add(id(content))
    tensors = {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor)}
    if tensors:
        yield path, tensors
    for key, value in content.items():
        if isinstance(key, str):
            yield from _groups_of_tensors(value, visited, f"{path}.{key}" if path else key, depth + 1)


def _models(path: str, tensors: Weights) -> list[_Model]:
    """Models in one dictionary, one for each prefix of their names."""
    matches = (_NAME.match(_INSERTED.sub("", key)) for key in tensors)
    counts = Counter(match["prefix"] for match in matches if match)
    return [_Model(path, prefix, names) for prefix, names in counts.items()]


def _unprefixed(tensors: Weights, prefix: str, others: set[str]) -> Weights:
    """Tensors by their names without the prefix; those of models under the prefixes in `others` are left out.

    Raises:
        InputError: two of them have one name, such as `x` and `module.x`, and other values.
    """
    weights: Weights = {}
    for key, value in tensors.items():
        name = _INSERTED.sub("", key)
        match = _NAME.match(name)
        if name.startswith(tuple(others)) or (match is not None and match["prefix"] != prefix):
            continue
        name = name.removeprefix(prefix)
        if name in weights and not torch.equal(weights[name], value):
            raise InputError(
                f"backbone.weights: the file has two weights of the name {brief(name)}, the second as {brief(key)}; "
                "keep those of one model"
            )
        weights[name] = value
    return weights


def _kind(content: Any) -> str:
    if isinstance(content, Mapping):
        keys = ", ".join(map(repr, list(content)[:5])) or "nothing"
        return f"a dictionary with {keys[:80]}"
    return f"an object of type {type(content).__name__}"
