"""Readers of images, weights, tables and studies, as `benchmarks/fuzz.py` calls them: content and scratch folder in."""

from __future__ import annotations

import functools
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import optuna
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.torch
import torch
from PIL import Image
from rich.console import Console

from benchmarks.fuzzed_texts import check_line
from gckd.config import config_text, encode, preset
from gckd.config.backbone import Albef, Text, Vision
from gckd.data.annotations import read_annotations
from gckd.data.images import decode, inspect, thumbnail
from gckd.data.remote_store import RemoteStore, upload_store
from gckd.data.store import Store
from gckd.data.store_builder import build_store
from gckd.data.street.arguments import METADATA, existing_counts
from gckd.data.tokenizer import Tokenizer
from gckd.data.types import Vocabulary
from gckd.data.wordpiece import SPECIALS, bert, load_pretrained
from gckd.models.albef import AlbefBackbone
from gckd.models.albef_sizes import fitting_config
from gckd.models.base import InputSizes
from gckd.models.checkpoint_file import read_checkpoint
from gckd.models.weights import fit_weights
from gckd.report.checks.graph_picture import graph_arrays
from gckd.report.table_report import make_report
from gckd.storage.checkpoint import STAGE_FIELDS, load_checkpoint
from gckd.storage.path import StoragePath
from gckd.storage.run_tables import CURVES, RUNS, read_curves, read_queries_table, read_runs
from gckd.tune.best import write_best
from gckd.tune.storage import open_storage
from gckd.tune.study import open_study
from gckd.tune.trial_attributes import check_trials
from gckd.tune.trial_table import write_trials

Reader = Callable[[bytes, Path], None]
_SIZES = InputSizes(Vocabulary(20, 3), 32, 16, 12)


class InvalidSeedError(Exception):
    """A mutated description of a file from which the file cannot be made."""


