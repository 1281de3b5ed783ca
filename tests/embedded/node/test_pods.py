import asyncio
import base64
import json

import psutil
import pytest

from labkit.embedded.kube import path_of


def condition(pod, kind):
    for item in pod["status"].get("conditions") or []:
        if item["type"] == kind:
            return item["status"]
    return "absent"


def is_ready(pod):
    return condition(pod, "Ready") == "True"


def restarts(pod):
    return sum(s["restartCount"] for s in pod["status"].get("containerStatuses") or [])


def part(name: str, **fields):
    return {"name": name, "image": "test/parts:v1", "command": [name], **fields}


def named(name: str, command: str, **fields):
    return {"name": name, "image": "test/parts:v1", "command": [command], **fields}


SERVER = {
    "name": "app",
    "image": "test/server:v1",
    "ports": [{"containerPort": 8080, "name": "http"}],
    "readinessProbe": {"httpGet": {"path": "/", "port": "http"}},
}


async def test_a_component_pod_becomes_ready_and_has_a_complete_status(node):
    await node.create({"containers": [part("sleeper")]})
    pod = await node.wait(is_ready)
    status = pod["status"]
    assert status["phase"] == "Running"
    assert status["podIP"] == "10.244.0.1"
    assert status["hostIP"] == "10.124.0.2"
    assert {c["type"] for c in status["conditions"]} >= {
        "PodScheduled",
        "Initialized",
        "ContainersReady",
        "Ready",
        "PodReadyToStartContainers",
    }
    (container,) = status["containerStatuses"]
    assert container["imageID"].startswith("test/parts@sha256:")
    assert container["containerID"].startswith("labkit://")
    assert container["started"] is True
    assert container["restartCount"] == 0
    assert "startedAt" in container["state"]["running"]


async def test_sockets_are_announced_before_the_container_starts(node, programs):
    await node.create({"containers": [part("sleeper", ports=[{"containerPort": 8080}])]})
    pod = await node.wait(is_ready)
    annotations = pod["metadata"]["annotations"]
    sockets = json.loads(annotations["network.labkit.dev/sockets"])
    assert sockets == json.loads(annotations["network.labkit.dev/app-sockets"])
    assert sockets["8080"].startswith("127.0.0.1:")
    assert annotations["network.labkit.dev/egress"].startswith("127.0.0.1:")
    (container,) = programs.seen
    assert container.app_sockets == {8080: sockets["8080"]}
    assert container.annotations["network.labkit.dev/sockets"]


async def test_a_meshed_pod_has_the_proxys_listeners(node):
    proxy = named("linkerd-proxy", "sleeper", restartPolicy="Always")
    app = part("sleeper", ports=[{"containerPort": 8080}])
    await node.create({"initContainers": [proxy], "containers": [app]})
    pod = await node.wait(is_ready)
    annotations = pod["metadata"]["annotations"]
    sockets = json.loads(annotations["network.labkit.dev/sockets"])
    apps = json.loads(annotations["network.labkit.dev/app-sockets"])
    assert set(sockets) == {"8080", "4143", "4190", "4191"}
    assert set(apps) == {"8080"}
    assert sockets["8080"] != apps["8080"]
    names = [status["name"] for status in pod["status"]["initContainerStatuses"]]
    assert names == ["linkerd-proxy"]


async def test_a_process_serves_and_its_log_is_kept(node):
    await node.create({"containers": [SERVER]})
    pod = await node.wait(is_ready)
    address = json.loads(pod["metadata"]["annotations"]["network.labkit.dev/sockets"])["8080"]
    answer = await get(address)
    assert answer["env"]["HOSTNAME"] == "web"
    assert answer["env"]["http_proxy"].startswith("http://127.0.0.1:")
    log = node.agent.find_worker("default", "web").lives["app"].log_path()
    stamp, _, text = log.read_text().partition(" ")
    assert text == "serving\n"
    assert stamp.endswith("Z")


async def test_a_killed_process_comes_back(node):
    await node.create({"containers": [SERVER]})
    await node.wait(is_ready)
    (record,) = node.config.processes.records()
    psutil.Process(record.pid).kill()
    pod = await node.wait(
        lambda pod: is_ready(pod) and pod["status"]["containerStatuses"][0]["restartCount"] == 1
    )
    last = pod["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"]) == (137, "Error")
    (again,) = node.config.processes.records()
    assert again.pid != record.pid


