"""The board's page in a real browser, behind its password, in both themes."""

import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import matplotlib.image
import pytest

from labkit.board.gathering import INSTRUCTOR
from labkit.learner import LearnerRecord

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PAPER = {"light": (255, 255, 255), "dark": (13, 17, 23)}
"""Background of the page, red, green and blue."""
SCHEME = {"dark": 0, "light": 1}
"""Chromium's numbers for what a user prefers."""


def browse(url, folder, *options):
    argv = [CHROMIUM, "--headless", "--disable-gpu", "--window-size=1400,900", *options]
    argv += [f"--user-data-dir={folder / 'profile'}", "--timeout=20000", "--no-first-run"]
    if os.geteuid() == 0:
        argv.append("--no-sandbox")
    return subprocess.run([*argv, url], capture_output=True, text=True, timeout=90)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_browser_shows_the_board_in_both_themes(collector, tmp_path):
    began = datetime(2026, 3, 2, 9, tzinfo=UTC)
    record = LearnerRecord.new("demo").named("<i>Ada</i>").stepped("01", began)
    record = record.checked({"01.nodes-west": True}, began + timedelta(minutes=3))
    assert collector.put(record).status_code == 200
    scheme, _, rest = collector.url.partition("://")
    url = f"{scheme}://{INSTRUCTOR}:{collector.password}@{rest}/"
    dom = browse(url, tmp_path, "--dump-dom").stdout
    assert "&lt;i&gt;Ada&lt;/i&gt;" in dom
    assert "01.nodes-west" in dom
    for theme, paper in PAPER.items():
        picture = tmp_path / f"{theme}.png"
        preferred = f"--blink-settings=preferredColorScheme={SCHEME[theme]}"
        done = browse(url, tmp_path, preferred, f"--screenshot={picture}")
        assert picture.is_file(), done.stderr[-800:]
        pixels = matplotlib.image.imread(picture)
        corner = tuple(round(float(value) * 255) for value in pixels[5, 5][:3])
        assert corner == paper
        assert pixels.std() > 0.02, "an empty page"
