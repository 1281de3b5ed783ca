from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import InputError
from labkit.learner import LearnerRecord, clean_name

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def minutes(count):
    return NOON + timedelta(minutes=count)


@pytest.fixture
def learner():
    return LearnerRecord.new("demo")


def test_a_step_begins_a_chapter_and_checks_end_it(learner):
    record = learner.stepped("03", NOON).checked({"03.ready": True, "03.anchor": False}, minutes(4))
    assert (record.chapter("03").state, record.chapter("03").failing) == ("failed", ("03.ready",))
    record = record.checked({"03.ready": False}, minutes(6))
    chapter = record.chapter("03")
    assert (chapter.state, chapter.failing, chapter.passed) == ("passed", (), minutes(6))
    assert (chapter.started, chapter.spent_s, record.at) == (NOON, 360, "03")


def test_a_check_that_did_not_run_again_still_fails(learner):
    record = learner.checked({"03.a": True, "03.b": True}, NOON).checked({"03.b": False}, NOON)
    assert record.chapter("03").state == "failed"
    assert record.chapter("03").failing == ("03.a",)


def test_a_step_keeps_what_failed_until_the_checks_run_again(learner):
    record = learner.checked({"03.a": True}, NOON).stepped("03", minutes(1))
    assert (record.chapter("03").state, record.chapter("03").failing) == ("running", ("03.a",))


def test_reading_before_the_first_step_counts_for_the_chapter_that_is_read(learner):
    record = learner.stepped("01", NOON).checked({"01.nodes": False}, minutes(2))
    record = record.stepped("02", minutes(7))
    assert record.chapter("01").spent_s == 120
    assert record.chapter("02").spent_s == 300


def test_a_break_counts_half_an_hour_and_a_clock_set_back_nothing(learner):
    record = learner.stepped("01", NOON).stepped("01", minutes(120))
    assert record.chapter("01").spent_s == 30 * 60
    assert record.stepped("01", minutes(60)).chapter("01").spent_s == 30 * 60


def test_a_look_around_counts_no_failure_of_chapters_that_were_not_begun(learner):
    record = learner.stepped("01", NOON)
    seen = {"01.nodes": False, "02.chain": True, "03.ready": False}
    record = record.checked(seen, minutes(1))
    states = {number: record.chapter(number).state for number in ("01", "02", "03")}
    assert states == {"01": "passed", "02": "not started", "03": "passed"}
    assert record.at == "01"


def test_solve_marks_the_chapter_and_undoes_the_later_ones(learner):
    record = learner.checked({"06.mirror": False}, NOON)
    record = record.checked({"04.probe": False}, minutes(1)).solved("04", minutes(1))
    assert (record.chapter("04").state, record.chapter("04").solved) == ("passed", True)
    assert record.chapter("06").state == "not started"
    assert record.at == "04"
    assert not record.stepped("04", minutes(2)).chapter("04").solved


def test_reset_takes_back_states_and_keeps_times(learner):
    record = learner.stepped("04", NOON).checked({"04.probe": True}, minutes(3))
    record = record.was_reset("04", minutes(4))
    chapter = record.chapter("04")
    assert (chapter.state, chapter.failing) == ("not started", ())
    assert (chapter.started, chapter.spent_s) == (NOON, 180)


def test_every_change_is_a_newer_revision(learner):
    changes = [
        lambda r: r.named("Ada"),
        lambda r: r.stepped("01", NOON),
        lambda r: r.checked({"01.nodes": False}, NOON),
        lambda r: r.solved("01", NOON),
        lambda r: r.was_reset("01", NOON),
    ]
    record = learner
    for change in changes:
        after = change(record)
        assert after.revision == record.revision + 1
        record = after
    assert LearnerRecord.model_validate_json(record.to_json()) == record


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  Ada \t  Lovelace\n", "Ada Lovelace"),
        ("Zoe\u0308", "Zoë"),
        ("<b>Ada</b>", "<b>Ada</b>"),
        ("", ""),
    ],
)
def test_names_are_made_one_line(typed, kept):
    assert clean_name(typed) == kept


@pytest.mark.parametrize(
    "typed", ["a" * 61, "Ada\x1b[31m", "Ada\x00", "\u202eadA", "Ada\ue000"], ids=ascii
)
def test_names_that_could_fool_a_terminal_are_refused(typed):
    with pytest.raises(InputError, match="cannot be shown"):
        clean_name(typed)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "../../etc/passwd"},
        {"id": "ABCDEF0123456789"},
        {"lab": "../x"},
        {"learner": "a\x07"},
        {"revision": "7"},
        {"revision": -1},
        {"schema": "labkit.progress/2"},
        {"at": "4"},
        {"at": "04\n"},
        {"updated": "2026-03-02T12:00:00"},
        {"chapters": {"0x": {}}},
        {"chapters": {"03": {"state": "done"}}},
        {"chapters": {"03": {"spent_s": 1e9}}},
        {"chapters": {"03": {"failing": ["03.<b>"]}}},
        {"chapters": {f"{n:02}": {} for n in range(41)}},
        {"token": "x"},
    ],
    ids=str,
)
def test_what_is_no_record_is_refused(change):
    import json

    good = {"schema": "labkit.progress/1", "id": "0123456789abcdef", "lab": "demo"}
    LearnerRecord.model_validate_json(json.dumps(good))
    with pytest.raises(ValueError, match="validation error"):
        LearnerRecord.model_validate_json(json.dumps({**good, **change}))


@given(
    st.lists(
        st.tuples(st.sampled_from(["01", "02", "03"]), st.booleans(), st.integers(-9, 99)),
        max_size=20,
    )
)
def test_whatever_happens_the_record_can_be_read_back(events):
    record, now = LearnerRecord.new("demo"), NOON
    for number, failed, later in events:
        now += timedelta(minutes=later)
        record = record.stepped(number, now).checked({f"{number}.x": failed}, now)
        assert record.chapter(number).state == ("failed" if failed else "passed")
    assert LearnerRecord.model_validate_json(record.to_json()) == record


def test_exercises_are_solved_or_open_and_go_with_their_chapter(learner):
    record = learner.stepped("04", NOON).tried({"04.exercise-gateway": False}, minutes(3))
    record = record.tried({"04.exercise-gateway": True}, minutes(5))
    assert (record.exercises, record.at) == ({"04.exercise-gateway": True}, "04")
    assert (record.chapter("04").spent_s, record.chapter("04").state) == (300, "running")
    record = record.tried({"06.exercise-export": False, "07.exercise-rate": True}, minutes(6))
    assert (record.at, len(record.exercises)) == ("04", 3)
    assert list(record.solved("06", minutes(7)).exercises) == [
        "04.exercise-gateway",
        "06.exercise-export",
    ]
    assert list(record.was_reset("06", minutes(7)).exercises) == ["04.exercise-gateway"]
    assert LearnerRecord.model_validate_json(record.to_json()) == record
