"""The life of a drill: start, hints, proof of the repair, cure; all of it survives any kill.

What a drill is about to change is recorded first. Only one drill is open at a time, so that a
symptom has one cause. It deliberately prints nothing: every call returns a value.
"""

import time
from concurrent.futures import ThreadPoolExecutor

from labkit.chapters import CHAPTERS
from labkit.checking import run_checks
from labkit.checks import Finding, failed
from labkit.clients.rollouts import wait_for
from labkit.context import LabContext
from labkit.display import Step, Table
from labkit.drill_log import DrillLog, DrillRecord
from labkit.drills.drill import Drill, Symptom
from labkit.errors import KubernetesError, LabkitError, StateError
from labkit.progress import Progress, progress

READY = ("03.same-anchor", "04.probe", "04.direction", "05.proxies-west", "06.endpoints",
         "07.web-host")  # fmt: skip
"""Checks that must hold before anything is broken: else a symptom would have two causes."""

PROOF_TIMEOUT_S = 120.0
_NOT_FOUND = 404

GRACE_S = 30.0
"""What a loaded machine may take beyond the mechanism that shows a symptom."""


def start(lab: LabContext, drill: Drill) -> Step:
    """Break it, wait for the symptoms, and tell the learner the trouble but not its cause.

    Raises:
        StateError: a drill is open, this cloud cannot have it, or the lab is not in order.
        WaitTimeout: a symptom did not show; the fault stays, to be healed.
    """
    log = DrillLog(lab.folder)
    _require_room(lab, log, drill)
    with progress(f"Drill {drill.name}") as shown:
        shown.update("looking whether the lab is in order")
        _require_order(lab)
        record = log.begin(drill.name, drill.look(lab))
        began = time.monotonic()
        shown.update("breaking something")
        drill.inject(lab, record.before)
        # the learner reads this: it must not tell more than that there is something
        shown.update("waiting until it shows")
        with ThreadPoolExecutor(len(drill.symptoms), thread_name_prefix="symptom") as pool:
            waits = [pool.submit(_wait, lab, one, record, began) for one in drill.symptoms]
        found = {one.where: wait.result() for one, wait in zip(drill.symptoms, waits, strict=True)}
        record = log.update(record, seen_s={where: took for where, (took, _) in found.items()})
    alarm = drill.symptoms[0]
    row = {"where": alarm.where, "what is seen": alarm.what, "after": _after(record, alarm)}
    return Step(
        drill.task,
        table=Table.of([row]),
        notes=(
            (
                f"A hint: labkit drill {drill.name} --hint. Mended? labkit drill {drill.name} "
                f"--verify. Enough: labkit drill {drill.name} --heal."
            ),
        ),
        facts={
            "drill": drill.name,
            "state": "open",
            "seen_s": record.seen_s,
            "seen": {where: seen for where, (_, seen) in found.items()},
        },
    )


def _wait(
    lab: LabContext, symptom: Symptom, record: DrillRecord, began: float
) -> tuple[float, str]:
    """Seconds until a symptom showed, and what was seen."""

    def look() -> tuple[bool, str]:
        try:
            return symptom.look(lab, record.before)
        except LabkitError as error:  # a pod that has just gone: the next look sees the new one
            return False, str(error)

    seen = wait_for(
        look,
        what=f"the fault to show in `{symptom.where}`",
        timeout_s=symptom.within_s + GRACE_S,
        fix=f"labkit drill {record.name} --heal",
    )
    return round(time.monotonic() - began, 1), seen


def _after(record: DrillRecord, symptom: Symptom) -> str:
    seconds = record.seen_s.get(symptom.where)
    return "" if seconds is None else f"{seconds:.1f} s"


def _require_room(lab: LabContext, log: DrillLog, drill: Drill) -> None:
    for record in log.open():
        raise StateError(
            f"The drill {record.name} is open, and one fault at a time is enough",
            seen=f"started {_when(record.since)}",
            fix=f"mend it, or `labkit drill {record.name} --heal`",
        )
    reason = drill.needs(lab)
    if reason:
        raise StateError(f"The drill {drill.name} cannot be had on this cloud", seen=reason)


