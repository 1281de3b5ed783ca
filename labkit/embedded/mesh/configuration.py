"""The whole configuration of an Envoy from a topology: which resources, for which pods.

One generator for both groupings. With one Envoy per pod names have no prefix, so that clusters
and virtual hosts are the same for all pods of a namespace and are serialised once. A shared Envoy
hosts several pods; there every name starts with its pod, because the certificate shown to a
server is the client pod's.

Pods by address are told to unmeshed clients only: each target costs an Envoy 60 kB, there are
more pods' ports than services, and meshed programs call services.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from labkit.embedded.envoy.types import CLUSTERS, LISTENERS, ROUTES, Json
from labkit.embedded.envoy.xds import Packed, pack
from labkit.embedded.mesh import inbound, names, outbound
from labkit.embedded.mesh.outbound import Client
from labkit.embedded.mesh.topology import Pod, Target, Topology

Resources = dict[str, list[Packed]]

_ADMIN_PATHS = ("/metrics", "/ready", "/live", "/shutdown")
_TAP_PATHS = ("/tap",)


class Configuration:
    """Generates resources from one topology.

    Args:
        topology: what can be reached.
        run_dir: the cluster's folder of sockets, where each proxy's pipes are.
    """

    def __init__(self, topology: Topology, run_dir: Path) -> None:
        self._topology = topology
        self._run_dir = run_dir
        self._clusters: dict[Client, list[Packed]] = {}
        self._routes: dict[tuple[Client, str, str], Packed] = {}

    def meshed_pod(self, pod: Pod, *, prefix: str = "") -> Resources:
        """Listeners, clusters and routes of a pod's proxy."""
        client = Client(prefix)
        log = str(names.pod_socket(self._run_dir, pod.uid, "log"))
        http = names.pod_socket(self._run_dir, pod.uid, "http")
        own_clusters = [*inbound.app_clusters(pod, client), *inbound.proxy_clusters(client, http)]
        routes = [self._outbound_routes(client, pod.namespace, f"{prefix}outbound")]
        if pod.gateway:
            routes.append(pack(inbound.gateway_routes(pod, self._topology.targets, client)))
        return {
            LISTENERS: _packed(self._listeners(pod, client, log)),
            CLUSTERS: [*self._outbound_clusters(client), *_packed(own_clusters)],
            ROUTES: routes,
        }

    def unmeshed_pods(self, pods: Iterable[Pod]) -> Resources:
        """Egress of pods without a proxy: one set of clusters, a listener for each."""
        client = Client("plain|", meshed=False)
        result: Resources = {LISTENERS: [], CLUSTERS: self._outbound_clusters(client), ROUTES: []}
        names_done = set()
        for pod in pods:
            if not pod.egress:
                continue
            name = f"plain|{pod.namespace}"
            listener = outbound.listener(pod, f"{pod.key}|", route_name=name, log=None)
            result[LISTENERS].append(pack(listener))
            if name not in names_done:
                names_done.add(name)
                result[ROUTES].append(self._outbound_routes(client, pod.namespace, name))
        return result

    def _listeners(self, pod: Pod, client: Client, log: str) -> list[Json]:
        result = []
        if pod.egress:
            name = f"{client.prefix}outbound"
            result.append(outbound.listener(pod, client.prefix, route_name=name, log=log))
        result += [inbound.app_listener(pod, port, client, log) for port in inbound.app_ports(pod)]
        if pod.gateway and names.GATEWAY_PORT in pod.sockets:
            result.append(inbound.gateway_listener(pod, client, log))
        for port, paths in ((names.ADMIN_PORT, _ADMIN_PATHS), (names.TAP_PORT, _TAP_PATHS)):
            if port in pod.sockets:
                result.append(inbound.proxy_listener(pod, port, client, paths))
        return result

    def _targets(self, client: Client) -> list[Target]:
        return [target for target in self._topology.targets if not (target.pod and client.meshed)]

    def _outbound_clusters(self, client: Client) -> list[Packed]:
        if client not in self._clusters:
            self._clusters[client] = _packed(outbound.clusters(self._targets(client), client))
        return self._clusters[client]

    def _outbound_routes(self, client: Client, namespace: str, name: str) -> Packed:
        key = (client, namespace, name)
        if key not in self._routes:
            targets = self._targets(client)
            configuration = outbound.route_configuration(name, targets, client, namespace=namespace)
            self._routes[key] = pack(configuration)
        return self._routes[key]


def expected_sockets(pod_sockets: Mapping[int, str], egress: str, *, gateway: bool) -> set[str]:
    """The addresses that must be open before a pod's proxy is ready."""
    wanted = {
        socket for port, socket in pod_sockets.items() if port != names.GATEWAY_PORT or gateway
    }
    return wanted | ({egress} if egress else set())


def _packed(resources: Iterable[Json]) -> list[Packed]:
    return [pack(resource) for resource in resources]
