"""Ray Data builds the same store as a single process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gckd.data.annotations import read_annotations
from gckd.data.remote_store import RemoteStore
from gckd.data.store_builder import build_store
from gckd.storage.path import StoragePath
from tests.toy import make_toy

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_ray_data_builds_the_same_store(tmp_path: Path) -> None:
    """Both skip a broken image."""
    folder = make_toy(tmp_path / "toy")
    image = min((folder / "imgs").iterdir())
    image.write_bytes(image.read_bytes()[:40])
    alone = build_store(read_annotations(str(folder)), tmp_path / "alone", skip_broken=True)
    arguments = [str(folder), str(tmp_path / "kept"), "--ray", "--skip-broken", "--cache", str(tmp_path / "cache")]
    process = subprocess.run(
        [sys.executable, "-m", "gckd", "data", "store", *arguments],
        env={k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert process.stderr.splitlines()[-1] == "note: 1 broken images were left out"
    assert process.stdout == f"{tmp_path / 'kept'}: {tmp_path.name}/toy, 19 images\n"
    assert RemoteStore.open(StoragePath.at(tmp_path / "kept")).digest == alone.digest
