"""Cells, ages, pod summaries, printer columns of custom resources."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.embedded.apiserver.rules.ages import age, human_duration
from labkit.embedded.apiserver.rules.columns import COLUMNS
from labkit.embedded.apiserver.rules.jsonpath import JsonPathError, find
from labkit.embedded.apiserver.rules.podstatus import summarise
from labkit.embedded.apiserver.rules.tables import table

NOW = dt.datetime(2026, 11, 23, 1, 0, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (-0.5, "0s"),
        (5, "5s"),
        (119, "119s"),
        (120, "2m"),
        (123, "2m3s"),
        (599, "9m59s"),
        (600, "10m"),
        (10799, "179m"),
        (10800, "3h"),
        (3 * 3600 + 300, "3h5m"),
        (8 * 3600 + 300, "8h"),
        (48 * 3600, "2d"),
        (50 * 3600, "2d2h"),
        (9 * 86400 + 3600, "9d"),
        (800 * 86400, "2y70d"),
        (9 * 365 * 86400 + 86400, "9y"),
    ],
)
def test_durations_are_printed_as_kubectl_does(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


@given(st.integers(min_value=-10, max_value=10**10))
def test_every_duration_has_at_most_two_units(seconds: int) -> None:
    assert sum(letter.isalpha() for letter in human_duration(seconds).strip("<>")) in (1, 2, 7)


def test_the_age_of_nothing_is_unknown() -> None:
    assert age(None, NOW) == "<unknown>"
    assert age("2026-11-23T00:59:55Z", NOW) == "5s"
    assert age("2026-11-23T00:59:55.123456Z", NOW) == "4s"


def status(state: dict[str, Any], *, name: str = "a", **more: Any) -> dict[str, Any]:
    return {"name": name, "ready": "running" in state, "restartCount": 0, "state": state, **more}


def pod(containers: list[Any], inits: list[Any] | None = None, **more: Any) -> dict[str, Any]:
    init_specs = [
        {"name": s["name"], **({"restartPolicy": "Always"} if s.get("sidecar") else {})}
        for s in inits or ()
    ]
    spec = {"containers": [{"name": s["name"]} for s in containers], "initContainers": init_specs}
    state = {
        "phase": "Running",
        "containerStatuses": containers,
        "initContainerStatuses": inits or [],
        **more,
    }
    return {"metadata": {"name": "p"}, "spec": spec, "status": state}


RUNNING = status({"running": {}})
CRASHED = status(
    {"waiting": {"reason": "CrashLoopBackOff"}},
    restartCount=3,
    lastState={"terminated": {"finishedAt": "2026-11-23T00:59:00Z"}},
)
SIDECAR = status({"running": {}}, name="proxy", sidecar=True, started=True)


@pytest.mark.parametrize(
    ("obj", "ready", "text", "restarts"),
    [
        (pod([RUNNING]), "1/1", "Running", "0"),
        (pod([CRASHED]), "0/1", "CrashLoopBackOff", "3 (60s ago)"),
        (pod([RUNNING], [SIDECAR]), "2/2", "Running", "0"),
        (pod([status({"terminated": {"reason": "Completed"}})]), "0/1", "Completed", "0"),
        (pod([status({"terminated": {"exitCode": 3}})]), "0/1", "ExitCode:3", "0"),
        (pod([status({"terminated": {"signal": 9}})]), "0/1", "Signal:9", "0"),
        (
            pod([status({"waiting": {"reason": "PodInitializing"}})], [status({"running": {}})]),
            "0/1",
            "Init:0/1",
            "0",
        ),
        (
            pod([RUNNING], [status({"waiting": {"reason": "ImagePullBackOff"}})]),
            "0/1",
            "Init:ImagePullBackOff",
            "0",
        ),
        (pod([RUNNING], [status({"terminated": {"exitCode": 2}})]), "0/1", "Init:ExitCode:2", "0"),
        (pod([], phase="Failed", reason="Evicted"), "0/0", "Evicted", "0"),
    ],
)
def test_pods_are_summed_up_as_kubectl_does(obj: Any, ready: str, text: str, restarts: str) -> None:
    found = summarise(obj, NOW)
    assert (found.ready, found.status, found.restarts) == (ready, text, restarts)


def test_a_deleted_pod_is_terminating_until_it_has_ended() -> None:
    obj = pod([RUNNING])
    obj["metadata"]["deletionTimestamp"] = "2026-11-23T00:00:00Z"
    assert summarise(obj, NOW).status == "Terminating"
    obj["status"]["phase"] = "Succeeded"
    assert summarise(obj, NOW).status == "Succeeded"


@pytest.mark.parametrize("kind", sorted(COLUMNS))
def test_every_kind_prints_even_an_empty_object(kind: str) -> None:
    heads, rows = table(kind, [{"metadata": {"name": "x"}}], now=NOW)
    assert len(heads) == len(rows[0]["cells"])
    assert all(isinstance(cell, str | int | bool) for cell in rows[0]["cells"])
    assert all(head["description"] for head in heads), heads


def test_services_show_addresses_and_ports() -> None:
    spec = {
        "type": "LoadBalancer",
        "clusterIP": "10.96.0.9",
        "clusterIPs": ["10.96.0.9"],
        "ports": [
            {"port": 80, "nodePort": 30080, "protocol": "TCP"},
            {"port": 53, "protocol": "UDP"},
        ],
        "selector": {"b": "2", "a": "1"},
    }
    service = {"metadata": {"name": "s"}, "spec": spec}
    cells = table("Service", [service], now=NOW)[1][0]["cells"]
    assert cells[1:] == [
        "LoadBalancer",
        "10.96.0.9",
        "<pending>",
        "80:30080/TCP,53/UDP",
        "<unknown>",
        "a=1,b=2",
    ]
    service["status"] = {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}
    assert table("Service", [service], now=NOW)[1][0]["cells"][3] == "203.0.113.1"


def test_more_than_three_endpoints_are_counted() -> None:
    addresses = [{"ip": f"10.0.0.{n}"} for n in range(1, 6)]
    endpoints = {
        "metadata": {"name": "e"},
        "subsets": [{"addresses": addresses, "ports": [{"port": 1}]}],
    }
    cell = table("Endpoints", [endpoints], now=NOW)[1][0]["cells"][1]
    assert cell == "10.0.0.1:1,10.0.0.2:1,10.0.0.3:1 + 2 more..."


def test_custom_columns_take_their_types() -> None:
    columns = [
        {"name": "N", "type": "integer", "jsonPath": ".spec.n"},
        {"name": "On", "type": "boolean", "jsonPath": ".spec.on", "priority": 1},
        {"name": "Text", "type": "string", "jsonPath": ".spec.list"},
        {"name": "Since", "type": "date", "jsonPath": ".spec.since"},
        {"name": "None", "type": "string", "jsonPath": ".spec.missing"},
        {"name": "Bad", "type": "string", "jsonPath": "{{"},
    ]
    spec = {"n": 3, "on": True, "list": [1, "a"], "since": "2026-11-23T00:00:00Z"}
    heads, rows = table(
        "X.y", [{"metadata": {"name": "x"}, "spec": spec}], columns_of_crd=columns, now=NOW
    )
    assert rows[0]["cells"] == ["x", 3, True, '[1,"a"]', "60m", None, None]
    assert [head["priority"] for head in heads] == [0, 0, 1, 0, 0, 0, 0]
    assert [h["name"] for h in table("X.y", [], columns_of_crd=[])[0]] == ["Name", "Age"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".a.b", [1]),
        ("{.a.b}", [1]),
        (".l[0].k", ["x"]),
        (".l[*].k", ["x", "y"]),
        (".l[-1].k", ["y"]),
        ('.l[?(@.k=="y")].v', [2]),
        (".m['dotted.key']", [5]),
        (r".m.dotted\.key", [5]),
        (".nothing.there", []),
        (".l[?(@.v!=1)].k", ["y"]),
    ],
)
def test_simple_json_paths(path: str, expected: list[Any]) -> None:
    obj = {"a": {"b": 1}, "l": [{"k": "x", "v": 1}, {"k": "y", "v": 2}], "m": {"dotted.key": 5}}
    assert find(obj, path) == expected


def test_unreadable_paths_are_an_error() -> None:
    with pytest.raises(JsonPathError):
        find({}, "..a[")
