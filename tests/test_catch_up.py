"""A lab at the end or the start of any chapter, from any state.

The tests of a lab go from chapter to chapter, some way in CI and each ordered pair of chapters with
`LABKIT_LONG_TESTS=1` twice: forwards by `solve` and back by `reset`, then the other way about (an hour
each). One that broke off at step 40 goes on with `LABKIT_TOUR=40-`; `LABKIT_TOUR=1-156` goes half the
way, and two labs at a time share the time.
"""

import json
import os
import sys
import time
from itertools import pairwise
from types import SimpleNamespace

import pytest

from labkit import catch_up
from labkit.chapters import CHAPTERS, failover
from labkit.context import CLUSTERS
from labkit.errors import InputError
from labkit.lab import Lab
from labkit.params import Params

DOWN = "00"
"""No clusters: the state before chapter 01 and after chapter 99."""

STATES = [DOWN, *filter(catch_up.needs_clusters, map(catch_up.number, CHAPTERS))]


@pytest.mark.parametrize("text", ["4", "04", "04_multicluster_link"])
def test_a_chapter_is_found_by_number(text):
    assert catch_up.find(text) == "04"


@pytest.mark.parametrize("text", ["77", "x", "", "-1", "041"])
def test_an_unknown_chapter_is_refused_with_the_known_ones(text):
    with pytest.raises(InputError, match="00, 01, 02") as caught:
        catch_up.find(text)
    assert f"{text}: no chapter of that number" in str(caught.value)


def test_what_a_chapter_changes_it_can_undo():
    """Clusters go by the teardown; chapter 09 only looks."""
    without = {
        catch_up.number(chapter)
        for chapter in CHAPTERS
        if getattr(chapter, "STEPS", ()) and not hasattr(chapter, "undo")
    }
    assert without == {"01", "09"}


@pytest.fixture
def order(monkeypatch):
    """What four made-up chapters do, in order; the third's steps only observe."""
    seen = []

    def chapter(number):
        return SimpleNamespace(
            CHECKS=(SimpleNamespace(chapter=number),),
            STEPS=(lambda _: seen.append(f"+{number}"),),
            undo=lambda _: seen.append(f"-{number}"),
            **({"done": lambda _: "+03" in seen} if number == "03" else {}),
        )

    monkeypatch.setattr(
        catch_up, "undo_exercises_from", lambda _, number: seen.append(f"-exercises from {number}")
    )
    monkeypatch.setattr(catch_up, "CHAPTERS", tuple(chapter(f"{n:02}") for n in range(1, 5)))
    return seen


def test_steps_go_forwards_and_undoing_backwards(order):
    assert catch_up.undo_from(None, "03") == ["04", "03"]
    assert catch_up.do_until(None, "02") == ["01", "02"]
    assert order == ["-exercises from 03", "-04", "-03", "+01", "+02"]


def test_what_was_observed_is_observed_again_only_when_it_is_asked_for(order):
    assert catch_up.do_until(None, "04") == ["01", "02", "03", "04"]
    assert catch_up.do_until(None, "04") == ["01", "02", "04"]
    assert catch_up.do_until(None, "03") == ["01", "02", "03"]
    assert catch_up.do_until(None, "03", anew=False) == ["01", "02"]


def test_the_chapter_before_one_is_the_last_with_a_smaller_number():
    assert catch_up.before("04") == "03"
    assert catch_up.before("99") == STATES[-1]


def test_reset_without_a_lab_says_so(home):
    done = home.run("reset", "04")
    assert done.returncode == 1
    assert "There is no lab demo" in done.stderr


# --- tours of a real lab ------------------------------------------------------------------


ZIGZAG = STATES.index("08")
"""Up to here a step takes seconds; chapters 09, 10 and 13 wait for figures, and come once."""


def covering(states):
    """Each state once as start and as end: two forwards, one back; then up, down, and home."""
    path = [*states[:1]]
    for n in range(1, min(ZIGZAG, len(states) - 1), 2):
        path += [states[n + 1], states[n]]
    left = [state for state in states if state not in path]
    return [*path, *left[1::2], *reversed(left[::2]), states[0]]


def every_pair(states):
    """A closed tour through each ordered pair of different states once (Hierholzer)."""
    left = {state: [other for other in reversed(states) if other != state] for state in states}
    stack, tour = [states[0]], []
    while stack:
        if left[stack[-1]]:
            stack.append(left[stack[-1]].pop())
        else:
            tour.append(stack.pop())
    return tour[::-1]


@pytest.mark.parametrize("n", [3, 8, 11, 13])
def test_the_tours_visit_what_they_promise(n):
    states = [f"{number:02}" for number in range(n)]
    steps = list(pairwise(every_pair(states)))
    assert len(steps) == len(set(steps)) == n * (n - 1)
    steps = list(pairwise(covering(states)))
    assert {start for start, _ in steps} == {end for _, end in steps} == set(states)
    assert {start < end for start, end in steps} == {True, False}


def after(state):
    """The chapter at whose start a lab is at the end of one."""
    return [*STATES, catch_up.LAST][STATES.index(state) + 1]


