"""Commands that look at running pods, through port-forward to pods that answer as viz does."""

import asyncio
import json
import signal
import sys

import aiohttp
import pytest
from aiohttp import web

GATEWAY_METRICS = """
gateway_enabled{target_cluster_name="east"} 1
gateway_alive{target_cluster_name="east"} 1
gateway_latency{target_cluster_name="east"} 148
gateway_enabled{target_cluster_name="north"} 1
gateway_alive{target_cluster_name="north"} 0
"""
ROW = {
    "namespace": "emojivoto",
    "kind": "deployment",
    "name": "web",
    "success": 0.92,
    "rps": 2.04,
    "latency_ms_p50": 150,
    "latency_ms_p95": 195,
    "latency_ms_p99": 199,
    "tcp_open_connections": 3,
    "meshed_pods": 1,
    "running_pods": 1,
}
NONE = dict.fromkeys(("success", "rps", "latency_ms_p50", "latency_ms_p95", "latency_ms_p99"))
EVENT = {
    "source": {"ip": "10.244.0.6", "port": 1, "metadata": None},
    "destination": {"ip": "198.51.100.10", "port": 4143, "metadata": {"tls": "true"}},
    "routeMeta": None,
    "proxyDirection": "OUTBOUND",
    "requestInitEvent": {
        "id": {"base": 0, "stream": 1},
        "method": "GET",
        "authority": "a",
        "path": "/µ",
    },
}


async def viz(kubelet, name: str, port: int, app: web.Application) -> None:
    await kubelet.deployment("linkerd-viz", name, {port: app})


async def test_stat_is_a_table_or_json(kubelet, answering, linkerd_at):
    asked: list[dict] = []

    def stat(request):
        asked.append(dict(request.query))
        return [ROW, {**ROW, **NONE, "name": "vote-bot", "tcp_open_connections": None}]

    await viz(kubelet, "metrics-api", 8085, answering(api__stat=stat))
    result = await linkerd_at("viz", "stat", "deploy", "-n", "emojivoto", "-t", "30s")
    assert result.stdout.splitlines() == [
        "NAME       MESHED   SUCCESS      RPS   LATENCY_P50   LATENCY_P95   LATENCY_P99   TCP_CONN",
        "web           1/1    92.00%   2.0rps         150ms         195ms         199ms          3",
        "vote-bot      1/1         -        -             -             -             -          -",
    ]
    assert asked == [{"resource": "deployment", "namespace": "emojivoto", "window": "30s"}]
    result = await linkerd_at("viz", "stat", "deploy/web", "-n", "emojivoto", "-o", "json")
    first, second = json.loads(result.stdout)
    assert first == {key: ROW[key] for key in ROW if not key.endswith("_pods")}
    assert (second["success"], second["rps"]) == (None, None)


async def test_no_traffic_is_a_word_on_stderr_or_an_empty_list(kubelet, answering, linkerd_at):
    await viz(kubelet, "metrics-api", 8085, answering(api__stat=[], api__edges=[]))
    result = await linkerd_at("viz", "stat", "deploy")
    assert (result.stdout, result.stderr, result.returncode) == ("", "No traffic found.\n", 0)
    assert (await linkerd_at("viz", "stat", "deploy", "-o", "json")).stdout == "[]\n"
    result = await linkerd_at("viz", "edges", "deploy")
    assert (result.stdout, result.stderr, result.returncode) == ("", "No edges found.\n", 0)
    assert (await linkerd_at("viz", "edges", "deploy", "-o", "json")).stdout == "[]\n"


async def test_an_edge_is_secured_when_it_has_no_reason(kubelet, answering, linkerd_at):
    row = {
        "src": "web",
        "src_namespace": "a",
        "dst": "voting",
        "dst_namespace": "a",
        "client_id": "web.a",
        "server_id": "voting.a",
        "no_tls_reason": "",
    }
    plain = {**row, "dst": "old", "no_tls_reason": "not_provided_by_service_discovery"}
    await viz(kubelet, "metrics-api", 8085, answering(api__edges=[row, plain]))
    result = await linkerd_at("viz", "edges", "deploy", "-n", "a")
    header, first, second = result.stdout.splitlines()
    assert header.split() == ["SRC", "DST", "SRC_NS", "DST_NS", "SECURED"]
    assert first.split()[-1] == "√"
    assert second.split()[-1] == "not_provided_by_service_discovery"
    result = await linkerd_at("viz", "edges", "deploy/web")
    assert result.returncode == 1


async def test_what_viz_refuses_is_told_in_its_words(kubelet, answering, linkerd_at):
    refusal = lambda _: web.json_response({"error": "window too short"}, status=400)  # noqa: E731
    await viz(kubelet, "metrics-api", 8085, answering(api__stat=refusal))
    result = await linkerd_at("viz", "stat", "deploy", "-t", "1s")
    assert (result.returncode, result.stderr) == (1, "window too short\n")


