"""Runs that an ablation table refuses to add to those of an earlier launch."""

from __future__ import annotations

from pathlib import Path

import pytest

from gckd.ablations import table
from gckd.ablations.table import check_code
from gckd.errors import InputError
from gckd.runs.provenance import git_revision
from gckd.runs.records import Records
from tests.report.records import failed, record


def records_of(folder: Path, *plugins: str) -> Records:
    """Records of the current code whose runs loaded these plugins."""
    records = Records(folder)
    for seed, text in enumerate(plugins):
        records.add(record("full", seed, 70, git_revision=git_revision(), plugins=text))
    return records


def test_a_plugin_that_has_changed_since_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "plugin_digests", lambda: {"my_losses.py": "bbbb"})
    records = records_of(tmp_path, '{"my_losses.py": "aaaa"}', '{"my_losses.py": "bbbb"}')
    with pytest.raises(InputError, match=r"--resume: .* has runs with another text of plugin my_losses.py; --mixed"):
        check_code(records)


def test_new_and_unchanged_plugins_are_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "plugin_digests", lambda: {"my_losses.py": "bbbb", "new.py": "cccc"})
    records = records_of(tmp_path, "{}", '{"my_losses.py": "bbbb"}')
    records.add(failed("full", 9) | {"git_revision": "0000", "plugins": '{"my_losses.py": "aaaa"}'})
    check_code(records)  # failed runs are done again


def test_runs_of_another_revision_are_refused(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.add(record("full", 0, 70, git_revision="0000"))
    with pytest.raises(InputError, match=r"--resume: .* has runs of code 0000, the current code is "):
        check_code(records)
