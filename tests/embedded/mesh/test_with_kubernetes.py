"""The components against a real API server: identity, destination, injector, node proxy."""

import asyncio
import contextlib
import json
import ssl
from base64 import b64decode
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import jsonpatch
import pytest
import yaml

from labkit import certs
from labkit.embedded.kube import KubeError, path_of
from labkit.embedded.mesh import destination, identity, injector, names, node_proxy, proxy
from labkit.embedded.node.programs import Container

NAMESPACES = ("linkerd", "emojivoto", "kube-system")


class Lab:
    """A cluster's objects, and components that run as they would on a node."""

    def __init__(self, kube, apiserver, run_dir: Path, mesh, trust) -> None:
        self.kube, self.apiserver, self.run_dir = kube, apiserver, run_dir
        self.mesh, self.trust = mesh, trust
        self.tasks: list[asyncio.Task[int]] = []

    async def prepare(self) -> None:
        for name in NAMESPACES:
            with contextlib.suppress(KubeError):
                await self.kube.create(path_of("v1", "namespaces"), {"metadata": {"name": name}})
            with contextlib.suppress(KubeError):
                body = {"metadata": {"name": "default"}}
                await self.kube.create(path_of("v1", "serviceaccounts", name), body)

    async def token(self, account: str, namespace: str, audience: str | None = None) -> str:
        with contextlib.suppress(KubeError):
            body = {"metadata": {"name": account}}
            await self.kube.create(path_of("v1", "serviceaccounts", namespace), body)
        spec = {"audiences": [audience]} if audience else {}
        answer = await self.kube.create(
            path_of("v1", "serviceaccounts", namespace, account, "token"),
            {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec},
        )
        return answer["status"]["token"]

    def container(self, name: str, **fields) -> Container:
        work_dir = self.run_dir / name
        (work_dir / "root").mkdir(parents=True, exist_ok=True)
        values = {
            "cluster": "west",
            "namespace": "linkerd",
            "pod": name,
            "pod_uid": name,
            "pod_ip": "10.244.0.250",
            "service_account": "default",
            "labels": {},
            "annotations": {},
            "name": name,
            "image": "",
            "argv": (),
            "env": {},
            "app_sockets": {},
            "sockets": {},
            "egress": "",
            "root": work_dir / "root",
            "run_dir": self.run_dir,
            "work_dir": work_dir,
            "server": self.apiserver.url,
            "token": self.apiserver.token,
            "ca_file": self.apiserver.ca_file,
        }
        return Container(**(values | fields))

    def run(self, component, container: Container):
        node = self.mesh.NodeStandIn()
        self.tasks.append(asyncio.create_task(component(container, node)))
        return node

    def mount(self, container: Container, folder: str, files: dict[str, bytes]) -> None:
        (container.root / folder).mkdir(parents=True)
        for name, data in files.items():
            (container.root / folder / name).write_bytes(data)

    def identity_container(self) -> Container:
        container = self.container("identity", app_sockets={9990: self.mesh.free_socket()})
        issuer = {"crt.pem": self.trust.issuer.certificate, "key.pem": self.trust.issuer.key}
        self.mount(container, identity.ISSUER_FOLDER, issuer)
        roots = {"ca-bundle.crt": self.trust.root.certificate}
        self.mount(container, identity.TRUST_ROOTS_FOLDER, roots)
        return container

    async def add_pod(self, made) -> None:
        """Create the pod of a MeshPod and give it what scheduler and kubelet would."""
        item = made.item
        metadata = item["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        account = item["spec"]["serviceAccountName"]
        token = await self.token(account, namespace)
        containers = [c | {"image": "x"} for c in item["spec"]["containers"]]
        sidecars = [
            c | {"image": "x", "restartPolicy": "Always"} for c in item["spec"]["initContainers"]
        ]
        body = {
            "metadata": {key: metadata[key] for key in ("name", "labels", "annotations")},
            "spec": {
                "serviceAccountName": account,
                "containers": containers,
                "initContainers": sidecars,
            },
        }
        created = await self.kube.create(path_of("v1", "pods", namespace), body)
        await self.kube.patch(
            path_of("v1", "pods", namespace, name, "status"), {"status": item["status"]}
        )
        made.container = replace(
            made.container,
            pod_uid=created["metadata"]["uid"],
            token=token,
            server=self.apiserver.url,
            ca_file=self.apiserver.ca_file,
        )

    async def add_service(self, name: str, ip: str, port: int, target: int) -> None:
        ports = [{"name": "http", "port": port}]
        await self.kube.create(
            path_of("v1", "services", "emojivoto"),
            {"metadata": {"name": name}, "spec": {"ports": ports}},
        )
        await self.kube.create(
            path_of("v1", "endpoints", "emojivoto"),
            {
                "metadata": {"name": name},
                "subsets": [
                    {"addresses": [{"ip": ip}], "ports": [{"name": "http", "port": target}]}
                ],
            },
        )

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest.fixture
async def lab(kube, apiserver, folder, mesh, trust) -> AsyncIterator[Lab]:
    made = Lab(kube, apiserver, folder, mesh, trust)
    await made.prepare()
    yield made
    await made.stop()


async def certify(lab: Lab, csr_name: str, token: str) -> tuple[int, dict[str, str]]:
    csr, _ = certs.create_csr(csr_name)
    connector = aiohttp.UnixConnector(path=str(lab.run_dir / "identity.sock"))
    async with (
        aiohttp.ClientSession(connector=connector) as http,
        http.post(
            "http://identity/certify", json={"csr": csr.decode(), "token": token}
        ) as response,
    ):
        return response.status, await response.json()


async def test_identity_signs_only_the_name_of_the_tokens_account(lab: Lab) -> None:
    lab.run(identity.run, lab.identity_container())
    token = await lab.token("web", "emojivoto", "identity.l5d.io")
    name = names.identity_of("web", "emojivoto")

    async def listening() -> bool:
        return (lab.run_dir / "identity.sock").exists()

    await lab.mesh.until(listening)
    status, answer = await certify(lab, name, token)
    assert status == 200, answer
    certs.verify_chain(answer["chain"].encode(), lab.trust.root.certificate)
    assert answer["trust_roots"] == lab.trust.anchors
    status, _ = await certify(lab, name, await lab.token("web", "emojivoto"))
    assert status == 200
    status, answer = await certify(lab, names.identity_of("other", "emojivoto"), token)
    assert status == 403
    assert "must ask for" in answer["message"]
    status, answer = await certify(lab, name, "not-a-token")
    assert status == 403


async def test_identity_without_an_issuer_says_so(lab: Lab) -> None:
    lab.run(identity.run, lab.container("identity"))
    token = await lab.token("web", "emojivoto")

    async def listening() -> bool:
        return (lab.run_dir / "identity.sock").exists()

    await lab.mesh.until(listening)
    status, answer = await certify(lab, names.identity_of("web", "emojivoto"), token)
    assert status == 403
    assert "linkerd-identity-issuer" in answer["message"]


async def chain(lab: Lab, make_cluster, start_app):
    """A web and a vote-bot pod as objects of the API server."""
    pods = await make_cluster("stand-in")
    web = pods.add_pod("web", app={8080: await start_app()}, account="web")
    bot = pods.add_pod("vote-bot")
    curl = pods.add_pod("curl", meshed=False)
    for made in (web, bot, curl):
        made.container = replace(made.container, run_dir=lab.run_dir)
        await lab.add_pod(made)
    await lab.add_service("web-svc", web.ip, 80, 8080)
    lab.run(identity.run, lab.identity_container())
    return web, bot, curl


async def test_proxies_get_everything_from_kubernetes(
    lab: Lab, make_cluster, start_app, mesh
) -> None:
    web, bot, _curl = await chain(lab, make_cluster, start_app)
    lab.run(destination.run, lab.container("destination"))
    lab.run(node_proxy.run, lab.container("node"))
    for pod in (web, bot):
        pod.node = lab.run(proxy.run, pod.container)
    for pod in (web, bot):
        await mesh.until(lambda pod=pod: mesh.is_ready(pod))
    status, text, _ = await mesh.fetch(bot, "http://web-svc.emojivoto/")
    assert status == 200, text
    path = path_of("v1", "services", "emojivoto", "web-svc")
    await lab.kube.delete(path)

    async def unknown() -> bool:
        return (await mesh.fetch(bot, "http://web-svc.emojivoto/"))[0] == 502

    await mesh.until(unknown)


async def test_unmeshed_pods_reach_services_in_plain_text(
    lab: Lab, make_cluster, start_app, mesh
) -> None:
    web, _bot, curl = await chain(lab, make_cluster, start_app)
    lab.run(destination.run, lab.container("destination"))
    lab.run(node_proxy.run, lab.container("node"))
    web.node = lab.run(proxy.run, web.container)
    await mesh.until(lambda: mesh.is_ready(web))

    async def reached() -> bool:
        try:
            return (await mesh.fetch(curl, "http://web-svc.emojivoto/"))[0] == 200
        except aiohttp.ClientError:
            return False

    await mesh.until(reached)

    async def counted() -> bool:
        return 'tls="no_identity"' in await mesh.metrics_of(web)

    await mesh.until(counted)


async def test_one_envoy_serves_all_pods_of_a_cluster_when_grouped(
    lab: Lab, make_cluster, start_app, mesh, monkeypatch
) -> None:
    monkeypatch.setenv("LABKIT_PROXY_GROUPING", "cluster")
    web, bot, _curl = await chain(lab, make_cluster, start_app)
    node = lab.run(node_proxy.run, lab.container("node"))
    lab.run(destination.run, lab.container("destination"))
    for pod in (web, bot):
        pod.node = lab.run(proxy.run, pod.container)
    for pod in (web, bot):
        await mesh.until(lambda pod=pod: mesh.is_ready(pod))
    status, text, _ = await mesh.fetch(bot, "http://web-svc.emojivoto/")
    assert status == 200, text

    async def counted() -> bool:
        text = await mesh.metrics_of(web)
        return f'client_id="{names.identity_of("default", "emojivoto")}"' in text

    await mesh.until(counted)
    assert 'tcp_open_total{peer="dst"' in await mesh.metrics_of(bot)
    assert len(node.processes) == 1
    assert web.node.processes == []
    # The shared Envoy comes back by itself, and the pods with it.
    node.processes[0].kill()

    async def again() -> bool:
        try:
            return (await mesh.fetch(bot, "http://web-svc.emojivoto/"))[0] == 200
        except aiohttp.ClientError:
            return False

    await mesh.until(again)
    assert len(node.processes) == 2
    # A restarted sidecar has a new pipe; its metrics go on.
    lab.tasks[-2].cancel()
    await asyncio.wait([lab.tasks[-2]])
    lab.run(proxy.run, web.container)
    await mesh.until(lambda: mesh.is_ready(web))

    async def counted_again() -> bool:
        await mesh.fetch(bot, "http://web-svc.emojivoto/")
        status, text = await mesh.metrics_answer(web)
        return status == 200 and "request_total{" in text

    await mesh.until(counted_again)


def admission(namespace: str, item: dict, kind: str = "Pod") -> dict:
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "42",
            "kind": {"group": "", "version": "v1", "kind": kind},
            "namespace": namespace,
            "operation": "CREATE",
            "object": item,
        },
    }