@pytest.mark.parametrize("command", [("stat", "deploy"), ("tap", "deploy/x"), ("edges", "deploy")])
async def test_without_viz_nothing_is_reached(linkerd_at, kube, command):
    result = await linkerd_at("viz", *command)
    assert result.returncode == 1
    assert "Cannot connect to Linkerd Viz" in result.stderr


def tap_app(events: list[dict], asked: list[dict]) -> web.Application:
    async def tap(request: web.Request) -> web.StreamResponse:
        asked.append(dict(request.query))
        response = web.StreamResponse()
        await response.prepare(request)
        for event in events:
            await response.write(json.dumps(event).encode() + b"\n")
        await asyncio.sleep(60)  # until the client leaves
        return response

    app = web.Application()
    app.router.add_get("/tap", tap)
    return app


async def tap_until(apiserver, *arguments: str, end: bytes) -> bytes:
    """Run a tap until its output holds `end`, then interrupt it as Ctrl-C does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "labkit.embedded.linkerd",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        env={"KUBECONFIG": str(apiserver.kubeconfig), "LC_ALL": "C"},
    )
    seen = b""
    async with asyncio.timeout(30):
        while end not in seen:
            piece = await process.stdout.read(4096)
            assert piece, "the tap has ended"
            seen += piece
        process.send_signal(signal.SIGINT)
        assert await process.wait() == -signal.SIGINT
    return seen


async def test_a_tap_streams_until_it_is_interrupted(kubelet, apiserver):
    asked: list[dict] = []
    await viz(kubelet, "tap", 8088, tap_app([EVENT, EVENT], asked))
    command = ("--context=west", "-n", "emojivoto", "viz", "tap", "deploy/vote-bot")
    seen = await tap_until(apiserver, *command, "--path=/api", "--to=svc/web", end=b"\nreq")
    assert seen.decode().splitlines()[0] == (
        "req id=0:1 proxy=out src=10.244.0.6:1 dst=198.51.100.10:4143 tls=true "
        ":method=GET :authority=a :path=/µ"
    )
    assert asked == [
        {
            "namespace": "emojivoto",
            "resource": "deployment/vote-bot",
            "to": "service/web",
            "max_rps": "100",
            "path": "/api",
        }
    ]


async def test_a_tap_in_json_is_indented_objects(kubelet, apiserver):
    await viz(kubelet, "tap", 8088, tap_app([EVENT], []))
    seen = await tap_until(apiserver, "viz", "tap", "deploy", "web", "-o", "json", end=b"\n}\n")
    assert json.loads(seen) == EVENT
    assert seen.startswith(b'{\n  "source"')


async def test_a_tap_that_is_refused_ends_with_the_reason(kubelet, answering, linkerd_at):
    reason = "no pods to tap for deployment/web\n1 pods found with tap not enabled"
    refusal = web.json_response({"error": reason}, status=404)
    await viz(kubelet, "tap", 8088, answering(tap=lambda _: refusal))
    result = await linkerd_at("viz", "tap", "deploy/web")
    assert (result.returncode, result.stdout) == (1, "")
    assert "tap not enabled" in result.stderr


async def test_outbound_routes_and_their_backends(kubelet, answering, linkerd_at):
    metric = {
        "deployment": "vote-bot",
        "parent_name": "web-svc-east",
        "parent_port": "80",
        "route_kind": "default",
        "route_name": "http",
    }
    backend = {**metric, "backend_name": "web-svc-east", "backend_port": "80"}

    def query(request):
        text = request.query["query"]
        labels = backend if "backend" in text else metric
        if text.startswith("histogram_quantile"):
            found = [{"metric": labels, "value": [0, "0.148"]}]
        else:
            found = [
                {"metric": {**labels, "http_status": "200", "error": ""}, "value": [0, "90"]},
                {"metric": {**labels, "http_status": "500", "error": ""}, "value": [0, "30"]},
            ]
        return {"status": "success", "data": {"resultType": "vector", "result": found}}

    await viz(kubelet, "prometheus", 9090, answering(api__v1__query=query))
    result = await linkerd_at("viz", "stat-outbound", "deploy/vote-bot", "-o", "json")
    route, inner = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    assert (route["service"], route["port"], route["route"]) == ("web-svc-east", "80", "[default]")
    assert (route["successRate"], route["rps"], route["latencyMsP95"]) == (0.75, 2.0, 148.0)
    assert "backend" not in route
    assert (inner["backend"], inner["backendPort"]) == ("web-svc-east", "80")
    result = await linkerd_at("viz", "stat-outbound", "deploy/vote-bot")
    assert "75.00%" in result.stdout


async def test_metrics_of_proxies_with_what_went_wrong_as_a_comment(kubelet, answering, linkerd_at):
    metrics = answering(metrics="request_total 1\n")
    await kubelet.deployment("emojivoto", "web", {4191: metrics}, meshed=True)
    await kubelet.pod("emojivoto", "web-2", labels={"component": "web"}, meshed=True)
    await kubelet.pod("emojivoto", "web-3", labels={"component": "web"})
    result = await linkerd_at("diagnostics", "proxy-metrics", "-n", "emojivoto", "deploy/web")
    assert result.returncode == 0
    assert "#\n# POD web-1 (1 of 2)\n#\nrequest_total 1\n" in result.stdout
    assert "# ERROR: " in result.stdout
    assert "web-3" not in result.stdout


async def make_link(kube, name: str) -> None:
    namespace = "linkerd-multicluster"
    await kube.create(
        f"/apis/multicluster.linkerd.io/v1alpha3/namespaces/{namespace}/links",
        {
            "apiVersion": "multicluster.linkerd.io/v1alpha3",
            "kind": "Link",
            "metadata": {"name": name},
            "spec": {"targetClusterName": name, "clusterCredentialsSecret": f"credentials-{name}"},
        },
    )


@pytest.mark.usefixtures("multicluster")
async def test_gateways_come_from_the_controller_that_holds_the_lease(
    kube, kubelet, answering, linkerd_at
):
    result = await linkerd_at("multicluster", "gateways", "-o", "json")
    assert (result.stdout, result.returncode) == ("null\n", 0)
    for name in ("east", "north", "south"):
        await make_link(kube, name)
    namespace = "linkerd-multicluster"
    await kube.create(
        f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "default"}}
    )
    app = answering(metrics=GATEWAY_METRICS)
    await kubelet.pod(namespace, "controller-1", {9999: app})
    for name in ("east", "north"):
        await kube.create(
            f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases",
            {
                "metadata": {"name": f"service-mirror-write-{name}"},
                "spec": {"holderIdentity": "controller-1"},
            },
        )
    labels = {
        "mirror.linkerd.io/mirrored-service": "true",
        "mirror.linkerd.io/cluster-name": "east",
    }
    service = {"metadata": {"name": "web-svc-east", "labels": labels}}
    service["spec"] = {"ports": [{"port": 80}]}
    await kube.create("/api/v1/namespaces/default/services", service)
    result = await linkerd_at("multicluster", "gateways", "-o", "json")
    assert json.loads(result.stdout) == [
        {"clusterName": "east", "alive": True, "numberOfServices": 1, "latency": 148},
        {"clusterName": "north", "alive": False, "numberOfServices": 0, "latency": 0},
    ]
    assert "south" in result.stderr
    assert result.returncode == 0
    result = await linkerd_at("multicluster", "gateways")
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["CLUSTER", "ALIVE", "NUM_SVC", "LATENCY"],
        ["east", "True", "1", "148ms"],
        ["north", "False", "0", "-"],
    ]


async def test_the_dashboard_serves_vizs_page_on_a_local_port(kubelet, answering, apiserver):
    await viz(kubelet, "web", 8084, answering(page="<title>viz</title>" + "x" * 200_000))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "labkit.embedded.linkerd", "viz", "dashboard", "--show", "url", "--port", "0"),
        stdout=asyncio.subprocess.PIPE,
        env={"KUBECONFIG": str(apiserver.kubeconfig)},
    )
    async with asyncio.timeout(30):
        assert await process.stdout.readline() == b"Linkerd dashboard available at:\n"
        url = (await process.stdout.readline()).decode().strip()
        async with aiohttp.ClientSession() as session:
            for _ in range(2):
                async with session.get(f"{url}/page") as answer:
                    assert len(await answer.text()) == 200_018
        process.send_signal(signal.SIGINT)
        assert await process.wait() == -signal.SIGINT
    assert url.startswith("http://localhost:")


@pytest.mark.parametrize("authority", ["web-svc.emojivoto.svc.cluster.local:80", "nowhere:80"])
async def test_endpoints_of_a_service_are_those_of_its_slices(kube, kubelet, linkerd_at, authority):
    await kubelet.namespace("emojivoto")
    service = {"metadata": {"name": "web-svc"}, "spec": {"ports": [{"name": "http", "port": 80}]}}
    await kube.create("/api/v1/namespaces/emojivoto/services", service)
    await kube.create(
        "/apis/discovery.k8s.io/v1/namespaces/emojivoto/endpointslices",
        {
            "metadata": {"name": "s", "labels": {"kubernetes.io/service-name": "web-svc"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080}],
            "endpoints": [
                {"addresses": ["10.244.0.9"], "targetRef": {"kind": "Pod", "name": "web-1"}},
                {"addresses": ["10.244.0.8"], "conditions": {"ready": False}},
            ],
        },
    )
    result = await linkerd_at("diagnostics", "endpoints", authority, "-o", "json")
    if authority.startswith("nowhere"):
        assert (result.returncode, result.stdout) == (1, "")
        return
    (found,) = json.loads(result.stdout)
    assert (found["ip"], found["port"], found["pod"]) == ("10.244.0.9", 8080, "web-1")
    assert found["service"] == "web-svc.emojivoto"
