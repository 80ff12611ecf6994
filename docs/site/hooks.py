"""Hooks of mkdocs: pages made from files outside docs/, and links between all of them.

A document keeps the links that are right in the repository. On the site, a link to a document becomes a link to its
page, and any other file of the repository that a document links to is copied beside the pages.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # mkdocs loads this file by its path

from docs.site.config_reference import config_reference  # noqa: E402
from docs.site.result_tables import results_page  # noqa: E402

# page -> document at the root of the repository
ROOT_DOCUMENTS = {
    "index.md": "README.md",
    "paper.md": "PAPER.md",
    "log.md": "LOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "security.md": "SECURITY.md",
}
_PAGE_OF = {document: page for page, document in ROOT_DOCUMENTS.items()}
_LINK = re.compile(r"(?<=\]\()([^)#\s]+)(#[^)\s]*)?(?=\))")
_COPIES = "files"  # folder of the site for files that are no documents


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that have no file in docs/, and the files that documents link to."""
    texts = {page: (ROOT / document).read_text(encoding="utf-8") for page, document in ROOT_DOCUMENTS.items()}
    texts["config.md"] = config_reference()
    texts["results.md"] = results_page((ROOT / "LOG.md").read_text(encoding="utf-8"))
    for page, text in texts.items():
        files.append(File.generated(config, page, content=text))
    documents = [*ROOT_DOCUMENTS.values(), *(f"docs/{file.src_uri}" for file in files.documentation_pages())]
    for document in dict.fromkeys(documents):
        for path in linked_files(document):
            if files.get_file_from_path(f"{_COPIES}/{path}") is None:
                files.append(File.generated(config, f"{_COPIES}/{path}", abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite the links of a page, and keep results on one line."""
    document = ROOT_DOCUMENTS.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    return rewrite_links(markdown, document).replace(" ± ", "\u00a0±\u00a0")  # no line break within a result


def rewrite_links(markdown: str, document: str) -> str:
    """Markdown whose links to files of the repository are links of the site.

    Args:
        document: path of the document, from the root of the repository.
    """

    def rewritten(match: re.Match[str]) -> str:
        target = _repository_path(document, match[1])
        return match[0] if target is None else _site_path(target) + (match[2] or "")

    return _LINK.sub(rewritten, markdown)


def linked_files(document: str) -> list[str]:
    """Files of the repository, other than pages and files in docs/, that a document links to."""
    file = ROOT / document
    links = _LINK.findall(file.read_text(encoding="utf-8")) if file.exists() else []
    paths = [_repository_path(document, link) for link, _ in links]
    return [path for path in paths if path and path not in _PAGE_OF and not path.startswith("docs/")]


def _repository_path(document: str, link: str) -> str | None:
    """Path of a linked file from the root of the repository; None for a link to another site."""
    if "://" in link or link.startswith("mailto:"):
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(document), link))


def _site_path(path: str) -> str:
    """Path of a repository file on the site, whose pages are all in one folder."""
    return _PAGE_OF.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else f"{_COPIES}/{path}")
