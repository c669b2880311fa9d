"""A page in a real browser: what it loads, what it complains about, how wide it is, and what people read there."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync".split()
)
WIDTHS = (390, 1280)
"""A phone's and a screen's, in pixels."""


@contextmanager
def opened(page: Path, width: int = 1280) -> Iterator[tuple[Any, list[str]]]:
    """Open a file and yield the browser's page, and what it asked for beside the file or complained about so far."""
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=str(CHROMIUM), args=QUIET)
        try:
            shown, noticed = browser.new_page(viewport={"width": width, "height": 900}), []
            shown.on("request", lambda request: noticed.append(request.url))
            shown.on("console", lambda message: noticed.append(message.text))
            shown.on("pageerror", lambda error: noticed.append(str(error)))
            shown.goto(page.as_uri())
            shown.wait_for_load_state("networkidle")
            yield shown, [what for what in noticed if what != page.as_uri() and not what.startswith("data:")]
        finally:
            browser.close()


def read_page(address: str, wanted: Sequence[str], picture: Path, tab: str = "", patience_s: float = 60.0) -> str:
    """Open a server's page, go to a tab of it, wait until it shows all wanted texts, and return what it shows; keep a
    picture of it.
    """
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=str(CHROMIUM), args=QUIET)
        try:
            shown = browser.new_page(viewport={"width": 1400, "height": 1000})
            shown.goto(address)
            if tab:
                shown.get_by_text(tab, exact=True).first.click()
            text, until = "", time.monotonic() + patience_s
            while time.monotonic() < until and not all(words in text for words in wanted):
                shown.wait_for_timeout(500)
                text = shown.inner_text("body")
            shown.screenshot(path=str(picture))
            return text
        finally:
            browser.close()


def overflow(shown: Any) -> int:
    """Return by how many pixels the page is wider than the window."""
    return int(shown.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
