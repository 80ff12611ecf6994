"""Files of finished runs, checked when a command resumes: a damaged config.yaml is restored, a checkpoint is named."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Sequence

from gckd.config import config_text, read_config
from gckd.config.config_file import CONFIG_FILE
from gckd.errors import InputError
from gckd.printable import echo
from gckd.runs.plan import Run
from gckd.runs.records import Records
from gckd.storage import atomic
from gckd.storage.checkpoint import STAGE_FIELDS, load_checkpoint
from gckd.storage.mirror import Mirror
from gckd.storage.path import StoragePath

_CHECKPOINT = "checkpoint.pt"


def is_done(run: Run, records: Records, out: StoragePath) -> bool:
    """Whether a single run is recorded as finished and has its checkpoint; without one, it is trained again.

    Args:
        out: output; a checkpoint in an object store is not read.

    Raises:
        InputError: the checkpoint is damaged.
    """
    checkpoint = run.checkpoint_folder(out) / _CHECKPOINT
    if not records.finished(run) or not checkpoint.exists():
        return False
    if checkpoint.local:
        load_checkpoint(checkpoint, STAGE_FIELDS)
    return True


def remove_outdated_checkpoints(runs: Sequence[Run], out: StoragePath, mirror: Mirror) -> None:
    """Remove checkpoints of unfinished runs whose config has changed since, as a tuned rate can; a run refuses them.

    Args:
        out: output of the checkpoints.
        mirror: of the folder with the config of each run.
    """
    mirror.download(run.folder / CONFIG_FILE for run in runs)
    for run in runs:
        checkpoint = run.checkpoint_folder(out) / _CHECKPOINT
        if _is_of_another_config(run) and checkpoint.exists():
            echo(f"{run.name}: its config has changed, so it starts anew", err=True)
            checkpoint.remove()


def _is_of_another_config(run: Run) -> bool:
    """Whether the config.yaml of a run is another config; False if it is missing or damaged."""
    try:
        return (run.folder / CONFIG_FILE).is_file() and read_config(run.folder / CONFIG_FILE) != run.config
    except InputError:
        return False


def restore_config(run: Run) -> None:
    """Write the config.yaml of a finished run again if it is missing or has changed."""
    file, text = run.folder / CONFIG_FILE, config_text(run.config)
    if not file.is_file() or file.read_bytes() != text.encode():
        atomic.write(file, text)


def unreadable_checkpoints(runs: Iterable[Run], out: StoragePath) -> Iterator[str]:
    """A line for each local checkpoint that is no archive any more. Tables of many gigabytes are not read in full."""
    for run in runs:
        file = (run.checkpoint_folder(out) / _CHECKPOINT).local
        if file and file.exists() and not (file.is_file() and zipfile.is_zipfile(file)):
            yield f"{file}: damaged; delete it: the run's record is whole, and is kept"
