"""Chromium for the tests that look at pages; it is the system's, nothing is downloaded."""

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless browser."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("there is no Chromium here; on Debian: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=flags)
        yield browser
        browser.close()


class Watched:
    """A page, and all it complained of and asked for."""

    def __init__(self, browser: Any, **options: Any) -> None:
        self.page = browser.new_page(**{"viewport": {"width": 1440, "height": 1000}, **options})
        self.errors: list[str] = []
        self.hosts: set[str] = set()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.errors.append(f"page error: {error}"))
        self.page.on("request", self._request)

    def _console(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def _request(self, request: Any) -> None:
        address = request.url.partition("://")
        if address[0] not in ("data", "blob") and not request.url.startswith(("data:", "blob:")):
            self.hosts.add(address[2].partition("/")[0].partition(":")[0])


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Any]:
    """`open_page(url, color_scheme=…)`: a page of its own; closed at the end."""
    opened: list[Watched] = []

    def open_one(url: str, **options: Any) -> Watched:
        opened.append(Watched(chromium, **options))
        opened[-1].page.goto(url)
        return opened[-1]

    yield open_one
    for one in opened:
        one.page.close()


@pytest.fixture(scope="session")
def watched() -> type[Watched]:
    """The class of a page that remembers its complaints."""
    return Watched