class Tour:
    """A lab that goes from the end of one chapter to that of another, and what must be there."""

    def __init__(self, lab):
        self.lab, self.times = lab, []

    def go(self, start, end, *, by_reset):
        begun = time.monotonic()
        if by_reset:
            self.lab.reset(after(end))
        else:
            self.lab.solve(end if end != DOWN else catch_up.LAST)
        verb = "reset" if by_reset else "solve"
        self.times.append(time.monotonic() - begun)
        assert self.seen(end) == expected(end), f"{verb} {start} → {end}"
        if by_reset:  # a solve has shown it by itself
            assert self.lab.run_checks([end] if end != DOWN else ["99"]).failures == []
        return f"{verb}: {self.times[-1]:.1f} s"

    def seen(self, chapter):
        """What of each chapter is there, found without the chapters' own code."""
        lab = self.lab
        if chapter == DOWN:
            return {"clusters": lab.folder.kubeconfig.exists()}
        found = {"certificates": any(lab.folder.certificates.iterdir())}
        west, east = (lab.kubernetes(name) for name in CLUSTERS)
        for cluster in (west, east):
            spaces = {item["metadata"]["name"] for item in cluster.list("v1", "Namespace")}
            definitions = cluster.list("apiextensions.k8s.io/v1", "CustomResourceDefinition")
            names = [item["metadata"]["name"] for item in definitions]
            found |= {
                f"{space} {cluster.context}": space in spaces
                for space in ("linkerd", "linkerd-viz", "linkerd-multicluster", "emojivoto")
            }
            found[f"definitions {cluster.context}"] = any("linkerd" in name for name in names)
        found["mirror"] = west.get("v1", "Service", "web-svc-east", "emojivoto") is not None
        bot = west.get("apps/v1", "Deployment", "vote-bot", "emojivoto")
        found["redirected"] = "web-svc-east" in json.dumps(bot)
        found["tapped"] = "tap" in lab.folder.recall()
        found["intruders"] = west.get("v1", "Namespace", "labkit-intruders") is not None
        found["figures"] = bool(lab.recorded("latency"))
        return found


BEGINS = {
    "certificates": "02",
    **{f"{what} {c}": "03" for c in CLUSTERS for what in ("linkerd", "linkerd-viz", "definitions")},
    **{f"linkerd-multicluster {c}": "04" for c in CLUSTERS},
    **{f"emojivoto {c}": "05" for c in CLUSTERS},
    "mirror": "06",
    "redirected": "07",
    "tapped": "08",
    "intruders": "08",
    "figures": "10",
}
"""What is there → the chapter that makes it."""


def expected(chapter):
    if chapter == DOWN:
        return {"clusters": False}
    return {what: chapter >= begins for what, begins in BEGINS.items()}


@pytest.fixture
def tour(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    monkeypatch.delenv("LABKIT_RUN_FOLDER", raising=False)
    monkeypatch.setenv("LABKIT_HEADLESS", "1")
    monkeypatch.setattr(failover, "PHASE_S", dict.fromkeys(failover.PHASE_S, 3.0))
    params = Params(lab_name="tour", measure_seconds=10, warmup_seconds=0, load_rate=0)
    lab = Lab.create(params)
    try:
        yield Tour(lab)
    finally:
        left = lab.tear_down()
        assert left["leftovers"] == left["processes_left"] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_from_chapter_to_chapter(tour):
    for number, (start, end) in enumerate(pairwise(covering(STATES))):
        tour.go(start, end, by_reset=end < start and number % 4 == 1)


def part_of(steps, chosen):
    """The numbered pairs of a tour that `40-`, `1-78` or nothing chooses."""
    first, _, last = chosen.partition("-")
    numbered = list(enumerate(steps, start=1))
    return numbered[int(first or 1) - 1 : int(last or len(steps))]


@pytest.mark.parametrize(
    ("chosen", "numbers"), [("", [1, 2, 3]), ("2-", [2, 3]), ("1-2", [1, 2]), ("3-3", [3])]
)
def test_a_part_of_a_tour_keeps_its_numbers(chosen, numbers):
    assert part_of(["a", "b", "c"], chosen) == [(n, " abc"[n]) for n in numbers]


def by_both_verbs(tour):
    """A tour twice: back by reset, then forwards by reset; the other steps by solve."""
    pairs = list(pairwise(tour))
    return [(a, b, b < a) for a, b in pairs] + [(a, b, b > a) for a, b in pairs]


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("LABKIT_LONG_TESTS"), reason="two hours")
@pytest.mark.timeout(5 * 3600)
def test_from_any_chapter_to_any_chapter(tour):
    steps = by_both_verbs(every_pair(STATES))
    chosen = part_of(steps, os.environ.get("LABKIT_TOUR", ""))
    if (first := chosen[0][1][0]) != DOWN:
        tour.lab.solve(first)
    for number, (start, end, by_reset) in chosen:
        sys.stderr.write(f"{number}/{len(steps)} {start} → {end} ")
        sys.stderr.write(tour.go(start, end, by_reset=by_reset) + "\n")
    seconds = sorted(tour.times)
    sys.stderr.write(
        f"{len(seconds)} of {len(steps)} steps, median {seconds[len(seconds) // 2]:.1f} s, "
        f"longest {seconds[-1]:.1f} s, all {sum(seconds):.0f} s\n"
    )
