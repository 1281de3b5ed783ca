"""Exercises: open on the skeleton with a text that helps, solved by the solution, undone with a chapter.

One lab serves the slow tests: the walk of a learner who has edited nothing, left up.
"""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from labkit.errors import InputError
from labkit.exercises import (
    EXERCISES,
    answering,
    dashboards,
    failover,
    find,
    latency,
    mtls,
    undo_from,
)
from labkit.exercises.shell import ShellOutput
from labkit.folder import LabFolder
from labkit.handouts import cells
from labkit.handouts.materials import NOTEBOOKS
from labkit.inventory import all_checks
from labkit.runs import headless
from labkit.runs.newest import EXERCISE as COMPARING

SOLUTIONS = {
    name: source
    for path in sorted(NOTEBOOKS.glob("*.ipynb"))
    for name, source in cells.solutions(cells.read(path)).items()
}


class Kept:
    """As much of a lab as answers need: its folder, and what was recorded."""

    def __init__(self, root, **recorded):
        self.folder = LabFolder(root)
        self._recorded = recorded

    def recorded(self, section):
        return self._recorded.get(section)


@pytest.fixture
def kept(tmp_path):
    return Kept(tmp_path, latency={"viz": {"in_region_mean_ms": 6.0}})


def look(lab, exercise, answer):
    answering.keep(lab, exercise, answer)
    finding = find(exercise).check.look(lab)
    return finding.status, finding.reason


# --- what is declared ---------------------------------------------------------------------


def test_every_exercise_has_its_place_in_a_notebook_with_a_solution_and_no_other_has():
    assert set(SOLUTIONS) == {exercise.id for exercise in EXERCISES} | {COMPARING}


def test_exercises_are_no_checks_of_a_chapter():
    assert not {exercise.id for exercise in EXERCISES} & {check.id for check in all_checks()}


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.id)
def test_an_exercise_says_what_it_teaches_and_leads_to_hints_not_to_the_answer(exercise):
    check = exercise.check
    assert len(check.proves) > 10
    assert len(check.reasons) > 2
    for fix in [check.fix, *(reason.fix for reason in check.reasons if reason.fix)]:
        assert fix.startswith(("#", "labkit "))


def test_an_unknown_exercise_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"06\.exercise-export"):
        find("06.exercise-import")


# --- answers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (" 198.51.100.1\n", "198.51.100.1"),
        (ShellOutput("kubectl …", 0, " 198.51.100.1\n", "warned"), "198.51.100.1"),
        ("", None),
        (7, 7.0),
        ((1, "b"), [1.0, "b"]),
        ({"name": "a", "expires": ""}, {"name": "a", "expires": None}),
        ("x" * 9000, "x" * answering.LONGEST_ANSWER),
    ],
    ids=["text", "of a shell", "empty", "number", "several", "named", "long"],
)
def test_an_answer_is_kept_as_plain_values(kept, given, stored):
    answering.keep(kept, "04.exercise-gateway", given)
    assert answering.answer_of(kept, "04.exercise-gateway") == stored


def test_undoing_a_chapter_forgets_its_answers_and_those_of_later_ones(kept):
    for exercise in ("03.exercise-identity", "04.exercise-gateway", "10.exercise-predict"):
        answering.keep(kept, exercise, 1)
    only_answers = [SimpleNamespace(id=e.id, chapter=e.chapter, undo=None) for e in EXERCISES]
    undo_from(kept, "04", only_answers)
    assert list(kept.folder.recall()["answers"]) == ["03.exercise-identity"]


# --- each fails for its own reason, without a lab -------------------------------------------


@pytest.mark.parametrize(
    ("answer", "status", "text"),
    [
        (None, "fail", "nothing was answered yet"),
        ([], "fail", "nothing was answered yet"),
        ("150", "fail", "not three numbers"),
        ([250, 295], "fail", "not three numbers"),
        ([150, 195, 199], "fail", "for the bucket (100, 200] ms"),
        ([250, 290, 299], "fail", "p95 is not what viz would show"),
        ([250.2, "295", 299], "pass", "whatever the requests did"),
    ],
)
def test_the_artefact_is_predicted_or_it_is_said_what_does_not_fit(kept, answer, status, text):
    seen = look(kept, latency.ARTEFACT, answer)
    assert seen[0] == status
    assert text in seen[1]


