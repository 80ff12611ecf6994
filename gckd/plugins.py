"""Components from outside the package: a file named by `--plugin`, or a package's entry point of group `gckd.plugins`.

Importing a plugin defines its config nodes and registers its classes. A process loads each plugin once; workers on a
cluster load the source text that the driver sends them.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import traceback
import types
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from gckd.errors import InputError, reason_of

GROUP = "gckd.plugins"  # of entry points
PACKAGE = "gckd_plugins"  # the modules of plugin files are in it, in memory only


@dataclass(frozen=True)
class Plugin:
    """A loaded plugin, as it is sent to workers and recorded beside runs.

    name: file name (`my_losses.py`), or the module of an entry point. text: source text of the file; of a package, that
    of all its files.
    """

    name: str
    module: str
    path: str
    text: str

    @property
    def digest(self) -> str:
        """16 hex digits of the source text."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    @property
    def is_file(self) -> bool:
        """True if it came from `--plugin`: its module exists only where the text has been loaded."""
        return self.module.startswith(f"{PACKAGE}.")


_LOADED: dict[str, Plugin] = {}  # by module
_FAILED: list[str] = []  # errors of plugins of another process, one line each


def loaded_plugins() -> tuple[Plugin, ...]:
    """Plugins of this process, in the order in which they were loaded."""
    return tuple(_LOADED.values())


def plugin_of(module: str) -> Plugin | None:
    """The plugin that a module belongs to; None for one of gckd or of a user's own program."""
    return _LOADED.get(module) or _LOADED.get(module.partition(".")[0])


def load_plugin(path: str | Path) -> Plugin:
    """Import a plugin file as module `gckd_plugins.<stem>`. The same file again changes nothing.

    Raises:
        InputError: the file cannot be read, its import fails, or another file of that name is loaded already.
    """
    try:
        file = Path(path).expanduser()
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, RuntimeError) as error:  # RuntimeError: ~ without a home folder
        raise InputError(f"--plugin {path}: cannot be read ({reason_of(error)})") from error
    plugin = Plugin(file.name, f"{PACKAGE}.{file.stem}", str(file.resolve()), text)
    loaded = _LOADED.get(plugin.module)
    if loaded is None:
        _import_text(plugin)
        return plugin
    if loaded.text != text:
        raise InputError(f"--plugin {path}: its name is taken by {loaded.path}, which has other contents; rename one")
    return loaded


def load_entry_points() -> None:
    """Import the plugins of installed packages, by name.

    Raises:
        InputError: an import fails.
    """
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        if entry.module not in _LOADED:
            _import_entry_point(entry)


def load_sent(plugins: tuple[Plugin, ...]) -> None:
    """Load the plugins of another process, on a worker, before it unpickles anything.

    An import may fail, for example because the plugin imports a package that this node does not have. Ray would restart
    a worker that fails now for ever. So the error is raised later: when a component of the plugin is unpickled, or by
    `check_plugins`.
    """
    for plugin in plugins:
        if plugin.module in _LOADED:
            continue
        try:
            if plugin.is_file:
                _import_text(plugin)
            else:
                _import_module(plugin.module, f"plugin {plugin.name}")
                _LOADED[plugin.module] = plugin
        except InputError as error:
            _FAILED.append(f"{error} (on a worker)")
            sys.modules[plugin.module] = _FailedModule(plugin.module)


def check_plugins() -> None:
    """Raise the errors of plugins that `load_sent` could not load.

    Raises:
        InputError: there are some.
    """
    if _FAILED:
        raise InputError(*_FAILED)


class _FailedModule(types.ModuleType):
    """Module of a plugin that could not be loaded: every use of it raises the reason."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)
        check_plugins()


class _TextLoader(importlib.abc.InspectLoader):
    """Module from a text in memory. `inspect` and tracebacks read the text here, not from the path."""

    def __init__(self, plugin: Plugin) -> None:
        self._plugin = plugin

    def get_source(self, fullname: str) -> str:
        return self._plugin.text

    def get_code(self, fullname: str) -> types.CodeType:
        return self.source_to_code(self._plugin.text, self._plugin.path)


def _import_text(plugin: Plugin) -> None:
    if PACKAGE not in sys.modules:
        package = types.ModuleType(PACKAGE, "Plugin files.")
        package.__path__ = []
        sys.modules[PACKAGE] = package
    loader = _TextLoader(plugin)
    spec = importlib.machinery.ModuleSpec(plugin.module, loader, origin=plugin.path)
    module = importlib.util.module_from_spec(spec)
    module.__file__ = plugin.path
    sys.modules[plugin.module] = module  # before it runs: dataclasses look their own module up
    _LOADED[plugin.module] = plugin  # likewise: a config node asks for its plugin when it is defined
    try:
        loader.exec_module(module)
    except Exception as error:
        del sys.modules[plugin.module], _LOADED[plugin.module]
        raise InputError(f"--plugin {plugin.path}: {_reason(error, plugin.path)}") from error


def _import_entry_point(entry: EntryPoint) -> None:
    module = _import_module(entry.module, f"plugin {entry.name} ({entry.value})")
    file = Path(str(module.__file__))
    files = sorted(file.parent.rglob("*.py")) if file.name == "__init__.py" else [file]
    text = "".join(part.read_text(encoding="utf-8") for part in files)
    _LOADED[entry.module] = Plugin(entry.module, entry.module, str(file), text)


def _import_module(name: str, label: str) -> types.ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise InputError(f"{label}: {_reason(error, '')}") from error


def _reason(error: Exception, path: str) -> str:
    """The error in one line, with the line of the plugin where it happened."""
    text = " ".join(str(error).split())
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    where = f"line {lines[-1]}: " if lines else ""
    return f"{where}{text}" if isinstance(error, InputError) else f"{where}{type(error).__name__}: {text}"
