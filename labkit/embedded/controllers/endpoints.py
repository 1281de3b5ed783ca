"""Endpoints and EndpointSlices: who answers for a Service.

Services with a selector get both from their pods, following readiness. For Services without one,
people (or a service mirror) write Endpoints; those are mirrored to EndpointSlices here, labels and
annotations included, because slices are what proxies read.
"""

import asyncio
from dataclasses import dataclass, field

from labkit.embedded.controllers import endpoint_addresses, objects
from labkit.embedded.controllers.endpoint_addresses import Ports
from labkit.embedded.controllers.informers import SharedInformers
from labkit.embedded.controllers.reconciling import Key, enqueue_all, is_ending, reconcile_forever
from labkit.embedded.informing import WorkQueue
from labkit.embedded.kube import KubeClient, KubeError, Object, key_of, path_of

DISCOVERY = "discovery.k8s.io/v1"
SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
SLICE_MANAGER = "endpointslice-controller.k8s.io"
MIRROR_MANAGER = "endpointslicemirroring-controller.k8s.io"
SKIP_MIRROR = "endpointslice.kubernetes.io/skip-mirror"
ENDPOINTS_MANAGER_LABEL = "endpoints.kubernetes.io/managed-by"
ENDPOINTS_MANAGER = "endpoint-controller"
HEADLESS = "service.kubernetes.io/headless"
MANY_BACKENDS = 20
BATCH_S = 0.5
_NOT_MIRRORED = frozenset(
    {
        "endpoints.kubernetes.io/last-change-trigger-time",
        "kubectl.kubernetes.io/last-applied-configuration",
        "control-plane.alpha.kubernetes.io/leader",
    }
)

Wanted = list[tuple[Ports, list[Object]]]


async def run(kube: KubeClient, informers: SharedInformers) -> None:
    """Follow Services, pods and Endpoints until cancelled."""
    await _Controller(kube, informers).run()