async def test_init_containers_run_in_order_and_a_sidecar_stays(node, programs):
    spec = {
        "initContainers": [
            named("first", "finish"),
            named("side", "listen", restartPolicy="Always", ports=[{"containerPort": 9}]),
            named("second", "finish"),
        ],
        "containers": [named("app", "sleeper")],
    }
    await node.create(spec)
    pod = await node.wait(is_ready)
    assert programs.order == ["first", "side", "second"]
    states = {s["name"]: s["state"] for s in pod["status"]["initContainerStatuses"]}
    assert states["first"]["terminated"]["reason"] == "Completed"
    assert "running" in states["side"]


async def test_a_pod_that_never_restarts_ends_with_its_containers(node):
    spec = {
        "restartPolicy": "Never",
        "initContainers": [named("side", "sleeper", restartPolicy="Always")],
        "containers": [named("ok", "finish")],
    }
    await node.create(spec)
    pod = await node.wait(lambda pod: pod["status"].get("phase") == "Succeeded")
    assert condition(pod, "Ready") == "False"
    await node.create({**spec, "containers": [named("bad", "fail")]}, name="bad")
    pod = await node.wait(lambda pod: pod["status"].get("phase") == "Failed", name="bad")
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 7


async def test_a_crashing_container_backs_off(node, kube):
    await node.create({"containers": [named("app", "fail")]})

    def backs_off(pod):
        for status in pod["status"].get("containerStatuses") or []:
            waiting = status["state"].get("waiting") or {}
            if waiting.get("reason") == "CrashLoopBackOff":
                return status["restartCount"] >= 1
        return False

    pod = await node.wait(backs_off)
    (status,) = pod["status"]["containerStatuses"]
    assert status["state"]["waiting"]["message"].startswith("back-off ")
    assert status["lastState"]["terminated"]["exitCode"] == 7
    async with asyncio.timeout(10):
        while not {"Pulled", "Created", "Started", "BackOff"} <= await event_values(kube, "reason"):
            await asyncio.sleep(0.02)


async def test_a_fault_of_a_component_is_in_its_log(node):
    await node.create({"restartPolicy": "Never", "containers": [part("fault")]})
    await node.wait(lambda pod: pod["status"].get("phase") == "Failed")
    log = node.agent.find_worker("default", "web").lives["fault"].log_path()
    assert "RuntimeError: this program has a fault" in log.read_text()


async def test_an_unknown_image_cannot_be_pulled(node):
    await node.create({"containers": [{"name": "app", "image": "nowhere/app:v1"}]})

    def reason(pod):
        statuses = pod["status"].get("containerStatuses") or [{"state": {}}]
        return (statuses[0]["state"].get("waiting") or {}).get("reason")

    await node.wait(lambda pod: reason(pod) == "ErrImagePull")
    pod = await node.wait(lambda pod: reason(pod) == "ImagePullBackOff")
    assert pod["status"]["phase"] == "Pending"


async def test_an_unknown_command_is_a_start_error(node):
    await node.create({"restartPolicy": "Never", "containers": [named("app", "nosuch")]})
    pod = await node.wait(lambda pod: pod["status"].get("phase") == "Failed")
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("StartError", 128)
    assert "nosuch" in ended["message"]


async def test_environment_is_resolved_from_the_pod_and_from_objects(node, kube, programs):
    await kube.create(
        path_of("v1", "configmaps", "default"), {"metadata": {"name": "c"}, "data": {"k": "v"}}
    )
    secret = {"metadata": {"name": "s"}, "data": {"p": base64.b64encode(b"word").decode()}}
    await kube.create(path_of("v1", "secrets", "default"), secret)
    env = [
        {"name": "HOST", "value": "web-svc"},
        {"name": "URL", "value": "http://$(HOST):80/$$(HOST)"},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "K", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
        {"name": "P", "valueFrom": {"secretKeyRef": {"name": "s", "key": "p"}}},
        {
            "name": "N",
            "valueFrom": {"secretKeyRef": {"name": "none", "key": "p", "optional": True}},
        },
    ]
    await node.create({"containers": [part("sleeper", args=["$(URL)"], env=env)]})
    await node.wait(is_ready)
    (container,) = programs.seen
    assert container.env["URL"] == "http://web-svc:80/$(HOST)"
    assert container.env["IP"] == container.pod_ip
    assert (container.env["K"], container.env["P"]) == ("v", "word")
    assert "N" not in container.env
    assert container.argv == ("sleeper", "http://web-svc:80/$(HOST)")


