"""Checkpoint files: weights inside the wrappers of training programs, and descriptions of files that hold none."""

from __future__ import annotations

import argparse
import gzip
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gckd.errors import InputError
from gckd.models.checkpoint_file import Weights, read_checkpoint
from tests.models.test_weights import model
from tests.published import published

WEIGHTS = published(model(1))
EMA = {key: value + 1 for key, value in WEIGHTS.items()}


def prefixed(prefix: str, weights: Weights = WEIGHTS) -> Weights:
    return {prefix + key: value for key, value in weights.items()}


def inserted(segment: str) -> Weights:
    """Names with a segment after their first one, as of a compiled or distributed submodule."""
    return {key.replace(".", f".{segment}", 1): value for key, value in WEIGHTS.items()}


WRAPPINGS: dict[str, Any] = {
    "module.": {"model": prefixed("module.")},
    "model.": prefixed("model."),
    "_orig_mod.": prefixed("_orig_mod."),
    "several prefixes": {"net": prefixed("module._orig_mod.model.")},
    "inside names": inserted("_orig_mod.") | {"visual_encoder.module.norm.weight": torch.ones(16)},
    "state_dict": {"state_dict": OrderedDict(WEIGHTS), "epoch": 3},
    "model_state_dict": {"model_state_dict": WEIGHTS, "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}}},
    "net": {"net": WEIGHTS, "acc": 0.5},
    "lightning": {"state_dict": prefixed("model."), "pytorch-lightning_version": "2.2", "callbacks": {}, "loops": {}},
    "ema alone": {"ema": prefixed("module.") | {"n_averaged": torch.tensor(3)}},
    "ema beside the model": {"model_ema": EMA, "model": WEIGHTS},
    "ema beside the model in one dictionary": prefixed("ema_model.", EMA) | prefixed("online_model."),
    "unknown name": {"checkpoint": {"my_retriever": prefixed("albef.")}},
    "numbers among the tensors": WEIGHTS | {"epoch": 3},
}


@pytest.mark.parametrize("name", WRAPPINGS)
def test_weights_are_read_out_of_their_wrapping(tmp_path: Path, name: str) -> None:
    torch.save(WRAPPINGS[name], tmp_path / "w.pth")
    read = read_checkpoint(tmp_path / "w.pth").weights
    assert read.keys() - {"n_averaged"} == WEIGHTS.keys()
    assert all(torch.equal(read[key], value) or key.endswith("norm.weight") for key, value in WEIGHTS.items())


def test_the_wrapping_and_other_models_are_named(tmp_path: Path) -> None:
    torch.save({"state_dict": prefixed("online_model.") | prefixed("ema_model.", EMA)}, tmp_path / "w.pth")
    notes = read_checkpoint(tmp_path / "w.pth").notes
    assert notes == ("read from state_dict.online_model", "not read: another model under state_dict.ema_model")


def test_safetensors_are_read_under_any_suffix(tmp_path: Path) -> None:
    import safetensors.torch

    safetensors.torch.save_file(prefixed("module."), tmp_path / "w.pth")
    assert read_checkpoint(tmp_path / "w.pth").weights.keys() == WEIGHTS.keys()


@pytest.mark.parametrize("names", [("", "module."), ("module.", ""), ("module._orig_mod.", "module.")])
def test_two_values_of_one_weight_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    """`x` and `module.x` of other values: neither is known to be the model."""
    first, second = names
    torch.save(prefixed(first) | prefixed(second, EMA), tmp_path / "w.pth")
    with pytest.raises(
        InputError, match=r"two weights of the name '[\w.]+', the second as '[\w.]+'; keep those of one"
    ):
        read_checkpoint(tmp_path / "w.pth")
    torch.save(prefixed(first) | prefixed(second), tmp_path / "w.pth")
    assert read_checkpoint(tmp_path / "w.pth").weights.keys() == WEIGHTS.keys()


def write(path: Path, content: str) -> None:
    """Write a file that holds no weights."""
    if content == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "no weights")
    elif content == "namespace":
        torch.save({"model": WEIGHTS, "args": argparse.Namespace(lr=1)}, path)
    elif content == "old format":
        torch.save({"args": argparse.Namespace(lr=1)}, path, _use_new_zipfile_serialization=False)
    elif content == "numpy":
        path.write_bytes(pickle.dumps({"model": np.zeros(2)}))
    elif content == "truncated":
        torch.save(WEIGHTS, path)
        path.write_bytes(path.read_bytes()[:-3000])
    elif content == "no tensors":
        torch.save({"lr": 0.1, "epoch": 3}, path)
    elif content == "torchscript":
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)
    else:
        path.write_bytes(RAW[content])


RAW = {
    "page": b"\n<!DOCTYPE html><title>Google Drive - Virus scan warning</title>",
    "page after a comment": b"<!-- saved from url=(0014)about:internet -->\r\n<html><head>",
    "error page": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
    "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    "gzip": gzip.compress(b"weights"),
    "text": b"404: not found\n",
    "empty": b"",
    "noise": bytes(range(128, 256)) * 5,
}


@pytest.mark.parametrize(
    ("content", "description"),
    [
        ("page", "a web page"),
        ("page after a comment", "a web page"),
        ("error page", "a web page"),
        ("lfs", "a Git LFS pointer"),
        ("gzip", "a gzip archive; unpack it"),
        ("text", "a text file"),
        ("empty", "an empty file"),
        ("noise", "damaged, or not a file of tensors"),
        ("zip", "a ZIP archive that is no PyTorch checkpoint"),
        ("truncated", "an incomplete download"),
        ("namespace", "a pickled object of type argparse.Namespace"),
        ("torchscript", "a TorchScript archive, which holds code"),
        ("old format", "a pickled object of type argparse.Namespace"),
        ("numpy", "a pickled object of type numpy."),
        ("no tensors", "no named tensors, only a dictionary with 'lr', 'epoch'"),
    ],
)
def test_a_file_without_weights_is_described_in_one_line(tmp_path: Path, content: str, description: str) -> None:
    write(tmp_path / "w.pth", content)
    with pytest.raises(InputError) as caught:
        read_checkpoint(tmp_path / "w.pth")
    message = str(caught.value)
    assert description in message and "w.pth" in message
    assert "weights_only" not in message and "\n" not in message