def _require_order(lab: LabContext) -> None:
    wanted = [check for module in CHAPTERS for check in module.CHECKS if check.id in READY]
    for outcome in run_checks(lab, wanted).failures:
        raise StateError(
            "The lab is not in order, and nothing was broken",
            seen=f"{outcome.id}: {outcome.reason}",
            fix="`labkit solve 08`, then start the drill again",
        )


def _when(seconds: float) -> str:
    return time.strftime("%H:%M:%S UTC", time.gmtime(seconds))


def the_open(lab: LabContext, drill: Drill) -> DrillRecord:
    """The record of a drill that is open.

    Raises:
        StateError: it is not open.
    """
    for record in DrillLog(lab.folder).open():
        if record.name == drill.name:
            return record
    raise StateError(
        f"The drill {drill.name} is not open", fix=f"`labkit drill {drill.name}` starts it"
    )


def hint(lab: LabContext, drill: Drill) -> Step:
    """The next hint; after the last one all of them again.

    Raises:
        StateError: the drill is not open.
    """
    record = the_open(lab, drill)
    number = min(record.hints + 1, len(drill.hints))
    DrillLog(lab.folder).update(record, hints=number)
    lines = [f"{n}. {text}" for n, text in enumerate(drill.hints[:number], start=1)]
    return Step(
        f"Hint {number} of {len(drill.hints)} of {drill.name}.",
        notes=tuple(lines),
        facts={"drill": drill.name, "hint": number, "text": drill.hints[number - 1]},
    )


def verify(lab: LabContext, drill: Drill) -> Finding:
    """Whether the learner's repair holds; the drill stays open until it is healed.

    Raises:
        StateError: the drill is not open.
    """
    record = the_open(lab, drill)
    try:
        finding = drill.verify(lab, record.before)
    except LabkitError as error:
        finding = failed(str(error))
    if finding.status == "pass":
        DrillLog(lab.folder).update(record, verified=record.verified or time.time())
    return finding


def heal(lab: LabContext, drill: Drill) -> Step:
    """Put things right, close the drill and prove that the lab is in order; may be repeated.

    Raises:
        WaitTimeout: the fault is gone and the drill closed, but something else is not in order.
    """
    log = DrillLog(lab.folder)
    found = [record for record in log.open() if record.name == drill.name]
    if not found:
        return Step(
            f"The drill {drill.name} is not open; nothing was changed.",
            facts={"drill": drill.name, "state": "closed"},
        )
    began = time.monotonic()
    with progress(f"Healing {drill.name}") as shown:
        for record in found:
            cure(lab, drill, record)
        shown.update("waiting until it holds")
        _prove(lab, drill, found[-1], shown)
    rows = [
        {"where": s.where, "what was to be seen": s.what, "after": _after(found[-1], s)}
        for s in drill.symptoms
    ]
    seconds = round(time.monotonic() - began, 1)
    return Step(
        f"Healed: {drill.title}.",
        table=Table.of(rows),
        notes=(f"What was broken: {drill.breaks}",),
        facts={"drill": drill.name, "state": "healed", "seconds": seconds},
    )


def cure(lab: LabContext, drill: Drill, record: DrillRecord) -> None:
    """Put things right and close the drill, without a proof; what is gone needs no cure."""
    try:
        drill.heal(lab, record.before)
    except KubernetesError as error:
        if error.status != _NOT_FOUND:
            raise
    DrillLog(lab.folder).update(record, healed=time.time())


def _prove(lab: LabContext, drill: Drill, record: DrillRecord, shown: Progress) -> None:
    def look() -> tuple[bool, str]:
        finding = drill.verify(lab, record.before)
        return finding.status != "fail", finding.reason

    wait_for(
        look,
        what="the lab to be in order again",
        timeout_s=PROOF_TIMEOUT_S,
        fix="`labkit check` says what is not; `labkit solve 08` mends the chapters",
        report=shown,
    )
