"""A load that does not wait for answers: vegeta as a pod in west, through its sidecar.

vegeta sends at a constant rate whatever the answers do, so that a slow answer delays nobody else's
question (an open model), and tells when it sent each request. The plan is known from the rate, so
that latencies count from the intended time, and late and dropped sends are seen. Results come back
as lines of the pod's log. The pod's own sidecar is tapped meanwhile, so that each request is seen
from two places. Deliberately absent: what the results mean.
"""

import csv
import json
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from labkit.chapters.emojivoto import NAMESPACE
from labkit.chapters.traffic import TARGET
from labkit.chapters.vantage import MIRRORED, Vantage
from labkit.clients.rollouts import wait_for, wait_gone
from labkit.clients.tap import TapRequest
from labkit.context import EAST, WEST, LabContext
from labkit.errors import CommandError, StateError
from labkit.progress import Progress

logger = logging.getLogger(__name__)

POD = "labkit-load"
CONTAINER = "vegeta"
PATH = "/api/list"
LEAD_S = 5
"""Seconds of load before those that count: connections, handshakes, first answers."""

LATE_US = 5_000
"""A request that is sent later than this counts as late; its latency holds the lateness."""

TIMEOUT_S = 10
START_TIMEOUT_S = 180.0
VANTAGE = "load generator (west)"
SIDECAR = "load generator's proxy, outbound (west)"
"""Vantage point of its sidecar: of the tap, and of viz' counters of the same proxy."""

PROXY = Vantage(SIDECAR, WEST, POD, "outbound", EAST, MIRRORED, EAST, kind="pod")

NUMBER_HEADER = "x-vegeta-seq"
"""Where vegeta tells a request's number to whoever sees it."""

TAP_RPS = (100, 200)
"""What tap shows of each second's requests: its own default, and at most."""


@dataclass(frozen=True)
class LoadRequest:
    """One request of the plan.

    Attributes:
        number: its place in the plan, from 0.
        due_s: when it was to be sent, Unix seconds.
        late_us: how much later it was sent, in µs; None when it was not sent.
        latency_us: from the intended time to the end of the response, in µs; None without one.
        status: HTTP status; None without a response.
        outcome: `response`, `error`, `timeout`, `dropped` or `truncated`.
    """

    number: int
    due_s: float
    late_us: int | None
    latency_us: int | None
    status: int | None
    outcome: str


@dataclass(frozen=True)
class Load:
    """What came of a load.

    Attributes:
        requests: the plan, request by request, as the generator tells.
        tapped: those that the generator's sidecar was seen to send; tap is a sample.
    """

    requests: tuple[LoadRequest, ...] = ()
    tapped: tuple[TapRequest, ...] = ()


def command(*, rate: int, seconds: int, keepalive: bool) -> str:
    """What the pod's shell runs; the same anywhere vegeta is."""
    flags = (
        f"-rate={rate}/1s -duration={seconds}s -timeout={TIMEOUT_S}s "
        f"-keepalive={str(keepalive).lower()} -max-body=0"
    )
    return f"echo 'GET http://{TARGET}{PATH}' | vegeta attack {flags} | vegeta encode -to csv"


def pod(lab: LabContext) -> dict[str, Any]:
    """The pod; its sidecar is injected as everywhere in the namespace."""
    params = lab.params
    text = command(
        rate=params.load_rate,
        seconds=LEAD_S + params.load_seconds,
        keepalive=params.load_connections == "kept",
    )
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": POD,
            "namespace": NAMESPACE,
            "labels": {"app": POD},
            "annotations": {"linkerd.io/inject": "enabled"},
        },
        "spec": {
            "restartPolicy": "Never",
            "containers": [
                {
                    "name": CONTAINER,
                    "image": params.load_image,
                    "command": ["sh", "-c", text],
                }
            ],
        },
    }


def generate(lab: LabContext, shown: Progress) -> Load:
    """Run the load from beginning to end, tap its sidecar, fetch results; the pod is deleted.

    Raises:
        LabkitError: the pod does not start or does not end.
        StateError: it failed.
    """
    kubernetes = lab.kubernetes(WEST)
    _remove(lab)
    manifest = pod(lab)
    kubernetes.apply([manifest])
    whole_s = LEAD_S + lab.params.load_seconds
    try:
        _wait(lab, _started, "the load generator to start", timeout_s=START_TIMEOUT_S, shown=shown)
        with _tapping(lab, timeout_s=whole_s + TIMEOUT_S) as tapping:
            left_s = whole_s + 2 * TIMEOUT_S
            _wait(lab, _ended, "the load generator to end", timeout_s=left_s, shown=shown)
        text = kubernetes.logs(POD, NAMESPACE, container=CONTAINER)
        code = _terminated(lab)["exitCode"]
        lines = text.splitlines()
        if code != 0 or not lines:
            raise StateError(
                f"The load generator ended with exit code {code}",
                seen=lines[-1] if lines else "it wrote nothing",
                fix="look at load_image in the parameters; `-p load_rate=0` measures without it",
            )
        plan = read_results(lines, rate=lab.params.load_rate, seconds=whole_s)
        return Load(tuple(plan), tapping.result())
    finally:
        _remove(lab)


def _wait(
    lab: LabContext,
    look: Callable[[LabContext], tuple[bool, str]],
    what: str,
    *,
    timeout_s: float,
    shown: Progress,
) -> None:
    fix = f"kubectl --context west -n {NAMESPACE} describe pod {POD}"
    wait_for(lambda: look(lab), what=what, timeout_s=timeout_s, fix=fix, report=shown)


