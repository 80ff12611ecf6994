"""A headless Chromium that is on the machine already, to open reports in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
PAPER = {"width": 703, "height": 1032}  # A4 less margins of 12 mm, in CSS pixels

# Of each row of each table, the texts of its cells.
CELLS = "tables => tables.map(t => [...t.rows].map(r => [...r.cells].map(c => c.textContent)))"
# Elements that reach out of the page to the right and are in no box that scrolls by itself.
SPILLED = """() => [...document.querySelectorAll('body *')]
    .filter(e => !e.closest('.wide, pre') && e.getBoundingClientRect().right > innerWidth + 1)
    .map(e => e.outerHTML.slice(0, 80))"""

# Of each table, whether there is more to scroll to, and whether the cue above it says so.
CUES = """() => [...document.querySelectorAll('.wide:has(> table)')].map(e =>
    [e.scrollWidth > e.clientWidth, parseFloat(getComputedStyle(e, '::before').fontSize) > 0])"""
# Cells of numbers whose text takes more than one line.
FOLDED = """() => [...document.querySelectorAll('td:not(.text)')].filter(e => {
    const text = document.createRange();
    text.selectNodeContents(e);
    return text.getBoundingClientRect().height > 1.6 * parseFloat(getComputedStyle(e).lineHeight);
}).map(e => e.textContent)"""


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no Chromium here: none of {', '.join(NAMES)} is on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, file: Path, size: dict[str, int], **options: Any) -> Iterator[Page]:
    """The file in a window of this size whose page runs no script; on leaving, nothing beside it was asked for."""
    asked = []
    context = browser.new_context(viewport=size, java_script_enabled=False, **options)
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    yield page
    context.close()
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]


def check_layout(browser: Browser, file: Path) -> None:
    """No sideways scroll on a phone or a desk, by day or night; on paper no table is cut; every picture is there."""
    for size, scheme in ((PHONE, "light"), (PHONE, "dark"), (DESK, "light")):
        with opened(browser, file, size, color_scheme=scheme) as page:
            assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
            assert page.evaluate(SPILLED) == []
            levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map(h => h.tagName)")
            assert levels == ["H1"] + ["H2"] * (len(levels) - 1)
            missing = "[...document.images].filter(i => !i.alt || !i.complete || !i.naturalWidth).map(i => i.alt)"
            assert page.evaluate(missing) == []
            cues = page.evaluate(CUES) if size == PHONE else []
            assert all(scrolls == cue for scrolls, cue in cues), cues
    with opened(browser, file, PAPER, color_scheme="dark") as page:
        page.emulate_media(media="print")
        widest = page.evaluate("Math.max(...[...document.querySelectorAll('table, pre')].map(e => e.scrollWidth))")
        assert widest <= PAPER["width"]
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        hidden = "[...document.querySelectorAll('details > :not(summary)')].filter(e => !e.checkVisibility()).length"
        assert page.evaluate(hidden) == 0