@pytest.mark.parametrize(
    ("answer", "status", "text"),
    [
        (None, "fail", "nothing was answered yet"),
        ("far", "fail", "far is no number of milliseconds"),
        (12, "fail", "12.0 ms is less than light needs in fibre"),
        (400, "fail", "400.0 ms is off by more than 5%"),
    ],
)
def test_a_prediction_that_does_not_fit_is_told_why(kept, answer, status, text):
    seen = look(kept, latency.PREDICT, answer)
    assert seen[0] == status
    assert text in seen[1]


def test_a_prediction_needs_the_measurement_and_then_is_compared_with_it(kept, tmp_path):
    expected = latency.rtt(*latency.PAIR).value_ms + 6
    assert look(kept, latency.PREDICT, expected * 1.04)[0] == "pass"
    assert "no measurement yet" in look(Kept(tmp_path), latency.PREDICT, expected)[1]


REQUEST = "req id=0:1 proxy=in  src={source}:46800 dst=10.245.0.4:8080 tls={tls} :method=GET"


@pytest.mark.parametrize(
    ("answer", "status", "text"),
    [
        (None, "fail", "nothing was answered yet"),
        ("no_tls_from_remote", "fail", "no line of tap"),
        (REQUEST.format(source="10.245.2.6", tls="true"), "fail", "its client is meshed"),
        (REQUEST.format(source="10.245.9.9", tls="no"), "fail", "came from 10.245.9.9"),
        (REQUEST.format(source="10.245.2.6", tls="no"), "pass", "tap shows tls=no"),
    ],
)
def test_the_proof_is_a_line_of_the_visitor_that_is_not_mutual_tls(kept, answer, status, text):
    assert "no visitor has called" in look(kept, mtls.ID, REQUEST)[1]
    kept.folder.remember(exercise_visitor="10.245.2.6")
    seen = look(kept, mtls.ID, answer)
    assert seen[0] == status
    assert text in seen[1]


@pytest.mark.parametrize(
    ("answer", "shares", "expected"),
    [
        (("", "x"), {}, ("fail", "nothing was answered yet")),
        (("vote-bot", "x"), {}, ("fail", "no deployment of emojivoto in east")),
        (("voting", "x"), {}, ("warn", "nothing behind web has failed in the last 300 s")),
        (("voting", "x"), {"web": 1.0, "voting": 1.0}, ("warn", "nothing behind web has failed")),
        (("voting", "x"), {"web": 0.9, "voting": 1.0}, ("warn", "nothing behind web has failed")),
        (("deploy/voting", "/VoteDoughnut"), {"web": 0.7, "voting": 0.8}, ("pass", "voting")),
        (("web", "x"), {"web": 0.92, "voting": 0.84}, ("fail", "web answers 92.0% with success")),
        (("voting", "/list"), {"web": 0.92, "voting": 0.84}, ("fail", "`/list` is not what fails")),
        (("deploy/voting", "/VoteDoughnut"), {"voting": 0.84}, ("pass", "voting answers 84.0%")),
    ],
)
def test_the_worst_deployment_is_the_one_that_viz_shows(
    kept, monkeypatch, answer, shares, expected
):
    rows = [
        SimpleNamespace(deployment=n, direction="inbound", success=s) for n, s in shares.items()
    ]
    monkeypatch.setattr(dashboards, "read_cluster", lambda *_: rows)
    seen = look(kept, dashboards.ID, dict(zip(("deployment", "path"), answer, strict=True)))
    assert seen[0] == expected[0]
    assert expected[1] in seen[1]


