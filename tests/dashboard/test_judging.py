"""What is called a fault, from a snapshot alone, and what is none."""

import pytest

from labkit.dashboard.judging import alerts, edges
from labkit.dashboard.snapshot import ChapterState, Probe, Snapshot, Tapped
from tests.support import lab_snapshots as lab


def faults(snapshot):
    return [alert.text for alert in alerts(snapshot) if alert.level == "fault"]


def test_a_lab_that_works_has_no_fault():
    found = lab.snapshot()
    assert faults(found) == []
    assert {edge.health for edge in edges(found).values()} == {"ok"}


def test_the_votes_have_live_figures_from_tap():
    figures = edges(lab.snapshot())["votes"].figures
    assert figures == "0.7 req/s · 100% ok · p50 155 ms · n=10"


def test_an_empty_lab_has_no_fault_and_no_edge():
    found = Snapshot(at_s=lab.NOW_S, lab="demo", cloud="embedded")
    assert faults(found) == []
    assert {edge.health for edge in edges(found).values()} == {"absent"}


def test_a_gateway_scaled_to_0_breaks_link_and_votes():
    clusters = {"west": lab.view("west"), "east": lab.view("east", **{"linkerd-gateway": 0})}
    found = lab.snapshot(clusters=clusters)
    for edge in ("link", "votes"):
        assert edges(found)[edge].health == "fault"
        assert edges(found)[edge].words == "linkerd-gateway (east) is scaled to 0"
    (text,) = faults(found)
    assert text == (
        "linkerd-gateway (east) is scaled to 0. Broken: service mirror (west) → gateway (east), "
        "vote-bot (west) → gateway (east), linkerd-gateway → web"
    )


def test_a_dead_probe_breaks_the_link():
    found = edges(lab.snapshot(probe=Probe(alive=False, latency_ms=0, failed=3)))["link"]
    assert (found.health, found.words) == ("fault", "gateway probe not answered")


def test_silence_breaks_the_votes():
    requests = tuple(lab.request(30 - i) for i in range(10))
    found = edges(lab.snapshot(tapped=Tapped(requests, lab.NOW_S - 60)))["votes"]
    assert (found.health, found.words) == ("fault", "no answer for 21 s")


def test_silence_of_a_stream_that_opens_anew_is_no_fault():
    requests = tuple(lab.request(30 - i) for i in range(10))
    assert edges(lab.snapshot(tapped=Tapped(requests, None)))["votes"].health == "quiet"


@pytest.mark.parametrize(("status", "health"), [(503, "fault"), (504, "fault"), (500, "ok")])
def test_only_answers_of_proxies_break_the_votes(status, health):
    requests = tuple(lab.request(3 - i, status=status) for i in range(3))
    found = edges(lab.snapshot(tapped=Tapped(requests, lab.NOW_S - 60)))["votes"]
    assert found.health == health


def test_a_pod_that_is_not_ready_is_named_once():
    clusters = {"west": lab.view("west"), "east": lab.view("east", voting=0)}
    found = [text for text in faults(lab.snapshot(clusters=clusters)) if "voting" in text]
    assert found == ["voting (east) is scaled to 0. Broken: web → voting"]


def test_a_chapter_that_was_not_reached_is_no_fault():
    failure = (("06.service", "west has no service web-svc-east", "label it"),)
    chapters = (
        ChapterState("05", "emojivoto", "pass", 4, 4),
        ChapterState("06", "mirror", "fail", 0, 2, failure),
    )
    assert faults(lab.snapshot(chapters=chapters)) == []
    later = (*chapters, ChapterState("07", "traffic", "pass", 3, 3))
    assert faults(lab.snapshot(chapters=later)) == [
        "check 06.service: west has no service web-svc-east"
    ]


def test_a_cluster_that_does_not_answer_is_a_fault_with_its_reason():
    found = lab.snapshot(problems={"east": "list Deployment in east got no answer."})
    assert faults(found) == ["east cannot be read: list Deployment in east got no answer."]


def test_a_lab_that_is_down_says_only_that():
    found = Snapshot(at_s=lab.NOW_S, lab="demo", down="The lab demo is down.")
    assert [alert.text for alert in alerts(found)] == ["The lab demo is down."]
