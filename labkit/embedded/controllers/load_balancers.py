"""The cloud controller's part in Services of type LoadBalancer: an address from DigitalOcean.

A Service gets a load balancer of the account, found again by its name (which holds the Service's
uid), so that a restart never makes a second one. A finalizer keeps the Service until its load
balancer is gone. Nodes reach it by their droplet ids. Only the REST API is spoken.
"""

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from labkit.embedded.controllers import objects
from labkit.embedded.controllers.events import EventWriter, Recorder
from labkit.embedded.controllers.informers import SharedInformers
from labkit.embedded.controllers.reconciling import Key, enqueue_all, reconcile_forever
from labkit.embedded.informing import WorkQueue
from labkit.embedded.kube import KubeClient, KubeError, Object, key_of, path_of
from labkit.errors import CloudError

FINALIZER = "service.kubernetes.io/load-balancer-cleanup"
ID_ANNOTATION = "kubernetes.digitalocean.com/load-balancer-id"
NAME_ANNOTATION = "service.beta.kubernetes.io/do-loadbalancer-name"
POLL_S = 0.25
REQUEST_TIMEOUT_S = 20.0
PAGE_SIZE = 200
_DROPLET_PREFIX = "digitalocean://"


@dataclass(frozen=True)
class Cloud:
    """The account's API.

    Attributes:
        base_url: as `https://127.0.0.1:PORT`, without `/v2`.
        token: bearer token.
        ca_file: PEM file of the API's CA; None for the system's roots.
        region: slug of the cluster's region.
        cluster_id: the cluster's id in the account, for tags.
    """

    base_url: str
    token: str = field(repr=False)
    region: str
    cluster_id: str = ""
    ca_file: Path | str | None = None


async def run(
    kube: KubeClient, informers: SharedInformers, events: EventWriter, *, cloud: Cloud
) -> None:
    """Follow Services until cancelled."""
    context = ssl.create_default_context(cafile=cloud.ca_file and str(cloud.ca_file))
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, limit=2),
        headers={"Authorization": f"Bearer {cloud.token}"},
        timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S),
    ) as session:
        api = _Api(session, cloud.base_url.rstrip("/"))
        recorder = events.recorder("service-controller")
        await _Controller(kube, informers, recorder, cloud, api).run()


@dataclass
class _Api:
    """The three requests that are needed, on JSON."""

    session: aiohttp.ClientSession
    base_url: str

    async def request(self, method: str, path: str, body: object = None) -> Object:
        """Send one request.

        Raises:
            CloudError: refused, or no answer.
        """
        url = f"{self.base_url}{path}"
        try:
            async with self.session.request(method, url, json=body) as response:
                text = await response.text()
                status = response.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise CloudError(f"{method} {path}: no answer", seen=repr(error)) from error
        if status >= 400:
            raise CloudError(f"{method} {path} was refused", status=status, seen=text)
        answer = json.loads(text) if text else {}
        return answer if isinstance(answer, dict) else {}

    async def find(self, *, balancer_id: str, name: str) -> Object | None:
        """A load balancer by its id, else by its name."""
        if balancer_id:
            try:
                answer = await self.request("GET", f"/v2/load_balancers/{balancer_id}")
            except CloudError as error:
                if error.status != 404:
                    raise
            else:
                return dict(answer["load_balancer"])
        page = 1
        while True:
            query = f"?page={page}&per_page={PAGE_SIZE}"
            found = (await self.request("GET", f"/v2/load_balancers{query}"))["load_balancers"]
            for balancer in found:
                if balancer["name"] == name:
                    return dict(balancer)
            if len(found) < PAGE_SIZE:
                return None
            page += 1