PHASES = [
    {"phase": "shared", "seconds": 5.0, "west answered": 6, "east answered": 4},
    {"phase": "lost", "seconds": 8.0, "west answered": 4, "east answered": 0},
]


@pytest.mark.parametrize(
    ("answer", "status", "text"),
    [
        ((None, None), "fail", "nothing was answered yet"),
        ((2.0, None), "fail", "nothing was answered yet"),
        ((2.0, "few"), "fail", "2.0, few is not two numbers"),
        ((10, 4), "fail", "these are counts"),
        ((1.2, 0.5), "fail", "these are the votes of west alone"),
        ((2.0, 1.0), "fail", "1.00 votes per second do not fit the row `lost`"),
        ((1.96, "0.5"), "pass", "2.00 votes per second were answered before, and 0.50"),
    ],
)
def test_the_cost_of_a_lost_region_is_read_off_the_table(kept, answer, status, text):
    given = dict(zip(("shared", "lost"), answer, strict=True))
    assert "no region was lost" in look(kept, failover.ID, given)[1]
    kept.folder.remember(failover={"phases": PHASES})
    seen = look(kept, failover.ID, given)
    assert seen[0] == status
    assert text in seen[1]


# --- the learner's walk -------------------------------------------------------------------

PARAMETERS = (
    *("lab_name=learner", "measure_seconds=10", "warmup_seconds=0"),
    *("load_rate=0", "node_count=1"),
    "drills=false",  # but for their exercises, 12 and 13 are the same notebooks for all
)
WALKED = [exercise.id for exercise in EXERCISES if exercise.chapter < "12"]


RUN_TIMEOUT_S = 900
"""Of a walk that takes one minute: the machine may be busy."""


