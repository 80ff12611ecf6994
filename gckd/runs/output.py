"""Output folder of a command: locked while in use, and bound to one config."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock

from gckd.config import Config, ConfigError, config_text, digest, encode, read_config
from gckd.config.config_file import CONFIG_FILE
from gckd.config.serialization import differences
from gckd.data.dataset_pair import DatasetPair
from gckd.errors import InputError
from gckd.runs.preflight import usable_folder
from gckd.storage import atomic
from gckd.storage.run_tables import QUERIES_FILE

RUN_FILES = (CONFIG_FILE, QUERIES_FILE)  # files of one run, beside its checkpoint
_LOCK_FILE = ".lock"


def default_output(config: Config, datasets: DatasetPair) -> Path:
    """`runs/<source>-<target>-<digest>`, so that the same command has the same folder."""
    names = (Path(name).name for name in (datasets.source_name, datasets.target_name))
    return Path("runs") / "-".join([*(name.lower() for name in names), digest(config)[:8]])


@contextlib.contextmanager
def output_folder(
    path: Path, config: Config, *, resume: bool, claim: Callable[[Path], object] = lambda folder: None
) -> Iterator[Path]:
    """Context with the output folder, locked against other processes, and `config` in it as config.yaml.

    If the context raises InputError before any run has a folder or a record, what it wrote is removed: the same command
    works without `resume` once the reason is gone.

    Args:
        path: folder; created if it is missing.
        config: config of the full row.
        resume: allow a folder that is not empty.
        claim: writes the first file of a command that resumes without being asked; called with the folder.

    Yields:
        The absolute path.

    Raises:
        InputError: the folder cannot be created, or is in use by another process; it is not empty and `resume` is off;
            or its config.yaml is another config (the message lists the fields that differ).
    """
    path = usable_folder(path, "--out")
    lock = filelock.FileLock(path / _LOCK_FILE, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise InputError(f"--out: another process is writing to {path}") from error
    try:
        atomic.remove_partial_files(path)
        is_new = not _contents(path)
        if not is_new and not resume:
            raise InputError(f"--out: {path} is not empty; add --resume to continue it, or choose another")
        try:
            claim(path)
            _bind_config(path / CONFIG_FILE, config)
            yield path
        except InputError:
            if is_new:
                _remove_start(path)
            raise
    finally:
        lock.release()


def _contents(folder: Path) -> list[Path]:
    return [item for item in folder.iterdir() if item.name != _LOCK_FILE]


def _remove_start(folder: Path) -> None:
    """Remove the files of a start that was refused; leaves a folder that has runs as it is."""
    items = _contents(folder)
    if not any(item.is_dir() or item.suffix == ".parquet" for item in items):
        for item in items:
            item.unlink()


def _bind_config(file: Path, config: Config) -> None:
    """Writes the config file, or refuses a config that differs from the one in it."""
    if not file.exists():
        atomic.write(file, config_text(config))
        return
    written = read_config(file)
    if written != config:
        lines = [f"  {line}" for line in differences(encode(written), encode(config))]
        head = f"--out: {file.parent} belongs to another config; use that config or another --out. They differ in:"
        raise ConfigError([head, *lines])
