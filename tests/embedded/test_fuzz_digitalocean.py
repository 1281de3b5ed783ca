"""Hostile requests at the DigitalOcean API of a running cloud: an answer to each, nothing broken.

`LABKIT_FUZZ_SECONDS=300` is the long form.
"""

import json
from typing import Any

import pytest

from labkit.embedded.digitalocean.routes import ROUTES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

CLUSTER = {
    "name": "fuzz", "region": "sfo3", "version": "latest", "tags": ["a"], "auto_upgrade": False, "ha": False, "surge_upgrade": True,
    "vpc_uuid": "", "cluster_subnet": "10.244.0.0/16", "service_subnet": "10.96.0.0/16", "maintenance_policy": {"start_time": "00:00", "day": "any"},
    "node_pools": [{"size": "s-2vcpu-4gb", "name": "pool", "count": 1, "tags": [], "labels": {"a": "b"}, "taints": [{"key": "a", "value": "b", "effect": "NoSchedule"}], "auto_scale": False, "min_nodes": 0, "max_nodes": 0}],
}  # fmt: skip
BALANCER = {
    "name": "lb", "region": "sfo3", "size_unit": 1, "algorithm": "round_robin", "droplet_ids": [1], "tag": "", "redirect_http_to_https": False,
    "forwarding_rules": [{"entry_protocol": "http", "entry_port": 80, "target_protocol": "http", "target_port": 80, "certificate_id": "", "tls_passthrough": False}],
    "health_check": {"protocol": "http", "port": 80, "path": "/", "check_interval_seconds": 10, "healthy_threshold": 5},
    "sticky_sessions": {"type": "none"}, "vpc_uuid": "", "firewall": {"deny": [], "allow": []},
}  # fmt: skip
SELECTIVE = {"load_balancers": ["x"], "volumes": [], "volume_snapshots": []}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "FOO")
QUERIES = (
    "page=1", "page=0", "page=-1", "page=x", "page=99999999999", "page=%C2%B2", "per_page=200", "per_page=201", "per_page=%00", "per_page=1&page=2",
    "page=1&page=2", "tag_name=a", "type=distribution", "name=../../x", "%", "&&=&", "a=" + "b" * 6000, "expiry_seconds=-1", "expiry_seconds=x",
)  # fmt: skip
HEADERS = (
    {}, {}, {}, {"Authorization": "Bearer x"}, {"Authorization": ""}, {"Authorization": "Basic eA=="}, {"Authorization": "Bearer \u00e9"},
    {"Content-Type": "text/plain"}, {"Content-Type": "application/json; charset=utf-7"}, {"Content-Type": "application/json; charset=x"}, {"Content-Type": ""},
    {"Content-Encoding": "gzip"}, {"Content-Encoding": "x"}, {"Accept": "text/html"}, {"Upgrade": "websocket", "Connection": "Upgrade"}, {"Expect": "x"},
    {"Host": "evil.example"}, {"Host": ""}, {"Host": "a b"}, {"Host": "[::1"}, {"X-HTTP-Method-Override": "DELETE"}, {"Cookie": "a" * 4000}, {"Range": "bytes=0-1"},
)  # fmt: skip
ODD_PATHS = (
    "/", "//", "/v2", "/v2/", "/v2//account", "/v1/account", "/v2/account/", "/v2/../account", "/v2/%2e%2e/account", "/v2/kubernetes/clusters/..%2f..%2ftmp%2ffuzz-escape",
    "/v2/kubernetes/clusters/%00", "/v2/kubernetes/clusters/%ff/kubeconfig", "/v2/kubernetes/clusters/" + "a" * 3000, "/v2/load_balancers/\u00e9", "*", "https://evil.example/v2/account",
    "/v2/kubernetes/clusters/a/node_pools/b/c", "/v2/droplets", "/v2/kubernetes/clusters/a/kubeconfig?expiry_seconds=x", "/" + "a" * 7000, "/v2/account?" + "a&" * 500, "/v2/account#x",
)  # fmt: skip


@pytest.fixture(scope="module")
def cloud(module_home, hostile):
    """A lab, whose clusters the requests may break; they may not break the cloud."""
    done = module_home.run("up", "--bare", "--nodes", "0", "--lab-name", "fuzzed")
    assert done.returncode == 0, done.stderr
    state = module_home.root / "fuzzed" / "cloud"
    processes = module_home.json("status", "--lab-name", "fuzzed")["processes"]
    yield hostile.Daemon(state, next(p["pid"] for p in processes if p["name"] == "daemon"))
    done = module_home.run("down", "--lab-name", "fuzzed")
    assert done.returncode == 0, done.stderr
    assert "processes left: 0" in done.stdout


