"""Descriptions of files that cannot be read as weights: a web page, an archive, a pickled object of some type."""

from __future__ import annotations

import pickle
import pickletools
import re
from pathlib import Path

import torch

from gckd.errors import reason_of

_HEAD = 512  # bytes that tell the kind of a file
_PICKLE = 2**20  # bytes in which the first pickled type is searched
_SAVE_TENSORS = (
    "where you trust the file, save its tensors alone with the program that wrote it: "
    "torch.save(model.state_dict(), 'weights.pth')"
)
_ARCHIVES = {b"\x1f\x8b": "gzip", b"7z\xbc\xaf": "7z", b"Rar!": "RAR", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
_PAGE = re.compile(rb"(?:<!--.*?-->\s*)*<(?:!doctype|html|\?xml|head|script|meta|title|body)", re.DOTALL)
_REFUSED_TYPE = re.compile(r"GLOBAL ([\w.]+)")


def is_safetensors(path: Path) -> bool:
    """Whether a file begins like one of safetensors: the length of a JSON header, then the header."""
    head = _head(path)
    return head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= path.stat().st_size - 8


def describe_unreadable(path: Path, error: Exception) -> str:
    """Kind of a file that was refused as weights, with the remedy, in one line.

    Args:
        error: error of the reader. Its text is used only for files that hold tensors: PyTorch's own advice is to
            execute the file.
    """
    if isinstance(error, OSError) and not _head(path):
        return f"cannot be read ({reason_of(error)})"
    head = _head(path)
    text = head.lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if not head:
        return "an empty file; download it again"
    if _PAGE.match(text):
        return "a web page, not a checkpoint; download the file itself, for example from the page in a browser"
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file; fetch the file with `git lfs pull`"
    if archive := next((name for magic, name in _ARCHIVES.items() if head.startswith(magic)), None):
        return f"a {archive} archive; unpack it and give the checkpoint inside"
    return _describe_pickle(path, head, error)


def _describe_pickle(path: Path, head: bytes, error: Exception) -> str:
    is_zip = head.startswith(b"PK")
    if name := _refused_type(path, error, is_zip):
        return f"holds a pickled object of type {name}, which is not read; {_SAVE_TENSORS}"
    if is_zip:
        return "a ZIP archive that is no PyTorch checkpoint, or an incomplete download; compare its size and try again"
    if head[:1] == b"\x80" and head[1] <= pickle.HIGHEST_PROTOCOL:
        return f"a pickled object that is no PyTorch checkpoint, or is damaged; {_SAVE_TENSORS}"
    if _is_text(head):
        return "a text file, not a checkpoint"
    return "damaged, or not a file of tensors (.pth or .safetensors)"


def _refused_type(path: Path, error: Exception, is_zip: bool) -> str:
    """Name of the first pickled type that is not read; empty if there is none. Nothing in the file is executed."""
    if match := _REFUSED_TYPE.search(str(error)):
        return match[1].rstrip(".")
    try:
        if is_zip:
            return next(iter(torch.serialization.get_unsafe_globals_in_checkpoint(str(path))), "")
        with path.open("rb") as file:
            return _first_type(file.read(_PICKLE))
    except Exception:  # damaged
        return ""


def _first_type(pickled: bytes) -> str:
    """Module and name of the first type or function that a pickle refers to."""
    strings: list[str] = []
    for operation, argument, _ in pickletools.genops(pickled):
        if operation.name == "GLOBAL":
            return str(argument).replace(" ", ".")
        if operation.name == "STACK_GLOBAL":
            return ".".join(strings[-2:])
        if isinstance(argument, str):
            strings.append(argument)
    return ""


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError:
        return b""


def _is_text(head: bytes) -> bool:
    try:
        return head.decode("utf-8").isprintable() or b"\n" in head
    except UnicodeDecodeError:
        return False