@dataclass
class _Controller:
    kube: KubeClient
    informers: SharedInformers
    queue: WorkQueue[Key] = field(default_factory=WorkQueue)
    deleted: set[Key] = field(default_factory=set)
    sizes: dict[Key, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.services = self.informers.of("v1", "services")
        self.pods = self.informers.of("v1", "pods")
        self.endpoints = self.informers.of("v1", "endpoints")
        self.slices = self.informers.of(DISCOVERY, "endpointslices")

    async def run(self) -> None:
        all_informers = (self.services, self.pods, self.endpoints, self.slices)
        await asyncio.gather(*(informer.synced() for informer in all_informers))
        self.services.subscribe(self._service_changed)
        enqueue_all(self.queue, self.endpoints)
        self.pods.subscribe(self._pod_changed)
        self.slices.subscribe(self._slice_changed)
        await reconcile_forever("endpoints", self.queue, self._reconcile, workers=4)

    def _service_changed(self, change: str, service: Object) -> None:
        key = key_of(service)
        if change == "DELETED":
            self.deleted.add(key)
        self.queue.add(key)

    def _pod_changed(self, _: str, pod: Object) -> None:
        # Labels seldom change: what a pod was selected by before shows in its Service's slices.
        namespace = pod["metadata"]["namespace"]
        labels = objects.labels_of(pod).items()
        for service in self.services.list(namespace):
            selector = service["spec"].get("selector")
            if selector and (selector.items() <= labels or self._lists(service, pod)):
                self._look_at(key_of(service))

    def _look_at(self, key: Key) -> None:
        """At once for a Service of the usual size; a long list is written twice a second."""
        if self.sizes.get(key, 0) > MANY_BACKENDS:
            self.queue.add_after(key, BATCH_S)
        else:
            self.queue.add(key)

    def _lists(self, service: Object, pod: Object) -> bool:
        known = self.endpoints.get(*key_of(service))
        return known is not None and any(
            address.get("targetRef", {}).get("uid") == pod["metadata"]["uid"]
            for subset in known.get("subsets") or []
            for address in [
                *(subset.get("addresses") or []),
                *(subset.get("notReadyAddresses") or []),
            ]
        )

    def _slice_changed(self, change: str, item: Object) -> None:
        """A slice that someone else changed or deleted is put right."""
        labels = objects.labels_of(item)
        ours = labels.get(MANAGED_BY) in {SLICE_MANAGER, MIRROR_MANAGER}
        if ours and change != "ADDED" and labels.get(SERVICE_NAME):
            self.queue.add((item["metadata"]["namespace"], labels[SERVICE_NAME]))

    async def _reconcile(self, key: Key) -> None:
        service = self.services.get(*key)
        try:
            if service is None:
                await self._clear(key)
            elif service["spec"].get("type") == "ExternalName":
                return
            elif service["spec"].get("selector"):
                await self._fill(service)
            else:
                await self._mirror(service)
        except KubeError as error:
            if not is_ending(error):
                raise

    async def _clear(self, key: Key) -> None:
        """No such Service. Its Endpoints go with it; those that never had one are left alone."""
        known = self.endpoints.get(*key)
        was_ours = known is not None and ENDPOINTS_MANAGER_LABEL in objects.labels_of(known)
        if known is not None and (was_ours or key in self.deleted):
            try:
                await self.kube.delete(path_of("v1", "endpoints", *key))
            except KubeError as error:
                if error.status != 404:
                    raise
        self.deleted.discard(key)
        self.sizes.pop(key, None)
        for manager in (SLICE_MANAGER, MIRROR_MANAGER):
            await self._write_slices(key, [], manager=manager, template={})

    async def _fill(self, service: Object) -> None:
        key = key_of(service)
        pods = self.pods.list(key[0])
        found = endpoint_addresses.backends(service, pods)
        self.sizes[key] = len(found)
        await self._write_endpoints(service, endpoint_addresses.subsets(service, found))
        headless = {HEADLESS: ""} if endpoint_addresses.is_headless(service) else {}
        template = {
            "labels": {**objects.labels_of(service), **headless},
            "ownerReferences": [objects.reference_to(service, api_version="v1", kind="Service")],
        }
        # A Service without pods still has a slice, an empty one.
        wanted: Wanted = endpoint_addresses.slices(found) or [((), [])]
        await self._write_slices(key, wanted, manager=SLICE_MANAGER, template=template)
        await self._write_slices(key, [], manager=MIRROR_MANAGER, template={})

    async def _write_endpoints(self, service: Object, subsets: list[Object]) -> None:
        key = key_of(service)
        headless = {HEADLESS: ""} if endpoint_addresses.is_headless(service) else {}
        labels = {
            **objects.labels_of(service),
            **headless,
            ENDPOINTS_MANAGER_LABEL: ENDPOINTS_MANAGER,
        }
        known = self.endpoints.get(*key)
        if known is None:
            body = {
                "apiVersion": "v1",
                "kind": "Endpoints",
                "metadata": {"name": key[1], "namespace": key[0], "labels": labels},
                **({"subsets": subsets} if subsets else {}),
            }
            made = await self.kube.create(path_of("v1", "endpoints", key[0]), body)
            await self.endpoints.until_seen(made)
            return
        if _plain(known.get("subsets")) == _plain(subsets) and objects.labels_of(known) == labels:
            return
        body = {key: value for key, value in known.items() if key != "subsets"}
        body["metadata"] = {**known["metadata"], "labels": labels}
        if subsets:
            body["subsets"] = subsets
        changed = await self.kube.replace(path_of("v1", "endpoints", *key), body)
        await self.endpoints.until_seen(changed)

    async def _mirror(self, service: Object) -> None:
        """Hand-written Endpoints of a Service without selector become slices."""
        key = key_of(service)
        source = self.endpoints.get(*key)
        skipped = source is None or (
            objects.labels_of(source).get(SKIP_MIRROR) == "true"
            or "control-plane.alpha.kubernetes.io/leader" in objects.annotations_of(source)
        )
        if source is None or skipped:
            await self._write_slices(key, [], manager=MIRROR_MANAGER, template={})
            return
        notes = objects.annotations_of(source)
        template = {
            "labels": objects.labels_of(source),
            "annotations": {k: v for k, v in notes.items() if k not in _NOT_MIRRORED},
            "ownerReferences": [objects.reference_to(source, api_version="v1", kind="Endpoints")],
        }
        wanted = [_mirrored(subset) for subset in source.get("subsets") or []]
        await self._write_slices(key, wanted, manager=MIRROR_MANAGER, template=template)
        await self._write_slices(key, [], manager=SLICE_MANAGER, template={})

    async def _write_slices(
        self, key: Key, wanted: Wanted, *, manager: str, template: Object
    ) -> None:
        """Make the slices of one manager say what is wanted, with as few writes as possible."""
        mine = [
            item
            for item in self.slices.list(key[0])
            if objects.labels_of(item).get(SERVICE_NAME) == key[1]
            and objects.labels_of(item).get(MANAGED_BY) == manager
            and not objects.is_deleting(item)
        ]
        for ports, endpoints in wanted:
            body = _slice(key, ports, endpoints, manager=manager, template=template)
            same = [item for item in mine if item.get("ports") == body["ports"]]
            known = next(iter(same or mine), None)
            if known is not None:
                mine.remove(known)
                await self._update_slice(known, body)
                continue
            made = await self.kube.create(path_of(DISCOVERY, "endpointslices", key[0]), body)
            await self.slices.until_seen(made)
        for item in mine:
            try:
                await self.kube.delete(path_of(DISCOVERY, "endpointslices", *key_of(item)))
            except KubeError as error:
                if error.status != 404:
                    raise

    async def _update_slice(self, known: Object, body: Object) -> None:
        parts = ("labels", "annotations", "ownerReferences")
        same_metadata = all(
            (known["metadata"].get(part) or {}) == (body["metadata"].get(part) or {})
            for part in parts
        )
        same = all((known.get(part) or []) == (body[part] or []) for part in ("endpoints", "ports"))
        if same and same_metadata:
            return
        metadata = {k: v for k, v in known["metadata"].items() if k not in parts}
        if objects.labels_of(body).get(MANAGED_BY) == MIRROR_MANAGER:
            metadata.pop("generateName", None)  # so does the mirroring controller
        fresh = {k: v for k, v in body["metadata"].items() if k in parts}
        changed = {**body, "metadata": {**metadata, **fresh}}
        path = path_of(DISCOVERY, "endpointslices", *key_of(known))
        await self.slices.until_seen(await self.kube.replace(path, changed))


def _plain(subsets: list[Object] | None) -> list[Object]:
    """Subsets without the difference between an absent and an empty list."""
    return [{k: v for k, v in subset.items() if v} for subset in subsets or []]


def _mirrored(subset: Object) -> tuple[Ports, list[Object]]:
    ports = tuple(
        (p.get("name", ""), p.get("protocol", "TCP"), int(p["port"]), p.get("appProtocol", ""))
        for p in subset.get("ports") or []
    )
    endpoints = []
    for kind, ready in (("addresses", True), ("notReadyAddresses", False)):
        for address in subset.get(kind) or []:
            endpoint: Object = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
            endpoint |= {
                name: address[name]
                for name in ("hostname", "nodeName", "targetRef")
                if address.get(name)
            }
            endpoints.append(endpoint)
    return ports, endpoints


def _slice(
    key: Key, ports: Ports, endpoints: list[Object], *, manager: str, template: Object
) -> Object:
    addresses = [address for endpoint in endpoints for address in endpoint["addresses"]]
    labels = {
        **template.get("labels", {}),
        SERVICE_NAME: key[1],
        MANAGED_BY: manager,
    }
    labels.pop(ENDPOINTS_MANAGER_LABEL, None)
    return {
        "apiVersion": DISCOVERY,
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": f"{key[1]}-",
            "namespace": key[0],
            **{name: value for name, value in template.items() if value},
            "labels": labels,
        },
        "addressType": "IPv6" if any(":" in address for address in addresses) else "IPv4",
        "endpoints": endpoints or None,
        "ports": endpoint_addresses.port_objects(ports, always_named=True) or None,
    }
