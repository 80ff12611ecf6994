"""`gckd demo`: its answers, what it refuses, and its page in a browser."""

from __future__ import annotations

import http.client
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser

import gckd
from gckd.cli.demo import open_site
from gckd.config.banks import SOURCE_IMAGE, TARGET_IMAGE, TARGET_TEXT
from gckd.demo.graph_view import NO_GRAPH, GraphView
from gckd.demo.server import DemoServer
from gckd.demo.site import Response, Site
from gckd.errors import InputError
from gckd.storage.cache import CachePath
from gckd.storage.checkpoint import load_checkpoint
from gckd.training.load import checkpoint_file
from tests.browser import DESK, PHONE, SPILLED
from tests.test_library import MICRO
from tests.training.test_plain_folder import write_pair

TEXT = "a person in a red coat"
GRAPHS = {"gnn": {"graph.propagate": "gnn"}, "none": {"graph.propagate": "none"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with two datasets, a run with a graph of images and captions, a run without a graph, and the cache."""
    folder = tmp_path_factory.mktemp("demo")
    datasets = write_pair(folder)
    for name, edits in GRAPHS.items():
        config = gckd.apply(gckd.preset("tiny"), edits)
        without_graph = {path: value for path, value in MICRO.items() if name == "gnn" or path != "graph.propagate.k"}
        gckd.train(gckd.apply(config, datasets | without_graph), folder / name, cache=folder / "cache", progress=False)
    return folder


@pytest.fixture(scope="module")
def site(folder: Path) -> Site:
    paths = [checkpoint_file(folder / name) for name in GRAPHS]
    return open_site(paths, folder / "target", None, (), CachePath.at(folder / "cache"))


def get(site: Site, path: str, host: str = "127.0.0.1:8000") -> Response:
    return site.respond(host, f"/{site.secret}/{path}")


def content(site: Site, path: str) -> Any:
    response = get(site, path)
    assert (response.status, response.content_type) == (200, "application/json"), response.body
    return json.loads(response.body)


def test_a_search_ranks_the_gallery_by_cosine(folder: Path, site: Site) -> None:
    answers = content(site, f"search?text={quote(TEXT)}")["models"]
    for name, matches in zip(GRAPHS, answers, strict=True):
        model = gckd.load(folder / name, cache=folder / "cache")
        images = sorted((folder / "target").glob("*.png"))
        expected = (model.embed_images(images) @ model.embed_texts(TEXT)[0]).tolist()
        scores = {match["path"]: match["score"] for match in matches}
        assert scores == pytest.approx({str(p): s for p, s in zip(images, expected, strict=True)}, abs=1e-4)
        assert list(scores.values()) == sorted(scores.values(), reverse=True)


def test_an_image_is_that_of_its_path(site: Site) -> None:
    image = content(site, "about")["images"][3]
    response = get(site, f"image?row={image['row']}&large=1")
    with Image.open(io.BytesIO(response.body)) as shown, Image.open(image["path"]) as stored:
        assert response.content_type == "image/jpeg" and shown.size == stored.size


def test_neighbours_are_the_nearest_nodes_of_the_graph(folder: Path, site: Site) -> None:
    """By loops over the banks in the checkpoint."""
    around = content(site, "neighbours?model=0&row=5")
    model = gckd.load(folder / "gnn", cache=folder / "cache")
    image = model.embed_folder(folder / "target").embeddings[5]
    banks = load_checkpoint(model.checkpoint)["modules"]["banks"]
    nodes = []
    for domain in ("source", "target"):
        vectors = banks[f"{domain}_image.embeddings"][: int(banks[f"{domain}_image.count"])]
        for row, vector in enumerate(vectors):
            centred = torch.nn.functional.normalize(vector - vectors.mean(0), dim=0)
            nodes.append((float(centred @ image), domain, int(banks[f"{domain}_image.rows"][row])))
    expected = sorted(nodes, reverse=True)[: MICRO["graph.propagate.k"]]
    shown = [(node["score"], node["domain"], node["row"]) for node in around["nodes"]]
    assert [node[1:] for node in shown] == [node[1:] for node in expected]
    assert [node[0] for node in shown] == pytest.approx([node[0] for node in expected], abs=1e-4)
    _, domain, row = expected[0]
    assert get(site, f"node?model=0&domain={('source', 'target').index(domain)}&row={row}").content_type == "image/jpeg"


def test_a_model_without_a_graph_says_so(site: Site) -> None:
    assert content(site, "neighbours?model=1&row=5") == {"sentence": NO_GRAPH, "anchor": None, "nodes": []}
    assert [model["about"] for model in content(site, "about")["models"]] == ["graph: gnn, K = 3", "no graph"]


def test_in_a_graph_of_captions_the_most_similar_caption_stands_for_an_image(folder: Path) -> None:
    model = gckd.load(folder / "gnn", cache=folder / "cache", edits={"graph.propagate.images": False})
    view, image = GraphView(model), model.embed_folder(folder / "target").embeddings[0]
    around = view.around(image)
    assert around.anchor is not None and around.anchor.bank == TARGET_TEXT
    assert around.sentence.startswith("Only captions are in the graph")
    assert len(around.nodes) == 3 and around.anchor not in around.nodes
    assert not any(node.is_image for node in around.nodes)


def test_an_image_of_the_train_split_is_not_its_own_neighbour(folder: Path) -> None:
    model = gckd.load(folder / "gnn", cache=folder / "cache")
    view, gallery = GraphView(model), model.embed_split("train")
    for row, image in enumerate(gallery.embeddings):
        assert (TARGET_IMAGE, row) not in [node[:2] for node in view.around(image, row).nodes]
    assert {node.bank for node in view.around(gallery.embeddings[0]).nodes} <= {SOURCE_IMAGE, TARGET_IMAGE}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "", "127.0.0.1.evil.example", "10.0.0.1:8000"])
def test_another_host_gets_nothing(site: Site, host: str) -> None:
    assert get(site, "about", host).status == 403


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:1234", "LOCALHOST", "[::1]:8000"])
def test_this_machine_is_answered(site: Site, host: str) -> None:
    assert get(site, "about", host).status == 200


@pytest.mark.parametrize("path", ["/", "/about", "/wrong/about", "//about", "/é/about"])
def test_a_path_without_the_secret_gets_nothing(site: Site, path: str) -> None:
    assert site.respond("127.0.0.1", path).status == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("../../etc/passwd", 404),
        ("page.html", 404),
        ("%2e%2e/%2e%2e/etc/passwd", 404),
        ("site.py", 404),
        ("image?row=../1", 400),
        ("image?row=-1", 400),
        ("image?row=24", 400),
        ("image?row=%D9%A1", 400),
        ("image?row=" + "9" * 5000, 400),
        ("image", 400),
        ("node?model=2&domain=0&row=0", 400),
        ("node?model=0&domain=2&row=0", 400),
        ("neighbours?model=0&row=1e3", 400),
        ("search?text=", 400),
        ("search?text=%20", 400),
        ("search?text=" + "a" * 1001, 400),
        ("search?" + "&".join(f"a{i}=1" for i in range(20)), 400),
    ],
)
def test_other_requests_are_refused(site: Site, path: str, status: int) -> None:
    response = get(site, path)
    assert (response.status, response.content_type) == (status, "text/plain")
    assert b"Traceback" not in response.body and len(response.body) < 500


def test_a_removed_image_is_not_found(folder: Path, site: Site) -> None:
    file = Path(content(site, "about")["images"][0]["path"])
    bytes_of_file = file.read_bytes()
    file.unlink()
    try:
        assert get(site, "image?row=0").status == 404
    finally:
        file.write_bytes(bytes_of_file)


def test_two_checkpoints_need_one_gallery(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [checkpoint_file(folder / name) for name in GRAPHS]
    other = (f"data.target=folder:{folder / 'source'}",)
    models = [
        open_site(paths[:1], None, None, edits, CachePath.at(folder / "cache"))._models[0] for edits in ((), other)
    ]
    monkeypatch.setattr("gckd.cli.demo._searched_model", lambda *_: models.pop(0))
    with pytest.raises(InputError, match="have other targets; give one gallery with --gallery"):
        open_site(paths, None, None, (), CachePath.at(folder / "cache"))


@pytest.fixture
def server(site: Site) -> Iterator[DemoServer]:
    with DemoServer(site) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_server_listens_on_loopback_and_sends_the_headers(server: DemoServer) -> None:
    address, port = server.server_address[:2]
    assert address == "127.0.0.1"
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", f"/{server.site.secret}/")
    response = connection.getresponse()
    assert response.status == 200 and b"<h1>" in response.read()
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", f"/{server.site.secret}/search")
    assert connection.getresponse().status == 501
    with pytest.raises(InputError, match=f"--port {port}: cannot be used"):
        DemoServer(server.site, port)


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_page_searches_compares_and_shows_neighbours(
    server: DemoServer, chromium: Browser, size: dict[str, int]
) -> None:
    page = chromium.new_page(viewport=size)
    requests, problems = list[str](), list[str]()
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(server.url)
    page.wait_for_selector("button.card")
    assert page.locator("main section h2").all_inner_texts() == ["Gallery"]
    page.fill("#text", TEXT)
    page.press("#text", "Enter")
    page.wait_for_selector("main section:nth-child(2) button.card")
    assert page.locator("main section h2").all_inner_texts() == ["gnn/full/seed-0", "none/full/seed-0"]
    assert page.locator("main section:nth-child(1) button.card").count() == 24
    page.click("main section:nth-child(1) button.card")
    page.wait_for_selector("#neighbours .card")
    assert page.locator("#neighbours .card").count() == 3
    page.keyboard.press("Escape")
    page.click("main section:nth-child(2) button.card")
    page.wait_for_selector(f"text={NO_GRAPH}")
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert page.evaluate(SPILLED) == []
    assert all(url.startswith((server.url, "data:")) for url in requests)
    assert problems == []
    page.close()
