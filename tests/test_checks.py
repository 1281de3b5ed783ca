import re
import subprocess

import pytest

from labkit.checks import (
    Check,
    Finding,
    Outcome,
    Reason,
    Report,
    failed,
    passed,
    select,
    show,
    warned,
)
from labkit.errors import CheckFailed, InputError
from labkit.inventory import all_checks


def check(identifier, look):
    return Check(
        id=identifier,
        title=f"title of {identifier}",
        clusters=("west",),
        proves="that it holds",
        fix="labkit up",
        look=look,
    )


def fine(lab):
    return passed("fine")


def report(*statuses):
    return Report(
        tuple(
            Outcome(f"01.{n}", "title", ("west", "east"), status, f"saw {n}", "fix it")
            for n, status in enumerate(statuses)
        )
    )


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ((), 2),
        (("pass", "pass"), 0),
        (("pass", "warn"), 3),
        (("warn", "fail", "pass"), 1),
    ],
    ids=["nothing ran", "all pass", "warnings only", "one fails"],
)
def test_the_exit_code_says_how_it_went(statuses, code):
    assert report(*statuses).exit_code == code


def test_findings_carry_what_was_seen():
    assert passed("3 of 3") == Finding("pass", "3 of 3")
    assert failed("2 of 3").status == "fail"
    assert warned("old").status == "warn"


def test_a_reason_is_told_with_what_was_seen_and_with_its_fix():
    reason = Reason("{n} of {total} are Ready", fix="kubectl get {what}", coming=True)
    found = reason.seen(n=1, total=3, what="nodes")
    assert found == Finding("fail", "1 of 3 are Ready", "kubectl get nodes", coming=True)
    assert Reason("odd", status="warn").seen() == Finding("warn", "odd")


@pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.id)
def test_a_check_is_a_contract(check):
    """Data enough to list it, to explain it and to bound it; fixes are lines for a shell."""
    assert re.fullmatch(r"\d\d\.[a-z-]+", check.id)
    assert check.title
    assert check.proves
    assert set(check.clusters) <= {"west", "east"}
    assert 0 < check.limit_s <= 60
    assert check.reasons, "in which ways can it fail?"
    assert check.to_json()["reasons"][0]["text"] == check.reasons[0].text
    for fix in [check.fix, *(reason.fix for reason in check.reasons if reason.fix)]:
        line = re.sub(r"\{\w+\}", "x", fix)
        parsed = subprocess.run(["bash", "-n", "-c", line], capture_output=True, check=False)
        assert parsed.returncode == 0, line
        assert line.split()[0] in {"labkit", "kubectl", "linkerd", "chmod", "make"}, line


def test_checks_are_chosen_by_chapter_with_or_without_the_zero():
    checks = [check(f"{n}.x", fine) for n in ("00", "01", "10")]
    assert select(checks, []) == checks
    assert [c.id for c in select(checks, ["1", "10"])] == ["01.x", "10.x"]


def test_unknown_chapters_are_named_together_with_the_known_ones():
    checks = [check(f"{n}.x", fine) for n in ("00", "01")]
    with pytest.raises(InputError, match="choose among 00, 01") as caught:
        select(checks, ["77", "01", "mesh"])
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["77", "mesh"]


def test_headless_a_failure_ends_the_notebook_with_reason_and_fix(monkeypatch):
    monkeypatch.setenv("LABKIT_HEADLESS", "1")
    with pytest.raises(CheckFailed, match=r"Check 01\.1 failed: title") as caught:
        show(report("pass", "fail", "fail"))
    assert (caught.value.seen, caught.value.fix) == ("saw 1", "fix it")


def test_headless_a_warning_does_not_end_the_notebook(monkeypatch):
    monkeypatch.setenv("LABKIT_HEADLESS", "1")
    assert show(report("warn")).exit_code == 3


def test_by_hand_a_failure_is_shown_and_does_not_raise(monkeypatch):
    monkeypatch.delenv("LABKIT_HEADLESS", raising=False)
    assert show(report("fail")).exit_code == 1


def test_the_text_shows_reason_always_and_fix_where_it_failed():
    assert str(report("pass", "fail")) == (
        "✔ 01.0  title  [west, east]\n    saw 0\n✘ 01.1  title  [west, east]\n    saw 1\n    fix: fix it"
    )
    assert str(report()) == "no checks ran"


def test_the_html_shows_the_same_and_escapes_it():
    outcome = Outcome("01.a", "<b>", ("west",), "fail", "<script>", "a && b")
    text = Report((outcome,))._repr_html_()
    for part in ("✘", "&lt;b&gt;", "&lt;script&gt;", "a &amp;&amp; b"):
        assert part in text
    assert "<script>" not in text


def test_json_holds_plain_values():
    (row,) = report("pass").to_json()
    assert row == {
        "id": "01.0",
        "title": "title",
        "clusters": ("west", "east"),
        "status": "pass",
        "reason": "saw 0",
        "fix": "fix it",
    }
