"""Readers of configs, names and other texts, as `benchmarks/fuzz.py` calls them: content and scratch folder in."""

from __future__ import annotations

import contextlib
import functools
import json
import os
from pathlib import Path

import optuna

from gckd.ablations.rows import add_rows, drop_rows, factorial_rows, labels, sweep_rows
from gckd.ablations.spec import load_spec
from gckd.cluster.cluster_yaml import cluster_problems
from gckd.config import Config, apply, check, decode, digest, encode, parse_edits, preset, read_config
from gckd.config.config_file import plugin_notes
from gckd.config.paths import with_absolute_paths
from gckd.config.yaml_text import dump_yaml
from gckd.data.annotations import read_annotations
from gckd.data.caption_check import caption_problems
from gckd.data.caption_form import CAPTION_FORMS
from gckd.data.tokenizer import Tokenizer
from gckd.data.types import Record
from gckd.data.wordpiece import SPECIALS, bert, train_vocabulary
from gckd.errors import InputError
from gckd.report.question import Question
from gckd.runs.environment import omp_threads
from gckd.storage.label import Label, check_distinct
from gckd.storage.launches import read_launches
from gckd.storage.path import StoragePath
from gckd.tune.space.space import load_space
from gckd.tune.storage import open_storage

ROOT = Path(__file__).resolve().parents[1]
_NOT_OPENED = ("sqlite", "postgresql", "mysql", "mariadb", "oracle", "mssql")  # slow, or they reach a network

EDITS = (
    *("adapt.steps=100", "graph.propagate=none", "graph.propagate={kind: gnn, k: 5}", "data.source=~/a", "seed=3"),
    *("backbone.weights=a.pth", "tokenizer={kind: pretrained, name: bert}", "pretrain.lr=1e-3", "centre=true"),
)
ROWS = ("gmp", "gmp+cmkd", "gmp,ema", "graph.propagate.k=2,5,20", "distill.alpha=0.1,0.2")
QUESTIONS = ('{"question": "a?", "dropped": {"-gmp": ["gmp"]}, "checks": ["transfer"]}', '{"checks": []}')
STORAGES = ("journal:FOLDER/a", "sqlite:///FOLDER/a.db", "study.db", "redis://host/0", "redis://a:{b}@host/0")
SPECS = [
    b'{"question": "Which k?", "seeds": 2, "grid": {"graph.propagate.k": [2, 5], "seed": [1, 2]}, "drop": ["gmp"]}',
    b'{"rows": {"a": {"graph.propagate.k": 3}, "b (2)": {"distill.alpha": 0.1}}, "each": {"a": {}, "b": {"seed": 3}}}',
    b'{"sweep": {"graph.propagate.k": [2, 5]}, "factorial": "gmp,cmkd", "checks": ["transfer"], "ceiling": true}',
    b"sweep: {3: [1, 2]}\nset: {null: 1}\nrows: {a: {0.5: 2}}\n",
]
SPACES = [
    b'{"graph.propagate": {"choice": ["gnn", "none"]}, "graph.propagate.k": {"int": [2, 50], "log": true, "when": '
    b'{"graph.propagate": ["gnn"]}}, "distill.teacher.m": {"one_minus": [0.001, 0.1]}}',
    b'{"graph.memory.capacity": {"powers_of_two": [256, 4096]}, "distill.alpha": {"float": [0.1, 0.9], "log": true}}',
]

CAPTION_TABLES = [
    b'image,caption,identity,split\na/1.png,"A man, in red.",p1,train\nb.png,a bag,p2,val\nc.png,a hat,p3,test\n',
    b"image,caption\r\na.png,in red\r\nb.png,in blue\r\nc.png,in green\r\n",
]
CAPTION_LINES = [
    b'{"image": "a.png", "caption": ["A man.", "in red"], "identity": 1, "split": "train"}\n'
    b'{"image": "b.png", "caption": "b", "identity": 2, "split": "val"}\n\n'
    b'{"image": "c.png", "caption": "c", "identity": 3, "split": "test"}\n',
    b'{"image": "a.png", "caption": "a"}\n{"image": "b.png", "caption": "b"}\n{"image": "c.png", "caption": "c"}\n',
]


def texts(*lines: str) -> list[bytes]:
    """Seeds from texts."""
    return [line.encode() for line in lines]


def files(pattern: str) -> list[bytes]:
    """Seeds from files of this checkout."""
    return [file.read_bytes() for file in sorted(ROOT.glob(pattern))]


def configs() -> list[bytes]:
    """A short config as JSON and as YAML."""
    body = {"seed": 3, "graph": {"propagate": {"kind": "gnn", "k": 5}}, "backbone": {"kind": "clip"}, "centre": True}
    body["adapt"] = {"steps": 100, "lr": 0.001}
    return [json.dumps(body).encode(), dump_yaml(body).encode(), b"# plugin a.py 0123456789abcdef\nseed: 4\n"]


