"""Small files of PyTorch that would take much memory, or hold tensors without plain values."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from gckd.errors import InputError
from gckd.models.checkpoint_file import read_checkpoint
from gckd.storage.checkpoint import load_checkpoint, save_atomically
from gckd.storage.tensor_file import read_tensors


def compressed(content: Any) -> bytes:
    """The file of `torch.save`, packed again with compression."""
    plain, packed = io.BytesIO(), io.BytesIO()
    torch.save(content, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    return packed.getvalue()


def saved(file: Path, content: Any) -> Path:
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    return file


@pytest.mark.filterwarnings("ignore")  # quantized tensors are deprecated
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            compressed({"a": torch.zeros(10**6)}),
            "unpacks to 4,00.,... bytes; the limit is 1,048,576 bytes, 4 times",
        ),
        ({"a": torch.zeros(1).expand(10**4, 10**4)}, "the tensor 'a' takes 400,000,000 bytes; the limit is 1,048,576"),
        ({"a": [torch.zeros(9, device="meta")]}, "the tensor 0 is sparse, quantized or without values"),
        ({"a": {"b": torch.zeros(9).to_sparse()}}, "the tensor 'b' is sparse"),
        ({"a": torch.quantize_per_tensor(torch.zeros(9), 0.1, 0, torch.qint8)}, "the tensor 'a' is sparse, quantized"),
    ],
)
def test_files_that_unpack_to_much_more_are_refused(tmp_path: Path, content: Any, message: str) -> None:
    file = saved(tmp_path / "a.pth", content)
    for read in (read_tensors, read_checkpoint, load_checkpoint):
        with pytest.raises(InputError, match=message) as refusal:
            read(file)
        assert str(file) in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_file_may_be_packed_again_and_hold_views(tmp_path: Path) -> None:
    values = torch.randn(10**6)
    file = saved(tmp_path / "a.pth", compressed({"a": values, "b": values[:4].expand(3, 4)}))
    content = read_tensors(file)
    assert torch.equal(content["a"], values) and content["b"].shape == (3, 4)


def test_one_dictionary_under_many_names_is_read_once(tmp_path: Path) -> None:
    """With 300 names at each of five levels, it would otherwise be visited 300^5 times."""
    level: dict[str, Any] = {"visual_encoder.cls_token": torch.ones(2)}
    for _ in range(5):
        level = dict.fromkeys(map(str, range(300)), level)
    assert list(read_checkpoint(saved(tmp_path / "a.pth", level)).weights) == ["visual_encoder.cls_token"]


def test_a_checkpoint_with_one_changed_byte_of_a_weight_is_refused(tmp_path: Path) -> None:
    """PyTorch reads it without a word, and the run would go on with a wrong weight."""
    file = tmp_path / "checkpoint.pt"
    save_atomically(file, {"weight": torch.full((1000,), 3.0)})
    assert torch.equal(load_checkpoint(file)["weight"], torch.full((1000,), 3.0))
    content = bytearray(file.read_bytes())
    content[content.index(struct.pack("<4f", 3, 3, 3, 3)) + 40] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"is damaged: the check sum of .*data/0. is wrong; .*delete the file"):
        load_checkpoint(file)