async def test_a_missing_secret_holds_the_container_until_it_exists(node, kube):
    env = [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "late", "key": "p"}}}]
    await node.create({"containers": [part("sleeper", env=env)]})

    def waiting(pod):
        statuses = pod["status"].get("containerStatuses") or [{"state": {}}]
        return statuses[0]["state"].get("waiting") or {}

    pod = await node.wait(lambda pod: waiting(pod).get("reason") == "CreateContainerConfigError")
    assert waiting(pod)["message"] == 'secret "late" not found'
    secret = {"metadata": {"name": "late"}, "data": {"p": "eA=="}}
    await kube.create(path_of("v1", "secrets", "default"), secret)
    await node.wait(is_ready)


async def test_volumes_are_mounted_below_the_root_and_refreshed(node, kube, programs):
    secret = {"metadata": {"name": "tls"}, "data": {"tls.crt": "b25l"}}
    await kube.create(path_of("v1", "secrets", "default"), secret)
    token = {"serviceAccountToken": {"path": "token", "audience": "a", "expirationSeconds": 3600}}
    labels = {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}
    spec = {
        "volumes": [
            {"name": "certs", "secret": {"secretName": "tls"}},
            {
                "name": "mixed",
                "projected": {"sources": [token, {"downwardAPI": {"items": [labels]}}]},
            },
            {"name": "empty", "emptyDir": {}},
        ],
        "containers": [
            part(
                "sleeper",
                volumeMounts=[
                    {"name": "certs", "mountPath": "/certs"},
                    {"name": "mixed", "mountPath": "/var/run/secrets/x"},
                    {"name": "empty", "mountPath": "/tmp"},
                ],
            )
        ],
    }
    await node.create(spec, labels={"app": "web"})
    await node.wait(is_ready)
    (container,) = programs.seen
    certificate = container.root / "certs/tls.crt"
    assert certificate.read_text() == "one"
    assert certificate.stat().st_mode & 0o777 == 0o600
    assert (container.root / "var/run/secrets/x/token").read_text().count(".") == 2
    assert (container.root / "var/run/secrets/x/labels").read_text() == 'app="web"'
    assert (container.root / "tmp").is_dir()
    await kube.patch(path_of("v1", "secrets", "default", "tls"), {"data": {"tls.crt": "dHdv"}})
    async with asyncio.timeout(10):
        while certificate.read_text() != "two":
            await asyncio.sleep(0.02)


async def test_a_deleted_pod_is_stopped_with_grace_and_removed(node, kube, programs):
    await node.create({"containers": [part("sleeper"), SERVER]})
    await node.wait(is_ready)
    worker = node.agent.find_worker("default", "web")
    folder = worker.lives["app"].log_path().parent.parent
    await kube.delete(path_of("v1", "pods", "default", "web"))
    await node.wait_gone()
    async with asyncio.timeout(10):
        while node.agent.workers or folder.exists():
            await asyncio.sleep(0.02)
    assert node.config.processes.records() == []


async def test_a_component_takes_its_children_along(node, kube):
    await node.create({"containers": [part("spawn")]})
    await node.wait(is_ready)
    async with asyncio.timeout(10):
        while not node.config.processes.records():
            await asyncio.sleep(0.01)
    (record,) = node.config.processes.records()
    assert record.name == "west/default/web/x"
    await kube.delete(path_of("v1", "pods", "default", "web"))
    await node.wait_gone()
    assert not record.alive()


async def test_a_restarted_agent_starts_the_containers_once_more(node, programs):
    await node.create({"containers": [part("sleeper"), SERVER]})
    before = await node.wait(is_ready)
    await node.stop()
    assert node.config.processes.records() == []
    await node.start()
    assert not is_ready(await node.pod()) or restarts(await node.pod()) == 2
    pod = await node.wait(
        lambda pod: (
            is_ready(pod)
            and all(s["restartCount"] == 1 for s in pod["status"]["containerStatuses"])
        )
    )
    assert pod["status"]["podIP"] == before["status"]["podIP"]
    assert [c.name for c in programs.seen].count("sleeper") == 2
    assert len(node.config.processes.records()) == 1


