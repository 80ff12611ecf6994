"""The folder that a launch writes to: never mixed up with another launch's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import filelock

from gckd.config import Config, ConfigError, config_text, digest, encode, read_config
from gckd.config.serialization import differences
from gckd.data.domains import DatasetPair
from gckd.errors import InputError
from gckd.runs.preflight import usable_folder
from gckd.runs.records import QUERIES_FILE
from gckd.storage.path import StoragePath

CONFIG_FILE = "config.yaml"
RUN_FILES = (CONFIG_FILE, QUERIES_FILE)  # in its folder, beside the checkpoint
_LOCK_FILE = ".lock"


def default_output(config: Config, datasets: DatasetPair) -> Path:
    """`runs/<source>-<target>-<digest>`: the same command comes to the same folder."""
    names = (Path(name).name for name in (datasets.source_name, datasets.target_name))
    return Path("runs") / "-".join([*(name.lower() for name in names), digest(config)[:8]])


@contextlib.contextmanager
def output_folder(path: Path, config: Config, *, resume: bool) -> Iterator[Path]:
    """`path`, absolute, ours alone until it is left, with `config` in it as config.yaml.

    Args:
        config: of the full row.
        resume: go on with what is there.

    Raises:
        InputError: it cannot be made; another process works in it; it is not empty and `resume` is off; or what it
            holds was made with another config (the message lists the differing fields).
    """
    path = usable_folder(path, "--out")
    lock = filelock.FileLock(path / _LOCK_FILE, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise InputError(f"--out: another process is writing to {path}") from error
    try:
        if any(item.name != _LOCK_FILE for item in path.iterdir()) and not resume:
            raise InputError(f"--out: {path} is not empty; add --resume to continue it, or choose another")
        _keep_config(path / CONFIG_FILE, config)
        yield path
    finally:
        lock.release()


def _keep_config(file: Path, config: Config) -> None:
    if not file.exists():
        with StoragePath.at(file).writing() as scratch:
            scratch.write_text(config_text(config), encoding="utf-8")
        return
    held = read_config(file)
    if held != config:
        lines = [f"  {line}" for line in differences(encode(held), encode(config))]
        head = f"--out: {file.parent} was made with another config; use that one, or another --out:"
        raise ConfigError([head, *lines])
