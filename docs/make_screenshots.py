"""Makes the pictures of the live view in docs/images from a lab that runs.

    python docs/make_screenshots.py            # makes a lab, takes the pictures, takes it down
    python docs/make_screenshots.py ADDRESS    # of a live view that runs, at chapter 08 or later

The first takes about three minutes and a Chromium.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

IMAGES = Path(__file__).with_name("images")
LAB = "demo"
WAIT_MS = 120_000
WIDTH, HEIGHT = 1440, 1000


def main(arguments: list[str]) -> None:
    """Take the pictures and name the files."""
    if arguments:
        take(arguments[0])
        return
    others = {name: text for name, text in os.environ.items() if not name.startswith("LABKIT_")}
    with (
        tempfile.TemporaryDirectory(prefix="labkit-pictures-") as home,
        live_view({**others, "LABKIT_HOME": home}) as address,
    ):
        take(address)


@contextmanager
def live_view(environment: dict[str, str]) -> Iterator[str]:
    """A lab at the end of chapter 08 with its live view; all is gone afterwards."""
    labkit = [sys.executable, "-m", "labkit.cli"]
    try:
        subprocess.run([*labkit, "solve", "08"], env=environment, check=True)
        process = subprocess.Popen(
            [*labkit, "dashboard", "--no-browser", "--port", "0"],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            yield re.search(r"http://\S+", process.stdout.readline())[0]
        finally:
            process.terminate()
            process.wait()
    finally:
        subprocess.run([*labkit, "down"], env=environment, check=True)


def take(address: str) -> None:
    """The whole page in both themes."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        for theme in ("light", "dark"):
            page = browser.new_page(
                color_scheme=theme,
                viewport={"width": WIDTH, "height": HEIGHT},
                reduced_motion="reduce",
            )
            page.goto(address)
            _wait_for_all(page)
            path = IMAGES / f"live-view-{theme}.png"
            page.screenshot(path=str(path), full_page=True)
            print(path)
        browser.close()


def _wait_for_all(page: Any) -> None:
    page.locator("[data-chapter='09'][data-status=pass]").wait_for(timeout=WAIT_MS)
    page.locator("[data-edge=votes][data-health=ok]").wait_for(timeout=WAIT_MS)
    page.locator("#tap tbody tr").nth(25).wait_for(timeout=WAIT_MS)


if __name__ == "__main__":
    main(sys.argv[1:])