def config(content: bytes, folder: Path) -> None:
    """`--config FILE`."""
    file = _file(folder / "config.yaml", content)
    decoded = check(read_config(file))
    plugin_notes(file)
    assert digest(decode(Config, encode(decoded))) == digest(decoded)
    with_absolute_paths(decoded)


def edits(content: bytes, folder: Path) -> None:
    """`--set PATH=VALUE`."""
    with_absolute_paths(apply(preset("tiny"), parse_edits([text(content)])))


def spec(content: bytes, folder: Path) -> None:
    """`--spec FILE`."""
    loaded = load_spec(str(_file(folder / "spec.yaml", content)))
    full = loaded.full_config(preset("tiny"), {})
    check_distinct(["full", *loaded.all_rows(full)])
    labels("each", loaded.each)


def rows(content: bytes, folder: Path) -> None:
    """`--drop`, `--add`, `--factorial` and `--sweep`."""
    for read in (drop_rows, add_rows):
        with contextlib.suppress(InputError):
            read([text(content)], preset("tiny"))
    with contextlib.suppress(InputError):
        factorial_rows(text(content), preset("tiny"))
    sweep_rows(text(content), preset("tiny"))


def space(content: bytes, folder: Path) -> None:
    """`--space FILE`, and one sample of it."""
    around, _ = load_space(_file(folder / "space.yaml", content)).check(preset("tiny"), 5000)
    around.describe()
    around.encode()
    around.start(preset("tiny"))
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(0)).ask()
    around.edits(around.suggest(trial))


def label(content: bytes, folder: Path) -> None:
    """Names of rows, subtables and studies."""
    made = Label.of(text(content))
    assert (folder / made.folder).parent == folder
    Label(text(content))


def dataset(content: bytes, folder: Path) -> None:
    """`--source` and `--target`."""
    read_annotations(text(content))


def annotation_file(format_name: str, file_name: str) -> functools.partial[None]:
    """Reader of the annotation file of a dataset format."""
    return functools.partial(_annotation_file, format_name, file_name)


def _annotation_file(format_name: str, file_name: str, content: bytes, folder: Path) -> None:
    (folder / "imgs").mkdir(exist_ok=True)
    _file(folder / file_name, content)
    caption_problems(read_annotations(f"{format_name}:{folder}").records)


def annotation_seeds(path_field: str) -> list[bytes]:
    """A dataset with one image of each split."""
    entries = [
        {"id": number, path_field: f"{split}/{number}.png", "captions": ["A man in red.", "he walks"], "split": split}
        for number, split in enumerate(("train", "val", "test"))
    ]
    return [json.dumps(entries).encode(), json.dumps(entries, indent=1).encode()]


def captions(content: bytes, folder: Path) -> None:
    """A caption: its forms, its problems, a vocabulary trained on it, and its tokens."""
    caption = content.decode(errors="replace")  # readers of annotations refuse half characters
    caption_problems([Record("a.png", (caption,), 1, "train")])
    for name, form in CAPTION_FORMS.items():
        pieces = train_vocabulary([form(caption)], 60)
        if len(pieces) > len(SPECIALS):
            backend = bert({piece: number for number, piece in enumerate(pieces)})
            Tokenizer(backend, max_words=30, max_tokens=40, form=name).encode([caption, ""])


def launches(content: bytes, folder: Path) -> None:
    """launches.json of an output folder."""
    read_launches(_file(folder / "launches.json", content))


def question(content: bytes, folder: Path) -> None:
    """question.json of an output folder."""
    _file(folder / "question.json", content)
    Question.load(folder)


def cluster_file(content: bytes, folder: Path) -> None:
    """`gckd cluster FILE`."""
    for problem in cluster_problems(_file(folder / "cluster.yaml", content)):
        check_line(problem)


def location(content: bytes, folder: Path) -> None:
    """`--out` and `--cache`; nothing is connected."""
    path = StoragePath.at(text(content))
    _ = path.parent, path.name, path / "a"
    if path.local:
        path.exists()


def storage(content: bytes, folder: Path) -> None:
    """`--storage`."""
    uri = text(content).replace("FOLDER", str(folder))
    is_outside = uri.startswith("journal:") and not uri.startswith(f"journal:{folder}")
    if not is_outside and not uri.startswith(_NOT_OPENED):
        open_storage(uri, folder)


def threads(content: bytes, folder: Path) -> None:
    """OMP_NUM_THREADS."""
    before = os.environ.get("OMP_NUM_THREADS")
    try:
        os.environ["OMP_NUM_THREADS"] = text(content).replace("\0", "")
        omp_threads()
    finally:
        os.environ.pop("OMP_NUM_THREADS")
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before


def text(content: bytes) -> str:
    """An argument of a command as Python has it."""
    return content.decode(errors="surrogateescape")


def check_line(line: str) -> None:
    """Assert that a message is a line of bounded length."""
    assert "\n" not in line, "a message of several lines"
    assert len(line) <= 2000, "a message of more than 2,000 characters"


def _file(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file
