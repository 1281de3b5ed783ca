"""A new user with the README in one window and Chromium in the other, and then the live view.

The walk through chapters 00 to 08 is made once, by hand in JupyterLab; the tests of the live view
look at the lab that it leaves. Each test may run first, last or alone.
"""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.addresses import started
from tests.support.jupyterlab import WALKED, JupyterLab

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SHOWN_MS = 30_000
"""Generous: the time within which a fault shows is measured by the benchmarks, not here."""
GATEWAY = ("-n", "linkerd-multicluster", "scale", "deploy/linkerd-gateway")


class Workshop:
    """What the new user saw, and the lab that is there now."""

    def __init__(self, home, *, seen, tab, problem):
        self.home, self.seen, self.tab, self.problem = home, seen, tab, problem

    def kubectl(self, *arguments):
        done = subprocess.run(
            [self.home.root / "demo" / "bin" / "kubectl", "--context", "east", *arguments],
            env={**self.home.environment, "KUBECONFIG": str(self.home.root / "demo/kubeconfig")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def wan(self, *arguments):
        done = self.home.run("wan", *arguments)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def workshop(module_home, chromium, watched):
    made = module_home.run("init", "mine", "--learner")
    assert made.returncode == 0, made.stderr
    assert "labkit jupyter mine" in made.stdout
    from playwright.sync_api import Error as PageError

    notebooks = module_home.root / "mine" / "notebooks"
    seen, problem = [], ""
    own = {
        name: str(module_home.root / name.lower())  # a new user has no JupyterLab of before
        for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTERLAB_SETTINGS_DIR")
    }
    with started(module_home, "jupyter", "mine", "--no-browser", environment=own) as url:
        tab = watched(chromium)
        tab.page.goto(url)
        lab = JupyterLab(tab.page, notebooks)
        try:
            for name in WALKED:
                seen.append(lab.walk(name))
        except PageError as error:  # the live view has tests of its own
            problem = f"{name}: {error}"
            tab.page.screenshot(path=str(module_home.root / "problem.png"))
        finally:
            tab.page.close()
    if problem or seen[-1].errors:
        module_home.run("solve", "08", timeout=300)
    try:
        yield Workshop(module_home, seen=seen, tab=tab, problem=problem)
    finally:
        down = module_home.run("down")
    assert down.returncode == 0, down.stderr
    assert module_home.processes() == []


@pytest.fixture(scope="module")
def address(workshop):
    with started(workshop.home, "dashboard", "--no-browser", "--port", "0") as url:
        yield url
    running = [line for line in workshop.home.processes() if "viz tap" in line]
    assert running == []


@pytest.fixture
def view(address, open_page):
    """The live view with figures, and all checks of the walk green."""
    opened = open_page(address)
    opened.page.locator("[data-chapter='08'][data-status=pass]").wait_for(timeout=90_000)
    edge(opened, "votes", "ok").wait_for(timeout=SHOWN_MS)
    return opened


def edge(view, name, health):
    return view.page.locator(f"[data-edge={name}][data-health={health}]")


# --- a new user ---------------------------------------------------------------------------


def test_a_new_user_gets_to_the_end_of_chapter_08(workshop):
    assert not workshop.problem
    assert [seen.name for seen in workshop.seen] == list(WALKED)
    assert {seen.name: seen.errors for seen in workshop.seen if seen.errors} == {}
    assert {seen.name: seen.unrun for seen in workshop.seen if seen.unrun} == {}


def test_a_new_user_sees_the_checks_of_every_chapter_hold(workshop):
    for seen in workshop.seen:
        assert "✔" in seen.checks, seen.name
        assert "✘" not in seen.checks, seen.checks


def test_nothing_is_in_the_way_of_a_new_user(workshop):
    assert [(seen.name, seen.dialogs) for seen in workshop.seen if seen.dialogs] == []


def test_jupyterlab_asks_no_other_host(workshop):
    assert workshop.tab.hosts == {"127.0.0.1"}


# --- the live view ------------------------------------------------------------------------


def test_the_live_view_updates(view, wait):
    def text(panel):
        return view.page.locator(f"#{panel}").inner_text()

    before = {panel: text(panel) for panel in ("status", "tap", "topology", "golden")}
    for panel, old in before.items():
        wait(lambda panel=panel, old=old: text(panel) != old, f"{panel} to change")
    assert re.search(r"\d\.\d req/s · \d+% ok · p50 \d+ ms · n=\d+", text("topology"))
    assert view.errors == []
    assert view.hosts == {"127.0.0.1"}


def test_the_live_view_shows_a_lost_gateway_and_its_return(view, workshop):
    workshop.kubectl(*GATEWAY, "--replicas=0")
    try:
        edge(view, "votes", "fault").wait_for(timeout=SHOWN_MS)
        edge(view, "link", "fault").wait_for(timeout=SHOWN_MS)
        alerts = view.page.locator("#alerts").inner_text()
        assert "✘ Fault: linkerd-gateway (east) is scaled to 0. Broken: " in alerts
        assert "vote-bot (west) → gateway (east)" in alerts
    finally:
        workshop.kubectl(*GATEWAY, "--replicas=1")
    edge(view, "link", "ok").wait_for(timeout=90_000)
    edge(view, "votes", "ok").wait_for(timeout=90_000)
    view.page.get_by_text("✔ No fault seen.").wait_for(timeout=90_000)
    assert view.errors == []


def test_the_live_view_shows_a_black_hole_and_its_end(view, workshop):
    view.page.locator("select[name=blackhole]").select_option("true")
    view.page.locator("#wan button[type=submit]").press("Enter")
    try:
        edge(view, "votes", "fault").wait_for(timeout=SHOWN_MS)
        assert "Broken: " in view.page.locator("#alerts").inner_text()
    finally:
        workshop.wan("reset")
    edge(view, "votes", "ok").wait_for(timeout=90_000)
    edge(view, "link", "ok").wait_for(timeout=90_000)
    assert view.errors == []


def test_the_network_is_set_and_reset_by_keyboard(view, workshop):
    page = view.page
    page.locator("input[name=rtt_ms]").focus()
    page.keyboard.type("260")
    page.keyboard.press("Enter")
    try:
        page.get_by_text("WAN 260 ms round trip (changed live)").wait_for(timeout=SHOWN_MS)
        shown = json.loads(workshop.home.run("wan", "show", "--json").stdout)
        assert shown["now"]["rtt_ms"] == 260
        page.locator("input[name=loss]").fill("0.2")
        page.locator("#wan-reset").focus()
        page.keyboard.press("Enter")
        page.get_by_text("✔ the network is as the parameters ask").wait_for(timeout=SHOWN_MS)
    finally:
        workshop.wan("reset")
    page.get_by_text("WAN 145.9 ms round trip (emulated)").wait_for(timeout=SHOWN_MS)


def test_the_tap_stream_pauses(view, wait):
    page = view.page
    page.locator("#pause").press("Enter")
    assert page.locator("#pause").get_attribute("aria-pressed") == "true"
    before, status = (page.locator(f"#{panel}").inner_text() for panel in ("tap", "status"))
    wait(lambda: page.locator("#status").inner_text() != status, "the clock to go on")
    assert page.locator("#tap").inner_text() == before
    page.locator("#pause").press("Enter")
    wait(lambda: page.locator("#tap").inner_text() != before, "the stream to go on")


def test_every_control_is_reached_by_tab_and_shows_its_focus(view):
    page = view.page
    wanted = page.evaluate(
        "[...document.querySelectorAll('button, input, select, a')].map(e => e.outerHTML)"
    )
    reached = []
    page.locator("body").focus()
    for _ in range(len(wanted) + 12):
        page.keyboard.press("Tab")
        found = page.evaluate(
            """() => { const e = document.activeElement;
            return [e.outerHTML, getComputedStyle(e).outlineStyle,
                    e.getAttribute('aria-label') || e.innerText || e.labels?.[0]?.innerText] }"""
        )
        reached.append(found)
    shown = {markup: (outline, name) for markup, outline, name in reached}
    assert set(wanted) <= set(shown)
    for markup in wanted:
        outline, name = shown[markup]
        assert outline == "solid", markup
        assert name, markup


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_both_themes(address, open_page, scheme):
    opened = open_page(address, color_scheme=scheme)
    edge(opened, "votes", "ok").wait_for(timeout=90_000)
    contrasts = opened.page.evaluate((Path(__file__).parent / "contrasts.js").read_text())
    assert len(contrasts) > 50
    poor = [item for item in contrasts if item["ratio"] < 4.5]
    assert poor == []


def test_without_its_credential_the_live_view_says_nothing(address, open_page):
    bare = address.partition("?")[0]
    opened = open_page(bare)
    assert "login" in opened.page.url
    assert opened.page.request.get(f"{bare}state").status == 403
    assert opened.page.request.post(f"{bare}wan/reset").status == 403


def test_the_receipt_can_be_taken_away(view):
    with view.page.expect_download() as waiting:
        view.page.get_by_text("Receipt (JSON)").click()
    content = json.loads(Path(waiting.value.path()).read_text())
    assert content["schema"] == "labkit.receipt/1"
    assert content["cloud"] == "embedded"


def test_two_pages_share_one_tap(view, address, open_page, workshop):
    other = open_page(address)
    edge(other, "votes", "ok").wait_for(timeout=SHOWN_MS)
    taps = [line for line in workshop.home.processes() if "viz tap" in line]
    assert len(taps) == 1
