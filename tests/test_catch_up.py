"""A lab at the end or the start of any chapter, from any state."""

import json
import subprocess
from types import SimpleNamespace

import pytest

from labkit import catch_up
from labkit.chapters import CHAPTERS
from labkit.errors import InputError


@pytest.mark.parametrize("text", ["4", "04", "04_multicluster_link"])
def test_a_chapter_is_found_by_number(text):
    assert catch_up.find(text) == "04"


@pytest.mark.parametrize("text", ["11", "x", "", "-1", "041"])
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


def test_steps_go_forwards_and_undoing_backwards(monkeypatch):
    order = []

    def chapter(number):
        check = SimpleNamespace(chapter=number)
        return SimpleNamespace(
            CHECKS=(check,),
            STEPS=(lambda _: order.append(f"+{number}"),),
            undo=lambda _: order.append(f"-{number}"),
        )

    monkeypatch.setattr(catch_up, "CHAPTERS", tuple(chapter(f"{n:02}") for n in range(1, 5)))
    assert catch_up.undo_from(None, "03") == ["04", "03"]
    assert catch_up.do_until(None, "02") == ["01", "02"]
    assert order == ["-04", "-03", "+01", "+02"]


def test_reset_without_a_lab_says_so(home):
    done = home.run("reset", "04")
    assert done.returncode == 1
    assert "There is no lab demo" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_learner_catches_up_and_starts_again(home):
    def labkit(*args):
        done = home.run(*args, "--lab-name", "catch", "--json", timeout=400)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def kubectl(cluster, *args):
        lab = home.root / "catch"
        return subprocess.run(
            [
                lab / "bin" / "kubectl",
                "--kubeconfig",
                lab / "kubeconfig",
                "--context",
                cluster,
                *args,
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout

    try:
        facts = labkit("solve", "07")
        assert {check["status"] for check in facts["checks"]} == {"pass"}
        kubectl("east", "-n", "emojivoto", "delete", "deploy", "web")
        kubectl("west", "-n", "linkerd-multicluster", "delete", "link", "east")
        facts = labkit("solve", "06")
        assert {check["status"] for check in facts["checks"]} == {"pass"}
        robot = kubectl("west", "-n", "emojivoto", "set", "env", "deploy/vote-bot", "--list")
        assert "WEB_HOST=web-svc.emojivoto:80" in robot
        assert labkit("reset", "03")["undone"] == ["10", "08", "07", "06", "05", "04", "03"]
        for cluster in ("west", "east"):
            names = kubectl(cluster, "get", "namespaces", "-o", "name")
            assert "linkerd" not in names
            assert "emojivoto" not in names
            assert "linkerd" not in kubectl(
                cluster, "get", "crd,clusterrole,apiservice", "-o", "name"
            )
        assert home.run("check", "02", "--lab-name", "catch").returncode == 0
    finally:
        assert home.run("down", "--lab-name", "catch").returncode == 0