class Learner:
    """The walk of a learner who has edited nothing, and the lab that it left up."""

    def __init__(self, home, done):
        self.home, self.done = home, done
        (self.folder,) = (home.root / "runs").iterdir()
        assert (self.folder / "summary.json").exists(), done.stderr
        self.summary = json.loads((self.folder / "summary.json").read_text())

    def labkit(self, *args, timeout=120):
        return self.home.run(*args, "--lab-name", "learner", timeout=timeout)

    def python(self, code):
        """Run a cell's source in a kernel's place; returns what its check says."""
        head = "from labkit import open_lab\nlab = open_lab(lab_name='learner')\n"
        done = subprocess.run(
            [sys.executable, "-c", head + code],
            env=self.home.environment,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def seen(self, exercise):
        """Status and reason of an exercise's check now."""
        done = self.labkit("check", exercise[:2], "--exercises", "--skip-wait", "--json")
        (found,) = [item for item in json.loads(done.stdout) if item["id"] == exercise]
        return found["status"], found["reason"]


@pytest.fixture(scope="module")
def learner(module_home):
    assert module_home.run("init", "mine", "--learner", "--lab-name", "learner").returncode == 0
    arguments = [part for item in PARAMETERS for part in ("-p", item)]
    try:
        done = module_home.run(
            "run", "--keep", "--notebooks", "mine", *arguments, timeout=RUN_TIMEOUT_S
        )
        yield Learner(module_home, done)
    finally:
        down = module_home.run("down", "--lab-name", "learner")
    assert down.returncode == 0, down.stderr
    assert module_home.processes() == []


slow = pytest.mark.slow
pytestmark = pytest.mark.timeout(1200)


@slow
def test_a_learners_copy_passes_but_for_the_exercises(learner):
    assert learner.done.returncode == 0, learner.done.stderr[-2000:]
    assert learner.summary["status"] == "passed"
    assert not [c["id"] for c in learner.summary["checks"] if c["status"] == "fail"]
    outcomes = {item["id"]: item for item in learner.summary["exercises"]}
    assert set(outcomes) == set(WALKED)
    assert {item["status"] for item in outcomes.values()} == {"fail"}
    for item in outcomes.values():
        assert item["reason"].startswith(
            ("nothing was answered yet", "visitor-", "voting-svc of east has no label")
        )
        assert item["fix"].startswith("# unfold the hints")
    assert f"exercises        0 of {len(WALKED)} solved; open: 03." in learner.done.stdout


@slow
@pytest.mark.parametrize(
    ("notebook", "text"),
    [
        ("12_break_it", "guestbook of east has no endpoint"),
        ("13_failover", "no region was lost in this lab yet"),
    ],
)
def test_exercises_of_notebooks_that_break_things_are_open_too(learner, notebook, text):
    own = cells.read(learner.home.root / "mine" / "notebooks" / f"{notebook}.ipynb")["cells"]
    (given,) = (cells.source_of(cell) for cell in own if cells.tagged(cell, cells.EXERCISE))
    (check,) = (cells.source_of(cell) for cell in own if cells.tagged(cell, cells.CHECK))
    said = learner.python(f"{given}\nprint({check})")
    assert f"✘ {notebook[:2]}.exercise-" in said
    assert text in said
    assert "# unfold the hints" in said or "# run lab.fail_over()" in said


@slow
def test_what_the_learner_sees_is_in_the_notebook_and_no_solution_is(learner):
    text = (learner.folder / "notebooks" / "06_mirror.ipynb").read_text()
    assert "voting-svc of east has no label mirror.linkerd.io/exported" in text
    assert "exported=true" not in "".join(
        cells.source_of(c) for c in json.loads(text)["cells"] if cells.exercise_of(c)
    )


@slow
def test_open_exercises_fail_no_check_of_a_chapter(learner):
    done = learner.labkit("check", "06", "--json")
    assert done.returncode == 0, done.stdout
    assert not [item for item in json.loads(done.stdout) if "exercise" in item["id"]]
    assert learner.labkit("check", "06", "--exercises").returncode == 1


@slow
def test_the_gateways_address_is_told_from_others(learner):
    check = 'print(lab.check_exercise("04.exercise-gateway", {}))'
    held = learner.python(SOLUTIONS["04.exercise-gateway"] + "\nprint(answer)").split()[-1]
    west = learner.python(
        "from labkit.chapters.multicluster_link import gateway_addresses\n"
        "print(gateway_addresses(lab, 'west')[0])"
    ).split()[-1]
    assert "has a port" in learner.python(check.format(repr(f"{held}:4143")))
    assert "address of west's own gateway" in learner.python(check.format(repr(west)))
    assert "does not hold 192.0.2.7" in learner.python(check.format("'192.0.2.7'"))
    assert "✔" in learner.python(check.format(repr(held)))


@slow
def test_the_issuer_is_told_from_the_root_and_its_last_day_from_others(learner):
    check = 'print(lab.check_exercise("03.exercise-identity", {"name": %r, "expires": %r}))'
    name, day = "identity.linkerd.cluster.local", "2001-01-01"
    assert "signs no proxy of west" in learner.python(check % ("web", day))
    assert "is the trust anchor" in learner.python(check % ("root.linkerd.cluster.local", day))
    assert "does not expire on 2001-01-01" in learner.python(check % (name, day))


@slow
def test_a_count_is_told_from_a_rate(learner):
    check = 'print(lab.check_exercise("07.exercise-rate", %r))'
    assert "many is no number" in learner.python(check % "many")
    count = learner.python(
        "from labkit.chapters.traffic import requests\nprint(requests(lab, 'west'))"
    )
    assert "is a count, of all requests" in learner.python(check % float(count.split()[-1]))
    assert "0.01 requests per second; just now" in learner.python(check % 0.01)


@slow
def test_a_label_of_another_value_exports_nothing(learner):
    label = "kubectl --context east -n emojivoto label --overwrite svc voting-svc mirror.linkerd.io/exported"
    learner.python(f'print(lab.shell("{label}=yes"))')
    assert learner.seen("06.exercise-export") == (
        "fail",
        "the label mirror.linkerd.io/exported of voting-svc says yes, which does not export it",
    )
    learner.python(f'print(lab.shell("{label}-"))')
    assert "has no label" in learner.seen("06.exercise-export")[1]


@slow
def test_an_annotation_alone_meshes_no_pod_that_runs(learner):
    code = """
lab.start_exercise("05.exercise-mesh")
print(lab.shell("kubectl --context west annotate ns labkit-exercises linkerd.io/inject=enabled"))
"""
    learner.python(code)
    assert "although it is annotated" in learner.seen("05.exercise-mesh")[1]
    learner.python(
        'lab.shell("kubectl --context west annotate ns labkit-exercises linkerd.io/inject-")'
    )


@slow
def test_a_guestbook_that_nobody_reaches_is_mended_and_goes_with_its_chapter(learner):
    kubectl = "kubectl --context east -n labkit-exercises"
    selector = '{"spec":{"selector":{"app":"nobody"}}}'
    learner.python(
        'lab.start_exercise("12.exercise-mend")\n'
        f"lab.shell({f'{kubectl} patch svc guestbook --type merge -p ' + repr(selector)!r})"
    )
    assert "has no endpoint" in learner.seen("12.exercise-mend")[1]
    learner.python(SOLUTIONS["12.exercise-mend"])
    assert learner.seen("12.exercise-mend")[0] == "pass"
    learner.python('from labkit.exercises import undo_from\nundo_from(lab, "12")')
    assert "was not started" in learner.seen("12.exercise-mend")[1]
    spaces = learner.python('print(lab.shell("kubectl --context east get ns -o name"))')
    assert "labkit-exercises" not in spaces, "no other exercise needs it"


@slow
def test_what_was_tried_is_in_the_learners_record(learner):
    learner.seen("04.exercise-gateway")
    found = json.loads(learner.labkit("progress", "--json").stdout)["exercises"]
    assert found["04.exercise-gateway"] in (True, False)
    assert set(found) <= {exercise.id for exercise in EXERCISES}


@slow
def test_a_shell_line_that_fails_shows_its_code_and_no_traceback(learner):
    text = learner.python('print(lab.shell("kubectl --context west get nothing"))')
    assert "$ kubectl --context west get nothing" in text
    assert "(exit code 1)" in text


@slow
def test_the_solution_solves_and_a_reset_removes_what_it_left(learner):
    solved = learner.python(
        SOLUTIONS["06.exercise-export"] + '\nprint(lab.check_exercise("06.exercise-export"))'
    )
    assert "✔ 06.exercise-export" in solved
    reset = learner.labkit("solve", "05", timeout=300)
    assert reset.returncode == 0, reset.stderr
    text = learner.python(
        'print(lab.shell("kubectl --context west -n emojivoto get svc -o name"))\n'
        'print(lab.shell("kubectl --context east get ns -o name"))\n'
        'print(lab.shell("kubectl --context west get ns -o name"))'
    )
    assert "voting-svc-east" not in text
    assert text.count("namespace/labkit-exercises") == 1  # of chapter 05, in west
    again = learner.labkit("solve", "07", timeout=300)  # what other tests here need
    assert again.returncode == 0, again.stderr


# --- the run's own rule ---------------------------------------------------------------------


@pytest.mark.parametrize("status", ["pass", "warn", "fail"])
def test_a_solution_that_does_not_solve_fails_the_run(tmp_path, status):
    folder = SimpleNamespace(root=tmp_path)
    outcome = {"id": "06.exercise-export", "status": status, "reason": "no label"}
    (tmp_path / "facts.json").write_text(
        json.dumps({"exercises": {"06.exercise-export": [outcome]}})
    )
    notebook = NOTEBOOKS / "06_mirror.ipynb"
    if status == "fail":
        with pytest.raises(headless.CheckFailed, match="does not solve it") as caught:
            headless._require_solved(notebook, folder)
        assert caught.value.seen == "no label"
    else:
        headless._require_solved(notebook, folder)
    learners = tmp_path / "06_mirror.ipynb"
    learners.write_text(cells.text_of(cells.without_solutions(cells.read(notebook))))
    headless._require_solved(learners, folder)
