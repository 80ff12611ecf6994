"""Plugin files and entry points: what they leave in the process, and the errors of those that cannot be loaded."""

from __future__ import annotations

import hashlib
import inspect
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gckd import plugins
from gckd.errors import InputError
from gckd.plugins import Plugin, load_entry_points, load_plugin, load_sent, loaded_plugins

TEXT = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Node:
    size: int = 3
"""


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start without plugins, and leave none."""
    monkeypatch.setattr(plugins, "_LOADED", {})
    yield
    for name in list(sys.modules):
        if name.startswith(("gckd_plugins", "their_losses")):
            del sys.modules[name]


def written(folder: Path, name: str, text: str = TEXT) -> Path:
    file = folder / name
    file.write_text(text)
    return file


def test_a_file_becomes_a_module_with_its_source(tmp_path: Path) -> None:
    file = written(tmp_path, "my_nodes.py")
    plugin = load_plugin(str(file))
    module = sys.modules["gckd_plugins.my_nodes"]
    assert inspect.getsource(module) == TEXT
    assert module.Node(4).size == 4
    assert plugin == Plugin("my_nodes.py", "gckd_plugins.my_nodes", str(file), TEXT)
    assert plugin.digest == hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    assert loaded_plugins() == (plugin,)


def test_the_same_file_again_changes_nothing(tmp_path: Path) -> None:
    file = written(tmp_path, "my_nodes.py")
    load_plugin(file)
    node = sys.modules["gckd_plugins.my_nodes"].Node
    load_plugin(file)
    assert sys.modules["gckd_plugins.my_nodes"].Node is node
    assert len(loaded_plugins()) == 1


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    load_plugin(written(tmp_path, "my_nodes.py"))
    (tmp_path / "b").mkdir()
    with pytest.raises(InputError, match=r"its name is taken by .*my_nodes.py, which has other contents; rename one"):
        load_plugin(written(tmp_path / "b", "my_nodes.py", TEXT + "\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(:\n", "line 1: invalid syntax"),
        ("\nimport nowhere_to_be_found\n", "line 2: ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("\n\n1 / 0\n", "line 3: ZeroDivisionError: division by zero"),
        ("from gckd.errors import InputError\nraise InputError('kind taken')\n", "line 2: kind taken"),
    ],
)
def test_a_file_that_cannot_be_imported_is_one_line_and_leaves_nothing(tmp_path: Path, text: str, message: str) -> None:
    file = written(tmp_path, "broken.py", text)
    with pytest.raises(InputError) as caught:
        load_plugin(file)
    assert str(caught.value) == f"--plugin {file}: {message}"
    assert "gckd_plugins.broken" not in sys.modules
    assert loaded_plugins() == ()
    file.write_text(TEXT)
    load_plugin(file)  # mended


def test_a_missing_file_is_named() -> None:
    with pytest.raises(InputError, match=r"--plugin nowhere.py: cannot be read \(No such file or directory\)"):
        load_plugin("nowhere.py")


def test_another_process_loads_the_text_without_the_file(tmp_path: Path) -> None:
    """As a worker does: first the plugins, then the pickled node."""
    file = written(tmp_path, "my_nodes.py")
    sent = pickle.dumps((load_plugin(file),)), pickle.dumps(sys.modules["gckd_plugins.my_nodes"].Node(7))
    file.unlink()
    code = (
        "import pickle; from gckd.plugins import load_sent, loaded_plugins\n"
        f"load_sent(pickle.loads({sent[0]!r})); print(pickle.loads({sent[1]!r}).size, len(loaded_plugins()))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output == "7 1\n"


def test_a_plugin_that_fails_on_a_worker_raises_the_reason_when_it_is_used() -> None:
    """A hook that raises would make Ray restart the worker for ever."""
    plugin = Plugin("my_nodes.py", "gckd_plugins.my_nodes", "/home/me/my_nodes.py", "import nowhere_to_be_found")
    code = (
        "import pickle; from gckd.plugins import check_plugins, load_sent\n"
        f"load_sent(pickle.loads({pickle.dumps((plugin,))!r}))\n"
        "for use in (check_plugins, lambda: pickle.loads(b'cgckd_plugins.my_nodes\\nNode\\n.')):\n"
        "    try: use()\n"
        "    except Exception as error: print(type(error).__name__, error)\n"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    reason = "line 1: ModuleNotFoundError: No module named 'nowhere_to_be_found' (on a worker)"
    assert output == f"InputError --plugin /home/me/my_nodes.py: {reason}\n" * 2


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with an entry point, as pip would install it."""
    (tmp_path / "their_losses.py").write_text(TEXT)
    metadata = tmp_path / "their_losses-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: their-losses\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[gckd.plugins]\nlosses = their_losses\n")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_entry_points_are_loaded(installed: Path) -> None:
    load_entry_points()
    load_entry_points()
    (plugin,) = loaded_plugins()
    assert (plugin.name, plugin.text, plugin.is_file) == ("their_losses", TEXT, False)
    assert plugin.path == str(installed / "their_losses.py")


def test_a_worker_imports_entry_points_by_name(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_entry_points()
    sent = loaded_plugins()
    monkeypatch.setattr(plugins, "_LOADED", {})
    del sys.modules["their_losses"]
    load_sent(sent)
    assert loaded_plugins() == sent
    assert "their_losses" in sys.modules


def test_a_broken_entry_point_is_named(installed: Path) -> None:
    (installed / "their_losses.py").write_text("import nowhere_to_be_found")
    with pytest.raises(InputError, match=r"plugin losses \(their_losses\): ModuleNotFoundError: No module named"):
        load_entry_points()