async def test_a_failing_liveness_probe_restarts_the_container(node, kube):
    probe = {"httpGet": {"path": "/broken", "port": 8080}, "periodSeconds": 1}
    app = {**SERVER, "livenessProbe": {**probe, "failureThreshold": 1, "initialDelaySeconds": 1}}
    await node.create({"containers": [app]})
    await node.wait(lambda pod: restarts(pod) >= 1)
    wanted = {
        "Liveness probe failed: HTTP probe failed with statuscode: 500",
        "Container app failed liveness probe, will be restarted",
    }
    async with asyncio.timeout(10):
        while not wanted <= await event_values(kube, "message"):
            await asyncio.sleep(0.02)


async def test_a_container_is_unready_until_its_probe_succeeds(node):
    app = {**SERVER, "readinessProbe": {"httpGet": {"path": "/broken", "port": 8080}}}
    await node.create({"containers": [app]})
    pod = await node.wait(lambda pod: pod["status"].get("phase") == "Running")
    assert condition(pod, "ContainersReady") == "False"
    assert pod["status"]["containerStatuses"][0]["started"] is True


async def test_the_node_is_registered_with_every_required_field(node, kube):
    found = await kube.get(path_of("v1", "nodes", None, "pool-west-1"))
    assert found["metadata"]["labels"]["topology.kubernetes.io/region"] == "sfo3"
    assert found["spec"]["providerID"].startswith("digitalocean://")
    conditions = {c["type"]: c["status"] for c in found["status"]["conditions"]}
    assert conditions["Ready"] == "True"
    assert len(found["status"]["nodeInfo"]) == 10
    sockets = json.loads(found["metadata"]["annotations"]["network.labkit.dev/sockets"])
    assert sockets["10250"].startswith("127.0.0.1:")


async def test_the_node_proxy_starts_with_the_first_unmeshed_process(node, programs):
    await node.create({"containers": [part("sleeper")]})
    await node.wait(is_ready)
    assert [c.name for c in programs.seen] == ["sleeper"]
    await node.create({"containers": [SERVER]}, name="process")
    await node.wait(is_ready, name="process")
    async with asyncio.timeout(5):
        while "node-proxy" not in [c.name for c in programs.seen]:
            await asyncio.sleep(0.01)


async def test_with_one_proxy_per_cluster_meshed_pods_need_the_node_proxy(
    node, programs, monkeypatch
):
    monkeypatch.setenv("LABKIT_PROXY_GROUPING", "cluster")
    proxy = named("linkerd-proxy", "sleeper", restartPolicy="Always")
    await node.create({"initContainers": [proxy], "containers": [named("app", "sleeper")]})
    await node.wait(is_ready)
    async with asyncio.timeout(5):
        while "node-proxy" not in [c.name for c in programs.seen]:
            await asyncio.sleep(0.01)


async def event_values(kube, field):
    events = await kube.list(path_of("v1", "events", "default"))
    return {event[field] for event in events["items"]}


async def get(address: str) -> dict:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    if b"200" not in head:
        pytest.fail(head.decode())
    return json.loads(body)


async def test_an_exec_probe_decides_readiness_and_its_failure_is_told(node, kube, programs):
    probe = {"exec": {"command": ["sh", "-c", "echo not yet; test -f flag"]}, "periodSeconds": 1}
    await node.create({"containers": [part("sleeper", readinessProbe=probe)]})
    message = "Readiness probe failed: not yet\n"
    async with asyncio.timeout(20):
        while message not in await event_values(kube, "message"):
            await asyncio.sleep(0.02)
    assert not is_ready(await node.pod())
    (container,) = programs.seen
    (container.root / "flag").touch()
    await node.wait(is_ready, within_s=20)


async def test_an_exec_probe_that_takes_too_long_fails_and_leaves_nothing(node, kube):
    probe = {"exec": {"command": ["sleep", "600"]}, "periodSeconds": 1, "failureThreshold": 1}
    await node.create({"containers": [part("sleeper", livenessProbe=probe)]})
    await node.wait(lambda pod: restarts(pod) >= 1, within_s=30)
    await kube.delete(path_of("v1", "pods", "default", "web"))
    await node.wait_gone()
    assert node.config.processes.records() == []
