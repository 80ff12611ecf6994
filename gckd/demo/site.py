"""Pages and answers of the demo. A request names images by their numbers, and no file by its path."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from gckd.data.images import thumbnail
from gckd.demo.graph_view import GraphView, Node
from gckd.errors import InputError
from gckd.training.model import Gallery, Model

HOSTS = ("127.0.0.1", "localhost", "[::1]")
MAX_TEXT, MAX_IMAGES = 1000, 60  # characters of a sentence; images of an answer
_SMALL, _LARGE = (200, 400), (480, 960)  # largest sizes of an image, in pixels
_ASSETS = {
    "": ("page.html", "text/html"),
    "page.css": ("page.css", "text/css"),
    "page.js": ("page.js", "text/javascript"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Response(NamedTuple):
    """Answer to a request."""

    status: int
    content_type: str
    body: bytes


class _RefusedError(Exception):
    """A request that is not answered, with its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class SearchedModel:
    """A model with the embeddings of the gallery."""

    name: str
    model: Model
    gallery: Gallery
    graph: GraphView

    @property
    def about(self) -> str:
        """Sentence on its graph."""
        node = self.model.config.graph.propagate
        return "no graph" if node.off else f"graph: {node.kind}, K = {node.neighbours}"


class Site:
    """Search page of one or two models over one gallery.

    Args:
        models: with galleries of the same images in the same order.
        title: of the gallery.
        train: whether the gallery is the target's train split, whose images may be nodes of the graph.
    """

    def __init__(self, models: Sequence[SearchedModel], title: str, *, train: bool = False) -> None:
        self._models, self._title, self._train = models, title, train
        self._gallery = models[0].gallery
        self._lock = threading.Lock()  # one request at a time uses the models
        # The first part of every path, so that other users of the machine get nothing.
        self.secret = secrets.token_urlsafe(16)

    def respond(self, host: str, target: str) -> Response:
        """Answer to a GET request.

        Args:
            host: value of its header Host. Another name than that of this machine means that a page of somebody else
                has bound its own name to this address (DNS rebinding).
            target: path and query.
        """
        try:
            if _without_port(host) not in HOSTS:
                raise _RefusedError(403, "unknown host; open the page by the address that gckd demo prints")
            parts = urlsplit(target)
            first, _, name = parts.path.removeprefix("/").partition("/")
            if not secrets.compare_digest(first.encode(), self.secret.encode()):
                raise _RefusedError(404, "not found; open the page by the address that gckd demo prints")
            return self._answer(name, dict(parse_qsl(parts.query, max_num_fields=8)))
        except _RefusedError as error:
            return Response(error.status, "text/plain", str(error).encode())
        except (InputError, ValueError) as error:
            return Response(400, "text/plain", str(error).encode(errors="replace"))
        except OSError:  # the file of an image is gone
            return Response(404, "text/plain", b"the image cannot be read")

    def _answer(self, name: str, query: Mapping[str, str]) -> Response:
        if name in _ASSETS:
            file, kind = _ASSETS[name]
            return Response(200, f"{kind}; charset=utf-8", files("gckd.demo").joinpath(file).read_bytes())
        if name == "image":
            size = _LARGE if query.get("large") else _SMALL
            row = _number(query, "row", len(self._gallery.paths))
            return Response(200, "image/jpeg", thumbnail(self._gallery.files.encoded(row), *size))
        if name == "node":
            return Response(200, "image/jpeg", self._node_image(query))
        answers = {"about": self._about, "search": self._search, "neighbours": self._neighbours}
        if name not in answers:
            raise _RefusedError(404, "not found")
        with self._lock:
            content = answers[name](query)
        return Response(200, "application/json", json.dumps(content).encode())

    def _about(self, query: Mapping[str, str]) -> dict[str, Any]:
        images = [{"row": row, "path": path} for row, path in enumerate(self._gallery.paths[:MAX_IMAGES])]
        models = [{"name": model.name, "about": model.about} for model in self._models]
        return {"title": self._title, "count": len(self._gallery.paths), "models": models, "images": images}

    def _search(self, query: Mapping[str, str]) -> dict[str, Any]:
        text = query.get("text", "").strip()
        if not text or len(text) > MAX_TEXT:
            raise _RefusedError(400, f"text: expected a sentence of 1 to {MAX_TEXT:,} characters")
        return {"models": [self._matches(model, text) for model in self._models]}

    def _matches(self, model: SearchedModel, text: str) -> list[dict[str, Any]]:
        matches = model.model.search(text, model.gallery.embeddings, top=MAX_IMAGES // 2)
        paths = model.gallery.paths
        return [{"row": match.row, "score": match.cosine, "path": paths[match.row]} for match in matches]

    def _neighbours(self, query: Mapping[str, str]) -> dict[str, Any]:
        number = _number(query, "model", len(self._models))
        row = _number(query, "row", len(self._gallery.paths))
        model = self._models[number]
        around = model.graph.around(model.gallery.embeddings[row], row if self._train else None)
        anchor = _described(around.anchor, model.graph) if around.anchor else None
        return {
            "sentence": around.sentence,
            "anchor": anchor,
            "nodes": [_described(node, model.graph) for node in around.nodes],
        }

    def _node_image(self, query: Mapping[str, str]) -> bytes:
        model = self._models[_number(query, "model", len(self._models))]
        images = model.graph.splits[_number(query, "domain", 2)].images
        return thumbnail(images.encoded(_number(query, "row", len(images))), *_SMALL)


def _described(node: Node, graph: GraphView) -> dict[str, Any]:
    """A node for the page: an image by its row, a caption by its text."""
    domain = ("source", "target").index(node.domain)
    captions = graph.splits[domain].captions
    text = captions[node.row] if not node.is_image and 0 <= node.row < len(captions) else ""
    row = node.row if node.is_image and node.row >= 0 else None
    return {"domain": node.domain, "score": node.cosine, "row": row, "text": text}


def _number(query: Mapping[str, str], name: str, count: int) -> int:
    value = query.get(name, "")
    if not (value.isascii() and value.isdigit() and len(value) < 10 and int(value) < count):
        raise _RefusedError(400, f"{name}: expected a number from 0 to {count - 1:,}")
    return int(value)


def _without_port(host: str) -> str:
    """Name in a header Host."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()