@contextmanager
def _tapping(lab: LabContext, *, timeout_s: float) -> Iterator[Future[tuple[TapRequest, ...]]]:
    """Tap the generator's sidecar for the length of the block."""
    over = threading.Event()
    default, most = TAP_RPS

    def tap() -> tuple[TapRequest, ...]:
        try:
            return lab.linkerd(WEST).tap(
                f"pod/{POD}",
                NAMESPACE,
                duration_s=timeout_s,
                max_rps=min(most, max(default, 2 * lab.params.load_rate)),
                ended=over.is_set,
            )
        except CommandError:  # the load itself is worth keeping; the figures warn
            logger.warning("the load generator's sidecar cannot be tapped", exc_info=True)
            return ()

    with ThreadPoolExecutor(1, thread_name_prefix="tap") as pool:
        try:
            yield pool.submit(tap)
        finally:
            over.set()


def _remove(lab: LabContext) -> None:
    kubernetes = lab.kubernetes(WEST)
    if kubernetes.get("v1", "Pod", POD, NAMESPACE) is not None:
        kubernetes.delete("v1", "Pod", POD, NAMESPACE)
        wait_gone(kubernetes, "v1", "Pod", POD, NAMESPACE, timeout_s=START_TIMEOUT_S)


def _status(lab: LabContext) -> Mapping[str, Any]:
    found = lab.kubernetes(WEST).get("v1", "Pod", POD, NAMESPACE) or {}
    for status in found.get("status", {}).get("containerStatuses") or []:
        if status["name"] == CONTAINER:
            return dict(status.get("state") or {})
    return {}


def _terminated(lab: LabContext) -> Mapping[str, Any]:
    # The pod itself goes on: its sidecar does not end with it.
    return dict(_status(lab).get("terminated") or {})


def _started(lab: LabContext) -> tuple[bool, str]:
    state, seen = _state(lab)
    return "running" in state or "terminated" in state, seen


def _ended(lab: LabContext) -> tuple[bool, str]:
    state, seen = _state(lab)
    return "terminated" in state, seen


def _state(lab: LabContext) -> tuple[Mapping[str, Any], str]:
    """The state of its container, and that in words."""
    state = _status(lab)
    waiting = (state.get("waiting") or {}).get("reason")
    if waiting in ("ErrImagePull", "ImagePullBackOff", "InvalidImageName"):
        raise StateError(
            f"The load generator's image {lab.params.load_image} cannot be had",
            seen=str((state.get("waiting") or {}).get("message", waiting)),
            fix="give another image of vegeta: -p load_image=…",
        )
    seen = "running" if "running" in state else waiting or "starting"
    return state, f"{seen}, {lab.params.load_rate} requests per second"


def read_results(lines: Iterable[str], *, rate: int, seconds: int) -> list[LoadRequest]:
    """Requests of the plan from vegeta's CSV: also those that were never sent.

    vegeta tells when each request was sent, and its number. The plan began so that nothing was
    sent before its time: at the earliest of (sent - number / rate).

    Args:
        lines: columns time in ns, status, latency in ns, bytes out, bytes in, error, body, name,
            number, and more.
        rate: requests per second.
        seconds: length of the attack.

    Raises:
        StateError: a line is not vegeta's.
    """
    interval_ns = 1e9 / rate
    rows = {}
    for row in csv.reader(line for line in lines if line.strip()):
        try:
            rows[int(row[8])] = (int(row[0]), int(row[1]), int(row[2]), row[5])
        except (ValueError, IndexError):
            raise StateError(
                "The load generator's log is not vegeta's CSV",
                seen=json.dumps(row)[:160],
                fix="load_image must be an image of vegeta 12 with a shell",
            ) from None
    if not rows:
        return []
    begin = min(sent - number * interval_ns for number, (sent, *_) in rows.items())
    first = min(rows)
    return [
        _planned(number, begin + number * interval_ns, rows.get(number), lost=number < first)
        for number in range(max(rate * seconds, max(rows) + 1))
    ]


def _planned(
    number: int, due_ns: float, row: tuple[int, int, int, str] | None, *, lost: bool
) -> LoadRequest:
    if row is None:  # a kubelet keeps the end of a long log
        outcome = "truncated" if lost else "dropped"
        return LoadRequest(number, due_ns / 1e9, None, None, None, outcome)
    sent, status, latency, error = row
    late = max(0, round((sent - due_ns) / 1000))
    if status == 0:
        slow = "deadline exceeded" in error or "Timeout" in error or "timeout" in error
        outcome = "timeout" if slow else "error"
        return LoadRequest(number, due_ns / 1e9, late, None, None, outcome)
    return LoadRequest(number, due_ns / 1e9, late, late + round(latency / 1000), status, "response")


def by_hand(lab: LabContext) -> tuple[str, ...]:
    """The equivalent shell command; none without a load."""
    params = lab.params
    if not params.load_rate:
        return ()
    text = pod(lab)["spec"]["containers"][0]["command"][-1]
    return (
        (
            f"kubectl --context {WEST} -n {NAMESPACE} run {POD} --restart=Never "
            f'--image {params.load_image} -- sh -c "{text}"'
        ),
        f"kubectl --context {WEST} -n {NAMESPACE} logs {POD} -c {POD}",
    )


def notes(figures: Mapping[str, Any] | None) -> tuple[str, ...]:
    """What was sent, in a sentence; none without a load."""
    if not figures:
        return ()
    return (
        (
            f"The load generator was to send {figures['intended']} requests at "
            f"{figures['rate_per_s']} per second: {figures['n']} answered, "
            f"{figures['without_response']} without an answer, {figures['dropped']} never sent, "
            f"{figures['late_share']:.1%} more than {LATE_US / 1000:g} ms late."
        ),
    )