async def test_the_injector_answers_admission_reviews_over_tls(lab: Lab, mesh) -> None:
    socket = mesh.free_socket()
    container = lab.container("injector", app_sockets={8443: socket})
    leaf = certs.create_leaf(
        lab.trust.issuer, dns_names=["linkerd-proxy-injector.linkerd.svc"], client=False
    )
    lab.mount(container, "var/run/linkerd/tls", {"tls.crt": leaf.certificate, "tls.key": leaf.key})
    lab.mount(
        container,
        "var/run/linkerd/config",
        {"values": yaml.safe_dump({"linkerdVersion": "edge-26.6.3"}).encode()},
    )
    roots = {"ca-bundle.crt": lab.trust.root.certificate}
    lab.mount(container, "var/run/linkerd/identity/trust-roots", roots)
    await lab.kube.patch(
        path_of("v1", "namespaces", None, "emojivoto"),
        {"metadata": {"annotations": {"linkerd.io/inject": "enabled"}}},
    )
    node = lab.run(injector.run, container)

    async def listening() -> bool:
        return bool(node.lines)

    await mesh.until(listening)
    context = ssl.create_default_context(cadata=lab.trust.anchors)
    pod = {
        "metadata": {
            "generateName": "web-77f8-",
            "labels": {"app": "web", "pod-template-hash": "77f8"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web-77f8"}],
        },
        "spec": {"containers": [{"name": "web", "image": "x"}]},
    }
    async with aiohttp.ClientSession() as http:

        async def ask(namespace: str, item: dict, kind: str = "Pod") -> dict:
            async with http.post(
                f"https://{socket}/",
                json=admission(namespace, item, kind),
                ssl=context,
                server_hostname="linkerd-proxy-injector.linkerd.svc",
            ) as response:
                assert response.status == 200
                return (await response.json())["response"]

        answer = await ask("emojivoto", pod)
        assert answer["uid"] == "42"
        assert await ask("linkerd", pod) == {"uid": "42", "allowed": True}
    patched = jsonpatch.apply_patch(pod, json.loads(b64decode(answer["patch"])))
    (sidecar,) = patched["spec"]["initContainers"]
    assert sidecar["name"] == "linkerd-proxy"
    assert sidecar["image"] == "cr.l5d.io/linkerd/proxy:edge-26.6.3"
    assert sidecar["restartPolicy"] == "Always"
    assert patched["metadata"]["labels"]["linkerd.io/proxy-deployment"] == "web"
    # The API server takes the injected pod as it is.
    body = patched | {"metadata": patched["metadata"] | {"name": "web-77f8-abcde"}}
    body["metadata"].pop("ownerReferences")
    await lab.kube.create(path_of("v1", "pods", "emojivoto"), body)