@dataclass
class _Controller:
    kube: KubeClient
    informers: SharedInformers
    recorder: Recorder
    cloud: Cloud
    api: _Api
    queue: WorkQueue[Key] = field(default_factory=WorkQueue)
    droplets: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self.services = self.informers.of("v1", "services")
        self.nodes = self.informers.of("v1", "nodes")

    async def run(self) -> None:
        await asyncio.gather(self.services.synced(), self.nodes.synced())
        self.nodes.subscribe(self._node_changed)
        enqueue_all(self.queue, self.services)
        await reconcile_forever("load balancers", self.queue, self._reconcile, workers=2)

    def _node_changed(self, _: str, __: Object) -> None:
        droplets = tuple(sorted(_droplets(self.nodes.list())))
        if droplets != self.droplets:
            self.droplets = droplets
            for service in self.services.list():
                if service["spec"].get("type") == "LoadBalancer":
                    self.queue.add(key_of(service))

    async def _reconcile(self, key: Key) -> None:
        service = self.services.get(*key)
        if service is None:
            return
        finalizers = service["metadata"].get("finalizers") or []
        wanted = service["spec"].get("type") == "LoadBalancer"
        wanted = wanted and not service["spec"].get("loadBalancerClass")
        try:
            if wanted and not objects.is_deleting(service):
                await self._ensure(service)
            elif FINALIZER in finalizers:
                await self._remove(service)
        except CloudError as error:
            text = f"Error syncing load balancer: {error}"
            self.recorder.warning(service, "SyncLoadBalancerFailed", text)
            raise

    async def _ensure(self, service: Object) -> None:
        if FINALIZER not in (service["metadata"].get("finalizers") or []):
            self.recorder.normal(service, "EnsuringLoadBalancer", "Ensuring load balancer")
            finalizers = [*(service["metadata"].get("finalizers") or []), FINALIZER]
            service = await self._patch(service, {"metadata": {"finalizers": finalizers}})
        known = objects.annotations_of(service).get(ID_ANNOTATION, "")
        balancer = await self.api.find(balancer_id=known, name=_name(service))
        body = self._body(service)
        if balancer is None:
            balancer = (await self.api.request("POST", "/v2/load_balancers", body))["load_balancer"]
        elif _differs(balancer, body):
            path = f"/v2/load_balancers/{balancer['id']}"
            balancer = (await self.api.request("PUT", path, body))["load_balancer"]
        if known != balancer["id"]:
            notes = {ID_ANNOTATION: balancer["id"]}
            service = await self._patch(service, {"metadata": {"annotations": notes}})
        if balancer["status"] != "active" or not balancer.get("ip"):
            self.queue.add_after(key_of(service), POLL_S)
            return
        await self._publish(service, [{"ip": balancer["ip"], "ipMode": "VIP"}])

    async def _publish(self, service: Object, ingress: list[Object]) -> None:
        """Write the address into the Service's status."""
        known = service.get("status", {}).get("loadBalancer", {}).get("ingress") or []
        if [entry.get("ip") for entry in known] == [entry["ip"] for entry in ingress]:
            return
        path = path_of("v1", "services", *key_of(service), "status")
        changed = await self.kube.patch(
            path, {"status": {"loadBalancer": {"ingress": ingress or None}}}
        )
        await self.services.until_seen(changed)
        if ingress:
            self.recorder.normal(service, "EnsuredLoadBalancer", "Ensured load balancer")

    async def _remove(self, service: Object) -> None:
        self.recorder.normal(service, "DeletingLoadBalancer", "Deleting load balancer")
        known = objects.annotations_of(service).get(ID_ANNOTATION, "")
        balancer = await self.api.find(balancer_id=known, name=_name(service))
        if balancer is not None:
            try:
                await self.api.request("DELETE", f"/v2/load_balancers/{balancer['id']}")
            except CloudError as error:
                if error.status != 404:
                    raise
        self.recorder.normal(service, "DeletedLoadBalancer", "Deleted load balancer")
        if not objects.is_deleting(service):
            await self._publish(service, [])
        rest = [f for f in service["metadata"]["finalizers"] if f != FINALIZER]
        changes = {"metadata": {"finalizers": rest or None, "annotations": {ID_ANNOTATION: None}}}
        try:
            await self.kube.patch(path_of("v1", "services", *key_of(service)), changes)
        except KubeError as error:
            if error.status != 404:
                raise

    async def _patch(self, service: Object, changes: Object) -> Object:
        changed = await self.kube.patch(path_of("v1", "services", *key_of(service)), changes)
        await self.services.until_seen(changed)
        return changed

    def _body(self, service: Object) -> Object:
        rules = [
            {
                "entry_protocol": port.get("protocol", "TCP").lower(),
                "entry_port": port["port"],
                "target_protocol": port.get("protocol", "TCP").lower(),
                "target_port": port.get("nodePort") or port["port"],
            }
            for port in service["spec"]["ports"]
        ]
        body = {"name": _name(service), "region": self.cloud.region, "forwarding_rules": rules}
        if self.droplets:
            return {**body, "droplet_ids": list(self.droplets)}
        return {**body, "tag": f"k8s:{self.cloud.cluster_id or 'lab'}"}


def _name(service: Object) -> str:
    """The load balancer's name: the user's wish, else `a` and the Service's uid."""
    wish = objects.annotations_of(service).get(NAME_ANNOTATION)
    return wish or f"a{service['metadata']['uid'].replace('-', '')}"[:32]


def _droplets(nodes: list[Object]) -> list[int]:
    ids = (str(node["spec"].get("providerID", "")).removeprefix(_DROPLET_PREFIX) for node in nodes)
    return [int(droplet) for droplet in ids if droplet.isdigit()]


def _differs(balancer: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    def rules(of: Mapping[str, Any]) -> list[tuple[object, ...]]:
        names = ("entry_protocol", "entry_port", "target_protocol", "target_port")
        return sorted(tuple(rule[n] for n in names) for rule in of["forwarding_rules"])

    droplets = sorted(balancer.get("droplet_ids") or []) != sorted(body.get("droplet_ids", []))
    return rules(balancer) != rules(body) or droplets
