"""Readers of checkpoints and tokenizers, as `benchmarks/fuzz.py` calls them: content and scratch folder in."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from benchmarks.scratch_files import InvalidSeedError, Reader, bytes_of, json_value, write_file
from gckd.config.backbone import Albef, Text, Vision
from gckd.data.tokenizer import Tokenizer
from gckd.data.types import Vocabulary
from gckd.data.wordpiece import SPECIALS, bert, load_pretrained
from gckd.models.albef import AlbefBackbone
from gckd.models.albef_sizes import fitting_config
from gckd.models.base import InputSizes
from gckd.models.checkpoint_file import read_checkpoint
from gckd.models.weights import fit_weights
from gckd.storage.checkpoint import STAGE_FIELDS, load_checkpoint

_SIZES = InputSizes(Vocabulary(20, 3), 32, 16, 12)


@functools.cache
def _model() -> AlbefBackbone:
    torch.manual_seed(0)
    vision = Vision(patch=8, stem="linear", width=16, depth=1, heads=2, mlp_ratio=2.0)
    return AlbefBackbone(
        Albef(vision=vision, text=Text(width=16, depth=1, fusion_depth=1, heads=2), embed_dim=8), _SIZES
    )


def checkpoints() -> list[bytes]:
    """A small ALBEF as PyTorch and safetensors write it, and a pickle of an older PyTorch."""
    state = _model().state_dict()
    wrapped = {"model": {f"module.{name}": value for name, value in state.items()}, "epoch": 3}
    return [
        _saved(state),
        _saved(wrapped),
        bytes_of(lambda file: torch.save(wrapped, file, _use_new_zipfile_serialization=False)),
        safetensors.torch.save({name: value.clone() for name, value in state.items()}),
    ]


def checkpoint(content: bytes, folder: Path) -> None:
    """`backbone.weights`, and `gckd weights FILE`."""
    weights = read_checkpoint(write_file(folder / "a.pth", content)).weights
    fit_weights(_model().state_dict(), weights, (4, 2), "bicubic")
    fitting_config(weights)


def checkpoint_values() -> list[bytes]:
    """Shapes of the tensors of a small ALBEF, by their names, and other values."""
    shapes = {name: {"shape": list(value.shape)} for name, value in _model().state_dict().items()}
    half = {name: {"shape": shape["shape"], "dtype": "float16"} for name, shape in shapes.items()}
    wrapped = {"state_dict": shapes, "epoch": 3, "args": {"lr": 0.1}}
    return [json.dumps(content).encode() for content in (shapes, wrapped, half)]


def checkpoint_of_values(content: bytes, folder: Path) -> None:
    """The same for a whole file with other names, shapes and values."""
    try:
        value = _with_tensors(json_value(content))
    except RecursionError as error:
        raise InvalidSeedError from error
    checkpoint(_saved(value), folder)


def _with_tensors(value: Any) -> Any:
    """The value with a tensor of zeros for each `{"shape": [...]}`, of the type in "dtype"."""
    if isinstance(value, dict) and "shape" in value and set(value) <= {"shape", "dtype"}:
        try:
            zeros = torch.zeros([min(size, 64) for size in value["shape"]])
            return zeros.to(getattr(torch, value.get("dtype", "float32")))
        except (RuntimeError, TypeError, AttributeError, ValueError):
            return None
    if isinstance(value, dict):
        return {key: _with_tensors(inner) for key, inner in value.items()}
    return [_with_tensors(inner) for inner in value] if isinstance(value, list) else value


def run_checkpoints() -> list[bytes]:
    """A checkpoint of a training stage."""
    fields = {"digest": "0" * 16, "step": 4, "modules": {"student": {}}, "optimizer": [], "curve": [], "seconds": 1.0}
    return [_saved(fields)]


def run_checkpoint(content: bytes, folder: Path) -> None:
    """checkpoint.pt of a run, or of the cache."""
    load_checkpoint(write_file(folder / "checkpoint.pt", content), STAGE_FIELDS)


def _saved(value: Any) -> bytes:
    try:
        return bytes_of(lambda file: torch.save(value, file))
    except (RecursionError, UnicodeEncodeError, OverflowError) as error:
        raise InvalidSeedError from error


def tokenizers() -> list[bytes]:
    """tokenizer.json of a small BERT."""
    pieces = [*SPECIALS, *"abcdefgh", "##a", "##b"]
    return [bert({piece: number for number, piece in enumerate(pieces)}).to_str().encode()]


def tokenizer(name: str) -> Reader:
    """Reader of a file in the folder of a tokenizer; the others of the folder are valid."""
    return functools.partial(_tokenizer, name)


def _tokenizer(name: str, content: bytes, folder: Path) -> None:
    if name != "tokenizer.json":
        write_file(folder / "vocab.txt", "\n".join([*SPECIALS, "a", "b"]).encode())
    write_file(folder / name, content)
    Tokenizer(load_pretrained(str(folder)), max_words=8, max_tokens=12).encode(["a man", ""])
