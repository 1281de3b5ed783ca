from datetime import UTC, datetime, timedelta

import pytest

from labkit.board.gathering import Gathered, Sighting
from labkit.board.plan import read_plan
from labkit.board.showing import room_page, room_text
from labkit.board.standing import Known, age_text, stand
from labkit.errors import InputError
from labkit.inventory import all_checks
from labkit.learner import LearnerRecord

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
PLAN = {"01": 10.0, "02": 10.0, "99": 5.0}
CHECKS = {"02.chain": Known("the issuer chains", "labkit reset 02")}


def minutes(count):
    return NOON + timedelta(minutes=count)


def learner(name, *events):
    """Events: (minute, chapter, failing ids or None for a step)."""
    record = LearnerRecord.new("demo").named(name)
    for minute, chapter, failing in events:
        if failing is None:
            record = record.stepped(chapter, minutes(minute))
        else:
            seen = dict.fromkeys(failing, True) or {f"{chapter}.ok": False}
            record = record.checked(seen, minutes(minute))
    return record


def room(*sightings, plan=PLAN):
    return stand(Gathered(sightings), plan=plan, checks=CHECKS, now=NOON)


def row(record, age_s=10.0):
    return room(Sighting(record, age_s)).rows[0]


def test_a_learner_within_the_plan_is_not_stuck():
    found = row(learner("Ada", (0, "01", None), (4, "01", []), (6, "02", None)), age_s=60)
    assert (found.at, found.state, found.passed) == ("02", "running", 1)
    assert (found.spent_min, found.plan_min, found.note) == (2, 10, "")


def test_a_learner_without_progress_for_longer_than_planned_is_stuck():
    record = learner(
        "Ada", (0, "01", None), (4, "01", []), (6, "02", None), (12, "02", ["02.chain"])
    )
    found = row(record, age_s=240)  # by the learner's clock 8 min, by ours 4 more
    assert found.note == "stuck: 12 min, plan 10"
    assert found.failing == ("02.chain",)
    assert row(record, age_s=60).note == ""


def test_a_learner_who_never_passed_anything_counts_from_the_first_step():
    record = learner("Ada", (0, "01", None), (9, "01", ["01.nodes"]))
    assert row(record, age_s=120).note == "stuck: 11 min, plan 10"


def test_a_learner_who_has_passed_and_not_gone_on_is_measured_by_the_next_chapter():
    record = learner("Ada", (0, "01", None), (4, "01", []))
    assert row(record, age_s=540).note == ""
    assert row(record, age_s=660).note == "stuck: 11 min, plan 10"


def test_a_learner_who_reached_the_end_is_done_however_long_ago():
    record = learner("Ada", (0, "01", []), (1, "02", []), (2, "99", []))
    assert row(record, age_s=9000).note == "done"


def test_silence_is_told_by_its_age_and_is_not_stuck():
    found = row(learner("Ada", (0, "01", None)), age_s=7200)
    assert (found.note, found.stuck_min) == ("silent for 2 h", None)


def test_a_learners_wrong_clock_changes_nothing():
    record = learner("Ada", (60 * 24 * 400, "01", None), (60 * 24 * 400 + 5, "01", []))
    assert row(record, age_s=60).note == ""


def test_those_who_need_help_come_first():
    fine = learner("Ada", (0, "01", None))
    stuck = learner("Zoe", (0, "01", None))
    made = room(Sighting(fine, 5), Sighting(stuck, 900))
    assert [found.name for found in made.rows] == ["Zoe", "Ada"]
    assert made.summary == "2 learners: 1 stuck, 0 silent, 0 done"


def test_what_fails_most_is_counted_with_its_fix():
    made = room(
        Sighting(learner("A", (0, "02", ["02.chain"])), 1),
        Sighting(learner("B", (0, "02", ["02.chain", "02.other"])), 1),
    )
    assert [(item.id, item.learners) for item in made.failing] == [("02.chain", 2), ("02.other", 1)]
    assert made.failing[0].fix == "labkit reset 02"
    assert "does not have" in made.failing[1].title


def test_times_are_those_of_learners_who_passed_by_themselves():
    a = learner("A", (0, "01", None), (4, "01", []))
    b = learner("B", (0, "01", None), (14, "01", []))
    c = learner("C", (0, "01", None), (14, "01", []))
    solved = learner("D", (0, "01", None)).checked({"01.ok": False}, minutes(1))
    solved = solved.solved("01", minutes(1))
    made = room(*(Sighting(record, 1) for record in (a, b, c, solved)))
    pace = made.paces[0]
    assert (pace.n, pace.median_min, pace.longest_min, pace.late) == (3, 14, 14, True)
    assert (pace.here, made.paces[1].n, made.paces[1].median_min) == (4, 0, None)


def test_an_empty_room_can_be_shown():
    assert "Nobody has shared" in room_text(room())
    assert "Nobody has shared" in room_page(room())


def test_names_are_text_and_no_html():
    record = learner("<img src=x onerror=alert(1)>", (0, "01", None))
    page = room_page(room(Sighting(record, 1)))
    assert "<img" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


def test_the_page_loads_nothing_and_says_states_in_words():
    page = room_page(room(Sighting(learner("Ada", (0, "02", ["02.chain"])), 1)), refresh_s=10)
    assert "http" not in page.replace("http-equiv", "")
    assert "<script" not in page
    assert '<meta http-equiv="refresh" content="10">' in page
    assert "labkit reset 02" in page
    assert '<span class="hidden">failed</span>' in page


@pytest.mark.parametrize(
    ("age_s", "text"), [(5, "5 s"), (300, "5 min"), (7200, "2 h"), (864000, "10 days")]
)
def test_ages_are_in_their_largest_unit(age_s, text):
    assert age_text(age_s) == text


def test_the_plan_of_labkit_is_three_hours_of_chapters_that_exist():
    plan = read_plan()
    assert set(plan) == {check.chapter for check in all_checks()}
    assert sum(plan.values()) <= 180


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("minutes: [", "cannot be read"),
        ("hours: {}", "no plan"),
        ("minutes: {1: 10, '02': soon, '03': 0}", "does not fit"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused(tmp_path, text, problem):
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=problem):
        read_plan(path)


def test_all_problems_of_a_plan_are_told(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text("minutes: {1: 10, '02': soon, '03': 0}\nbreaks: 2")
    with pytest.raises(InputError) as caught:
        read_plan(path)
    assert len(caught.value.problems) == 4


def test_exercises_are_counted_by_learner_and_by_exercise():
    ada = learner("Ada", (0, "04", None)).tried({"04.exercise-gateway": True}, minutes(1))
    bob = learner("Bob", (0, "04", None)).tried({"04.exercise-gateway": False}, minutes(1))
    known = {"04.exercise-gateway": Known("you know the Link", "")}
    gathered = Gathered((Sighting(ada, 1), Sighting(bob, 1)))
    made = stand(gathered, plan=PLAN, checks=known, now=NOON)
    assert {found.name: found.exercises for found in made.rows} == {"Ada": 1, "Bob": 0}
    (tried,) = made.exercises
    assert (tried.solved, tried.open, tried.title) == (1, 1, "you know the Link")
    assert "04.exercise-gateway   1        1      you know the Link" in room_text(made)
    assert "Learners who solved it" in room_page(made)
    assert "Exercises" not in room_text(room())
