"""The panels that a snapshot becomes."""

import re

import pytest

from labkit.clouds import WanChange, WanState, WanValues
from labkit.dashboard.page import fragments
from labkit.dashboard.snapshot import Probe, Snapshot, Tapped
from tests.support import lab_snapshots as lab

PANELS = {"status", "alerts", "topology", "chapters", "golden", "tap", "network", "costs"}


def test_every_panel_is_drawn_for_any_lab():
    for found in (
        lab.snapshot(),
        Snapshot(at_s=lab.NOW_S, lab="demo", cloud="embedded"),
        Snapshot(at_s=lab.NOW_S, lab="demo", down="The lab demo is down."),
    ):
        assert set(fragments(found)) == PANELS


def test_the_state_of_an_edge_is_in_words_and_signs():
    alive = fragments(lab.snapshot())["topology"]
    dead = fragments(lab.snapshot(probe=Probe(alive=False, latency_ms=0, failed=3)))["topology"]
    assert "✔ Link west → east: gateway probe alive" in alive
    assert "✘ Link: gateway probe not answered" in dead
    assert 'data-edge="link" data-health="fault"' in dead


def test_a_node_lights_up_when_the_checks_of_its_chapter_hold():
    state = r'data-node="controller-east" data-state="(\w+)"'
    proved = fragments(lab.snapshot())["topology"]
    assert re.search(state, proved).group(1) == "ok"
    reached = fragments(lab.snapshot(chapters=()))["topology"]
    assert re.search(state, reached).group(1) == "there"
    empty = fragments(lab.snapshot(clusters={}))["topology"]
    assert re.search(state, empty).group(1) == "absent"


def test_quantiles_of_one_bucket_are_flagged():
    golden = fragments(lab.snapshot())["golden"]
    assert "100–200" in golden
    assert "vote-bot outbound: p50, p95 and p99 lie in one bucket (100, 200] ms" in golden


def test_a_quantile_with_few_requests_beyond_it_is_marked():
    golden = fragments(lab.snapshot())["golden"]
    assert "100–200</td>" in golden  # p50 of 90 requests: 45 lie beyond it
    assert "100–200†</td>" in golden  # p95: 4.5 do


def test_what_comes_from_the_lab_is_escaped():
    hostile = lab.request(1)
    hostile = type(hostile)(**{**vars(hostile), "method": "<script>alert(1)</script>"})
    panel = fragments(lab.snapshot(tapped=Tapped((hostile,), lab.NOW_S - 9)))["tap"]
    assert "<script>" not in panel
    assert "&lt;script&gt;" in panel


def test_no_panel_names_another_host():
    text = "".join(fragments(lab.snapshot()).values())
    assert set(re.findall(r"https?://[^\s\"<]+", text)) <= {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("changed", [True, False])
def test_the_network_shows_now_and_before(changed):
    before = WanValues(rtt_ms=145.9, jitter_ms=0.4, loss=0.0)
    now = WanValues(rtt_ms=300.0, jitter_ms=0.4, loss=0.0) if changed else before
    changes = (WanChange(lab.NOW_S, "rtt_ms 145.9 -> 300"),) if changed else ()
    found = lab.snapshot(wan=WanState(before, now, changed, changes))
    panels = fragments(found)
    assert ("the network was changed" in panels["alerts"]) is changed
    assert f"WAN  {now.rtt_ms:g} ms round trip" in panels["topology"]


def test_a_black_hole_is_said_in_the_drawing_and_the_panel():
    before = WanValues(rtt_ms=145.9, jitter_ms=0.4, loss=0.0)
    now = WanValues(rtt_ms=145.9, jitter_ms=0.4, loss=0.0, blackhole=True)
    changes = (WanChange(lab.NOW_S, "blackhole on"),)
    panels = fragments(lab.snapshot(wan=WanState(before, now, changed=True, changes=changes)))
    assert "✘ black hole: nothing passes" in panels["topology"]
    assert "✘ nothing passes" in panels["network"]


def test_a_note_alone_is_no_fault():
    panel = fragments(lab.snapshot(problems={"costs": "no answer."}))["alerts"]
    assert "✔</b> No fault seen." in panel
    assert "! Note:</b> costs cannot be read: no answer." in panel


def test_a_network_that_cannot_be_set_says_why():
    panel = fragments(lab.snapshot(wan_why="on cloud existing it is a real network"))["network"]
    assert "The network cannot be set: on cloud existing it is a real network." in panel