@pytest.fixture(scope="module")
def client(cloud, hostile):
    facts = json.loads((cloud.state / "daemon.json").read_text())
    token = (cloud.state / "token").read_text().strip()
    client = hostile.Client(facts["endpoint"], facts["ca_file"], token)
    yield client
    client.close()


def problem_of(request: Any, answer: Any) -> str:
    """Why an answer is none that this API may give; empty when it is fine."""
    text = answer.body.decode(errors="replace")
    if answer.status >= 500 and answer.status != 501:
        return f"{answer.status}: {text}"
    if answer.status < 400 or request.method == "HEAD":
        return ""
    kind = answer.headers.get("content-type", "")
    if kind.startswith("text/plain") and answer.status in (400, 417):
        return ""  # broken HTTP, which no application hears of
    try:
        found = json.loads(answer.body)
    except ValueError:
        return f"an error that is no JSON: {answer.status} {text}"
    if set(found) != {"id", "message", "request_id"} or not all(map(str, found.values())):
        return f"an error of another shape: {text}"
    return ""


def requests_to(hostile: Any, own: list[str]) -> Any:
    """Requests near to good ones at every route, and some that are far."""
    st = hostile.st
    routes = [r for r in ROUTES if r.path.startswith("/v2/")]
    route_of, text_of, own_of = st.sampled_from(routes), hostile.texts, st.sampled_from(own)
    bodies = {"clusters": CLUSTER, "load_balancers": BALANCER, "selective": SELECTIVE}

    @st.composite
    def near(draw: Any) -> Any:
        route = draw(route_of)
        path = "/".join(
            hostile.segment(draw(st.one_of(own_of, text_of))) if part.startswith("{") else part
            for part in route.path.split("/")
        )
        key = next((k for k in ("selective", "load_balancers", "clusters") if k in path), "")
        value = draw(hostile.mutated(bodies.get(key, {})))
        if isinstance(value, dict) and key == "clusters":
            value["node_pools"] = draw(hostile.mutated(value.get("node_pools"), 1))
        if draw(st.integers(0, 3)) == 0:
            path += "?" + draw(st.sampled_from(QUERIES))
        headers = {"Content-Type": "application/json", **draw(st.sampled_from(HEADERS))}
        body = draw(hostile.bodies(value)) if route.method in ("POST", "PUT", "DELETE") else b""
        return hostile.Request(route.method, path, headers, body)

    @st.composite
    def far(draw: Any) -> Any:
        path = draw(st.one_of(st.sampled_from(ODD_PATHS), st.just(draw(route_of).path)))
        body = draw(st.one_of(st.sampled_from(hostile.BODIES), st.binary(max_size=30)))
        headers = {"Content-Type": "application/json", **draw(st.sampled_from(HEADERS))}
        return hostile.Request(draw(st.sampled_from(METHODS)), path, headers, body)

    return st.one_of(near(), near(), near(), far())


def test_whatever_is_asked_is_answered(hostile, client, cloud):
    findings = hostile.Findings()

    def get(path: str) -> Any:
        return client.send(hostile.Request("GET", path))

    def one(request: Any) -> None:
        findings.judge(client, request, problem_of)
        if sum(findings.answers.values()) % 100 == 0 and get("/v2/account").status != 200:
            findings.add("the account is no longer served", request)

    def tidy() -> None:
        """Delete what was made: each cluster is an API server of its own."""
        cloud.look()
        for kind, tail in (
            ("kubernetes/clusters", "/destroy_with_associated_resources/dangerous"),
            ("load_balancers", ""),
        ):
            for item in get(f"/v2/{kind}?per_page=200").json()[kind.replace("/", "_")]:
                client.send(hostile.Request("DELETE", f"/v2/{kind}/{item['id']}{tail}"))

    clusters = get("/v2/kubernetes/clusters").json()["kubernetes_clusters"]
    own = [c["id"] for c in clusters] + [c["node_pools"][0]["id"] for c in clusters]
    hostile.fuzz(requests_to(hostile, own), one, findings, between=tidy)
    if not findings.hangs:
        tidy()
        assert get("/v2/account").status == 200
    findings.tell("DigitalOcean API", cloud)
    assert not findings.wrong, findings.report()
    assert not (problems := cloud.problems()), "\n".join(problems)
