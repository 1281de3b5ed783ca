"""Chapter 13: a second backend in west, a region that is lost, and the votes that go on.

What is measured is what the robot's own proxy counts, about once a second: honest, but with few
requests (about two a second), so every figure tells its n. At the end all is as before.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Any

from labkit.chapters import failover_route, region_loss, traffic
from labkit.chapters.emojivoto import NAMESPACE
from labkit.chapters.failover_samples import KEPT_AS, Phase, Sample, take, write
from labkit.chapters.mirror import SERVICE
from labkit.chapters.multicluster_link import probe
from labkit.chapters.traffic import BOT, OWN, TARGET
from labkit.checks import Check, Finding, Reason, passed
from labkit.clients.rollouts import wait_for
from labkit.context import EAST, WEST, LabContext
from labkit.display import Step, Table
from labkit.errors import LabkitError
from labkit.progress import Progress, progress

PHASE_S = {"shared": 6.0, "lost": 10.0, "shifted": 6.0, "back": 6.0}
"""Length of each phase in seconds: long enough for a dozen votes, and for a probe to be missed."""
INTERVAL_S = 1.0
SPLIT_TIMEOUT_S = 60.0
CALM_TIMEOUT_S = 60.0
SHARED = {"west": 50, "east": 50}
SHIFTED = {"west": 100, "east": 0}


def add_backend(lab: LabContext) -> Step:
    """Run the application in west, too, and share the votes out half and half."""
    with progress("Adding a second backend") as shown:
        region_loss.find_again(lab)  # a failover that was cut off
        failover_route.add_local(lab, shown)
        failover_route.weigh(lab, **SHARED)
        if traffic.web_host(lab) != OWN:
            traffic.point(lab, OWN)
        traffic.wait_robot(lab, shown)
        wait_for(
            lambda: _both_answer(lab),
            what="votes to be answered by both regions",
            timeout_s=SPLIT_TIMEOUT_S,
            fix=f"kubectl --context west -n {NAMESPACE} get httproutes -o yaml",
            report=shown,
        )
    api = failover_route.route_api(lab)
    rows = [
        {"region": region, "backend": service, "weight": SHARED[region]}
        for region, service in failover_route.BACKENDS.items()
    ]
    return Step(
        "The robot's votes are shared out between west and east.",
        by_hand=(
            f"linkerd inject emojivoto.yml | kubectl --context west apply -n {NAMESPACE} -f -",
            f"kubectl --context west -n {NAMESPACE} apply -f - <<EOF",
            f"apiVersion: {api}",
            "kind: HTTPRoute",
            f"metadata: {{name: {failover_route.ROUTE}}}",
            "spec:",
            f"  parentRefs: [{{kind: Service, group: core, name: {SERVICE}, port: 80}}]",
            "  rules:",
            "  - backendRefs:",
            *(
                f"    - {{name: {service}, port: 80, weight: {SHARED[region]}}}"
                for region, service in failover_route.BACKENDS.items()
            ),
            "EOF",
            f"kubectl --context west -n {NAMESPACE} set env deploy/{BOT} WEB_HOST={OWN}",
        ),
        table=Table.of(rows),
        notes=("A weight is a share of the requests; the robot's own proxy carries it out.",),
    )


def _both_answer(lab: LabContext) -> tuple[bool, str]:
    try:
        found = take(lab).answered
    except LabkitError as error:
        return False, str(error)
    text = ", ".join(f"{region} {found.get(region, 0):.0f}" for region in SHARED)
    return all(found.get(region, 0) > 0 for region in SHARED), f"answered: {text}"


def fail_over(lab: LabContext) -> Step:
    """Lose east, shift all votes to west, find east again, share them out again; measure it all."""
    with progress("Failing over") as shown, _sampling(lab) as samples:
        phases = [_phase("shared", "50 : 50", shown)]
        how = region_loss.lose(lab)
        phases.append(_phase("lost", f"east is lost: {how}", shown))
        failover_route.weigh(lab, **SHIFTED)
        phases.append(_phase("shifted", "weights 100 : 0, all to west", shown))
        _wait_answers(lab, samples, WEST, since=phases[-1].since, shown=shown)
        region_loss.find_again(lab)
        wait_for(
            lambda: probe(lab),
            what="west's probe to call east's gateway alive",
            timeout_s=CALM_TIMEOUT_S,
            fix="linkerd --context west multicluster gateways",
            report=shown,
        )
        failover_route.weigh(lab, **SHARED)
        phases.append(_phase("back", "east is back, 50 : 50 again", shown))
        _wait_answers(lab, samples, EAST, since=phases[-1].since, shown=shown)
    facts = write(lab, samples, phases)
    lab.record(KEPT_AS, facts)
    lab.folder.remember(**{KEPT_AS: facts})
    return Step(
        "East was lost and found again; the votes went on in west.",
        by_hand=(
            "labkit wan set --blackhole   # where the network is a real one: drill",
            "#                              gateway-unreachable",
            (
                f"kubectl --context west -n {NAMESPACE} edit httproute {failover_route.ROUTE}"
                "   # weights 100 and 0"
            ),
            "labkit wan set --no-blackhole",
        ),
        table=Table.of(facts["phases"]),
        notes=(
            facts["recovery"],
            (
                f"Vantage point: {BOT}'s proxy, outbound; {len(samples)} readings, one every "
                f"{facts['interval_s']:.1f} s, n in the table. About 8 % of votes fail by design."
            ),
        ),
        facts=facts,
    )


def _phase(name: str, text: str, shown: Progress) -> Phase:
    """Let a phase run its time."""
    phase = Phase(name, text, time.time())
    shown.update(f"{text} ({PHASE_S[name]:.0f} s)")
    time.sleep(PHASE_S[name])
    return phase


def _wait_answers(
    lab: LabContext, samples: list[Sample], region: str, *, since: float, shown: Progress
) -> None:
    """Let a phase go on until a region has answered: the robot may hang on a vote that was lost."""
    inside = [one for one in samples if one.time_s >= since]
    first = (inside[0] if inside else take(lab)).answered.get(region, 0.0)

    def look() -> tuple[bool, str]:
        inside = [one for one in samples if one.time_s >= since]
        count = (inside[-1].answered.get(region, 0.0) if inside else first) - first
        return count > 0, f"{count:.0f} votes answered by {region}"

    wait_for(
        look,
        what=f"{region} to answer votes",
        timeout_s=CALM_TIMEOUT_S,
        fix="linkerd --context west multicluster gateways",
        report=shown,
    )


@contextmanager
def _sampling(lab: LabContext) -> Iterator[list[Sample]]:
    """Read the robot's proxy about once a second while a block runs."""
    samples: list[Sample] = []
    ended = Event()

    def work() -> None:
        while True:
            with suppress(LabkitError):  # a reading that is missing is a longer interval
                samples.append(take(lab))
            if ended.wait(INTERVAL_S):
                return

    thread = Thread(target=work, name="failover samples", daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()


def put_back(lab: LabContext) -> Step:
    """Take route and second backend away, and let the robot vote in east again."""
    with progress("Putting the robot back") as shown:
        _restore(lab, shown)
        if traffic.web_host(lab) != TARGET:
            traffic.point(lab, TARGET)
        traffic.wait_robot(lab, shown)
    return Step(
        "All is as it was at the end of chapter 07.",
        by_hand=(
            f"kubectl --context west -n {NAMESPACE} delete httproute {failover_route.ROUTE}",
            f"kubectl --context west -n {NAMESPACE} delete deploy emoji voting web",
            f"kubectl --context west -n {NAMESPACE} delete svc emoji-svc voting-svc web-svc",
            f"kubectl --context west -n {NAMESPACE} set env deploy/{BOT} WEB_HOST={TARGET}",
        ),
    )


STEPS = (add_backend, fail_over, put_back)


def undo(lab: LabContext) -> None:
    """Find east again, remove route and second backend, and forget what was measured."""
    with progress("Taking the failover back") as shown:
        _restore(lab, shown)
    lab.folder.forget(KEPT_AS)


def _restore(lab: LabContext, shown: Progress) -> None:
    lab.require_own(WEST, NAMESPACE)
    shown.update("east is found again, route and second backend go")
    region_loss.find_again(lab)
    if failover_route.remove_route(lab) and traffic.is_there(lab):  # the robot was pointed here
        traffic.point(lab, TARGET)
    failover_route.remove_local(lab)


def done(lab: LabContext) -> bool:
    """Whether the region was lost and found, and all is put back."""
    back = traffic.is_there(lab) and traffic.web_host(lab) == TARGET
    return back and KEPT_AS in lab.folder.recall()


def _facts(lab: LabContext) -> dict[str, Any]:
    found: dict[str, Any] = lab.folder.recall().get(KEPT_AS) or {}
    return found


_NOT_YET = Reason("east was not lost and found yet")
_STOPPED = Reason("after the shift {good} of {n} votes were answered in west")
_AWAY = Reason("east answered no vote after it was back ({n} were sent there)")


def _went_on(lab: LabContext) -> Finding:
    phases = {row["phase"]: row for row in _facts(lab).get("phases", ())}
    if not phases:
        return _NOT_YET.seen()
    count, good = phases["shifted"]["west n"], phases["shifted"]["west answered"]
    if count == 0 or good < count / 2:
        return _STOPPED.seen(good=good, n=count)
    return passed(f"after the shift {good} of {count} votes were answered in west")


def _came_back(lab: LabContext) -> Finding:
    phases = {row["phase"]: row for row in _facts(lab).get("phases", ())}
    if not phases:
        return _NOT_YET.seen()
    count, good = phases["back"]["east n"], phases["back"]["east answered"]
    if good == 0:
        return _AWAY.seen(n=count)
    return passed(f"{good} of {count} votes sent to east were answered after it was back")


CHECKS = (
    Check(
        id="13.went-on",
        title="votes go on in west while east is lost",
        clusters=(WEST,),
        proves="a weight moves the traffic, and no client has to know of it",
        fix="labkit solve 13",
        look=_went_on,
        reasons=(_NOT_YET, _STOPPED),
    ),
    Check(
        id="13.came-back",
        title="east answers again when it is back",
        clusters=(WEST, EAST),
        proves="a failover is not done before it is taken back",
        fix="labkit solve 13",
        look=_came_back,
        reasons=(_NOT_YET, _AWAY),
    ),
)