def images() -> list[bytes]:
    """A picture in every format that is decoded."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 6, 3), dtype=np.uint8)
    pictures = [(name, Image.fromarray(pixels)) for name in ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF")]
    pictures.append(("PNG", Image.fromarray((pixels[..., 0] * 200).astype(np.uint16))))
    return [_encoded(picture, kind) for kind, picture in pictures]


def image(content: bytes, folder: Path) -> None:
    """An image of a dataset."""
    file = _file(folder / "a.png", content)
    inspection = inspect(file)
    check_line(inspection.problem)
    if not inspection.problem:
        decode(content, 8, 4)
        thumbnail(content, 4, 8)


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
        _bytes(lambda file: torch.save(wrapped, file, _use_new_zipfile_serialization=False)),
        safetensors.torch.save({name: value.clone() for name, value in state.items()}),
    ]


def checkpoint(content: bytes, folder: Path) -> None:
    """`backbone.weights`, and `gckd weights FILE`."""
    weights = read_checkpoint(_file(folder / "a.pth", content)).weights
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
        value = _with_tensors(_values(content))
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
    load_checkpoint(_file(folder / "checkpoint.pt", content), STAGE_FIELDS)


def tokenizers() -> list[bytes]:
    """tokenizer.json of a small BERT."""
    pieces = [*SPECIALS, *"abcdefgh", "##a", "##b"]
    return [bert({piece: number for number, piece in enumerate(pieces)}).to_str().encode()]


def tokenizer(name: str) -> Reader:
    """Reader of a file in the folder of a tokenizer; the others of the folder are valid."""
    return functools.partial(_tokenizer, name)


def _tokenizer(name: str, content: bytes, folder: Path) -> None:
    if name != "tokenizer.json":
        _file(folder / "vocab.txt", "\n".join([*SPECIALS, "a", "b"]).encode())
    _file(folder / name, content)
    Tokenizer(load_pretrained(str(folder)), max_words=8, max_tokens=12).encode(["a man", ""])


@functools.cache
def _store(folder: Path) -> Store:
    """A built store of six images."""
    (folder / "toy" / "imgs").mkdir(parents=True)
    entries = []
    for number, split in enumerate(("train", "val", "test") * 2):
        Image.new("RGB", (4, 8), (number * 40, 0, 0)).save(folder / "toy" / "imgs" / f"{number}.png")
        entries.append({"id": number, "img_path": f"{number}.png", "captions": [f"coat {number}"], "split": split})
    _file(folder / "toy" / "data_captions.json", json.dumps(entries).encode())
    store = build_store(read_annotations(str(folder / "toy")), folder / "cache")
    upload_store(store, StoragePath.at(folder / "uploaded"), "")
    return store


def store_seeds(name: str) -> Callable[[Path], list[bytes]]:
    """A file of a store; its folder is that of a split."""
    return lambda folder: [(_store(folder).path / "train" / name).read_bytes()]


def store(name: str) -> Reader:
    """Reader of a store in the cache, of which one file is changed."""
    return functools.partial(_changed_store, name)


def _changed_store(name: str, content: bytes, folder: Path) -> None:
    path = _store(folder).path
    file = path / "train" / name
    valid = file.read_bytes()
    try:
        _replace(file, content)
        split = Store.open(path).labelled("train")
        split.images.decoded(8, 4)
        _ = split.caption_identities, split.captions
    finally:
        _replace(file, valid)
        for pixels in (path / "train").glob("*.npy"):
            pixels.unlink()


def remote_store(name: str) -> Reader:
    """Reader of a store outside of the cache, of which one file is changed."""
    return functools.partial(_changed_remote_store, name)


def _changed_remote_store(name: str, content: bytes, folder: Path) -> None:
    digest = _store(folder).digest
    file = folder / "uploaded" / "train" / name
    valid = file.read_bytes()
    shutil.rmtree(folder / "other" / "stores" / digest, ignore_errors=True)
    try:
        _replace(file, content)
        RemoteStore.open(StoragePath.at(folder / "uploaded")).download(folder / "other").labelled("train")
    finally:
        _replace(file, valid)


def street(content: bytes, folder: Path) -> None:
    """street.json of a generated benchmark."""
    (folder / "street").mkdir(exist_ok=True)
    _file(folder / "street" / METADATA, content)
    existing_counts(folder / "street", {"ids": 24, "seed": 1})


def table_seeds(schema: pa.Schema) -> list[bytes]:
    """Two rows of a table of records, as JSON."""
    filled = {"status": "done", "edits": "{}", "notes": "[]", "plugins": "{}", "row": "full", "top": [1, 2]}
    values = {pa.string(): "a", pa.list_(pa.int32()): [1]}
    row = {field.name: filled.get(field.name, values.get(field.type, 1)) for field in schema}
    return [json.dumps([row, row | {"row": "-gmp", "edits": '{"seed": 5}', "seed": 2}]).encode()]


def table_bytes(schema: pa.Schema) -> list[bytes]:
    """The same table in Parquet."""
    return [_parquet(json.loads(content), schema) for content in table_seeds(schema)]


def runs(content: bytes, folder: Path) -> None:
    """runs.parquet, and the table of its rows."""
    _file(folder / "config.yaml", config_text(preset("tiny")).encode())
    read_runs(_file(folder / "runs.parquet", content))
    if not (folder / "curves.parquet").exists():
        _file(folder / "curves.parquet", table_bytes(CURVES)[0])
    make_report([folder], Console(file=io.StringIO()), out=None, mixed=True)


def curves(content: bytes, folder: Path) -> None:
    """curves.parquet, and the warnings of its rows."""
    read_curves(_file(folder / "curves.parquet", content))
    runs(table_bytes(RUNS)[0], folder)


def queries(content: bytes, folder: Path) -> None:
    """queries.parquet of a run, and its intervals."""
    (folder / "full" / "seed-1").mkdir(parents=True, exist_ok=True)
    read_queries_table(_file(folder / "full" / "seed-1" / "queries.parquet", content))
    runs(table_bytes(RUNS)[0], folder)


def of_values(read: Reader, schema: pa.Schema) -> Reader:
    """Reader of a table whose rows are given as JSON."""
    return lambda content, folder: read(_parquet(_values(content), schema), folder)


def graph_samples() -> list[bytes]:
    """graph.npz of a run."""
    arrays = {"nodes": np.eye(4, dtype=np.float32), "target": np.arange(4) > 1, "edges": np.array([[0, 1]], np.int32)}
    named = {f"{modality}_{name}": array for modality in ("image", "text") for name, array in arrays.items()}
    return [_bytes(lambda file: np.savez(file, allow_pickle=False, **named))]


def graph_sample(content: bytes, folder: Path) -> None:
    """graph.npz of a run."""
    graph_arrays(_file(folder / "graph.npz", content))


def journals() -> list[bytes]:
    """Journal of a study with one finished trial."""
    with TemporaryDirectory() as name:
        study = _open_study(Path(name))
        trial = study.ask()
        trial.suggest_float("distill.teacher.m", 0.001, 0.1)
        attrs = {"edits": {"distill.teacher.m": 0.99}, "epoch": 1, "seconds": 3.0, "owner": "a", "seeds": [0]}
        for key, value in {**attrs, "epoch/1": {"score": 0.5, "seconds": 1.0, "value": 0.5}}.items():
            trial.set_user_attr(key, value)
        study.tell(trial, 0.5)
        content = (Path(name) / "study.journal").read_bytes()
    # Fixed names and times, so that the same seed gives the same inputs.
    content = re.sub(rb'"worker_id":"[^"]+"', b'"worker_id":"worker"', content)
    return [re.sub(rb'("datetime_\w+":)"[^"]+"', rb'\1"2026-01-01T00:00:00.000000"', content)]


def journal(content: bytes, folder: Path) -> None:
    """study.journal, and the table and the choice of its trials."""
    (folder / "study.journal.lock").unlink(missing_ok=True)
    _file(folder / "study.journal", content)
    study = _open_study(folder)
    check_trials(study)
    write_trials(study, folder / "trials.parquet")
    write_best(study, folder)


def _open_study(folder: Path) -> optuna.Study:
    attrs = {"select": "score", "objectives": ["score"], "base": encode(preset("tiny")), "start": {"score": 0.1}}
    sampler = optuna.samplers.RandomSampler(0)
    return open_study(open_storage(None, folder), "s", sampler, ["maximize"], attrs)


def _values(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidSeedError from error


def _parquet(rows: Any, schema: pa.Schema) -> bytes:
    """Rows in Parquet, in the types of the schema where they fit it."""
    buffer = pa.BufferOutputStream()
    try:
        try:
            table = pa.Table.from_pylist(rows, schema=schema)
        except (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError):
            table = pa.Table.from_pylist(rows)
        pq.write_table(table, buffer)
    except Exception as error:  # what Arrow cannot write cannot be read
        raise InvalidSeedError from error
    return bytes(buffer.getvalue())


def _saved(value: Any) -> bytes:
    try:
        return _bytes(lambda file: torch.save(value, file))
    except (RecursionError, UnicodeEncodeError, OverflowError) as error:
        raise InvalidSeedError from error


def _encoded(picture: Image.Image, kind: str) -> bytes:
    return _bytes(lambda file: picture.save(file, kind))


def _bytes(write: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def _file(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file


def _replace(file: Path, content: bytes) -> None:
    """Replace a file that may be memory-mapped."""
    file.unlink()
    file.write_bytes(content)
