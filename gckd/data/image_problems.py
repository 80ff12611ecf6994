"""Images that cannot be read, with one line for each cause."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from pathlib import Path, PurePosixPath

from gckd.data.caption_check import EXAMPLES, examples


def image_problems(folder: Path, problems: Mapping[str, str]) -> list[str]:
    """One line for each cause; a cause with few images, and nothing else to say about it, has a line for each.

    Args:
        folder: image folder.
        problems: path of the image relative to `folder` -> reason why it is unusable.
    """
    lines: dict[str, list[str]] = defaultdict(list)  # cause -> paths
    kinds: dict[str, list[str]] = defaultdict(list)  # kind of reason -> paths
    spelled = _Spelling(folder)
    for name, reason in problems.items():
        cause = spelled.cause_of(name) if reason == "missing" else ""
        if cause:
            lines[cause].append(name)
        else:
            kinds[reason.partition(" (")[0]].append(name)
    texts = [cause.format(count=f"{len(names):,}", examples=examples(names)) for cause, names in lines.items()]
    for kind, names in kinds.items():
        if len(names) <= EXAMPLES:
            texts += [f"{folder / name}: {problems[name]}" for name in names]
        else:
            texts.append(f"{len(names):,} images in {folder}: {kind}: {examples(names)}")
    return texts


class _Spelling:
    """Causes for which a path of the annotations names no file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._is_folder = cache(lambda path: (folder / path).is_dir())
        self._files = cache(self._files_by_stem)

    def cause_of(self, name: str) -> str:
        """Sentence with places for `count` and `examples`; empty if nothing more is known than that it is missing."""
        path = PurePosixPath(name.replace("\\", "/"))
        if "\\" in name and self._without_prefix(path) is not None:
            return "{count} image paths have Windows separators; write / instead of \\: {examples}"
        prefix = self._without_prefix(path)
        if prefix:
            shown = _escaped(f"{prefix}/")
            return f"{{count}} image paths begin with {shown}, which the image folder contains already: {{examples}}"
        parents = [parent for parent in reversed(path.parents) if str(parent) != "."]
        absent = next((parent for parent in parents if not self._is_folder(parent)), None)
        if absent is not None:
            return f"the folder {_escaped(str(self._folder / absent))} is missing: {{count}} images"
        other = self._files(path.parent).get(path.stem.casefold())
        if other is not None:
            return "{count} images have another suffix or case than their paths: {examples}"
        return ""

    def _without_prefix(self, path: PurePosixPath) -> str | None:
        """Leading folders without which the path names a file; None if there are none such."""
        for count in range(len(path.parts)):
            if (self._folder / PurePosixPath(*path.parts[count:])).is_file():
                return "/".join(path.parts[:count])
        return None

    def _files_by_stem(self, parent: PurePosixPath) -> dict[str, str]:
        return {path.stem.casefold(): path.name for path in (self._folder / parent).iterdir()}


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
