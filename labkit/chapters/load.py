"""A load that does not wait for answers: vegeta as a pod in west, through its sidecar.

vegeta sends at a constant rate whatever the answers do, so that a slow answer delays nobody else's
question (an open model), and tells when it sent each request. The plan is known from the rate, so
that latencies count from the intended time, and late and dropped sends are seen. Results come back
as lines of the pod's log. Deliberately absent: what they mean.
"""

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from labkit.chapters.emojivoto import NAMESPACE
from labkit.chapters.traffic import TARGET
from labkit.clients.rollouts import wait_for, wait_gone
from labkit.context import WEST, LabContext
from labkit.errors import StateError
from labkit.progress import Progress

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


def generate(lab: LabContext, shown: Progress) -> list[LoadRequest]:
    """Run the load from beginning to end and fetch its results; the pod is deleted.

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
        wait_for(
            lambda: _ended(lab),
            what="the load generator to end",
            timeout_s=START_TIMEOUT_S + whole_s + TIMEOUT_S,
            fix=f"kubectl --context west -n {NAMESPACE} describe pod {POD}",
            report=shown,
        )
        text = kubernetes.logs(POD, NAMESPACE, container=CONTAINER)
        code = _terminated(lab)["exitCode"]
        lines = text.splitlines()
        if code != 0 or not lines:
            raise StateError(
                f"The load generator ended with exit code {code}",
                seen=lines[-1] if lines else "it wrote nothing",
                fix="look at load_image in the parameters; `-p load_rate=0` measures without it",
            )
        return read_results(lines, rate=lab.params.load_rate, seconds=whole_s)
    finally:
        _remove(lab)


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


def _ended(lab: LabContext) -> tuple[bool, str]:
    state = _status(lab)
    waiting = (state.get("waiting") or {}).get("reason")
    if waiting in ("ErrImagePull", "ImagePullBackOff", "InvalidImageName"):
        raise StateError(
            f"The load generator's image {lab.params.load_image} cannot be had",
            seen=str((state.get("waiting") or {}).get("message", waiting)),
            fix="give another image of vegeta: -p load_image=…",
        )
    seen = "running" if "running" in state else waiting or "starting"
    return "terminated" in state, f"{seen}, {lab.params.load_rate} requests per second"


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
