"""The second backend of chapter 13 and the HTTPRoute that shares the votes out by weight.

The robot asks west's own `web-svc` again; the route sends its requests there, or to the mirror of
east's. Weights are shares of the requests, and a meshed client's proxy carries them out.
"""

from typing import Any

from labkit.chapters.emojivoto import NAMESPACE, SERVICES, manifest
from labkit.chapters.linkerd import CRD, CRD_API
from labkit.chapters.mirror import MIRROR, SERVICE
from labkit.chapters.traffic import BOT
from labkit.clients.manifests import Object, parse
from labkit.clients.rollouts import wait_gone, wait_rollout
from labkit.context import WEST, LabContext
from labkit.progress import Progress

BACKENDS = {"west": SERVICE, "east": MIRROR}
"""Which service in west leads to which region."""
ROUTE = "votes"
LOCAL = ("emoji", "voting", "web")
ROLLOUT_TIMEOUT_S = 300.0
_GATEWAY_API = "httproutes.gateway.networking.k8s.io"


def route_api(lab: LabContext) -> str:
    """The API of HTTPRoutes that west has: the Gateway API's, or Linkerd's own."""
    if lab.kubernetes(WEST).get(CRD_API, CRD, _GATEWAY_API) is not None:
        return "gateway.networking.k8s.io/v1"
    return "policy.linkerd.io/v1beta3"


def add_local(lab: LabContext, shown: Progress) -> None:
    """Run emojivoto's programs in west, too: all but the robot, injected."""
    shown.update("applying the second backend", key=WEST)
    wanted = [item for item in parse(_injected(lab)) if _is_local(item)]
    lab.install(WEST, wanted)
    wait_rollout(lab.kubernetes(WEST), NAMESPACE, LOCAL, timeout_s=ROLLOUT_TIMEOUT_S, report=shown)
    shown.update(f"{', '.join(LOCAL)} run", key=WEST)


def _injected(lab: LabContext) -> str:
    return lab.linkerd(WEST).inject(manifest(lab.params.emojivoto_tag))


def _is_local(item: Object) -> bool:
    kind, name = item["kind"], item["metadata"]["name"]
    return kind in ("Deployment", "Service") and name != BOT


def remove_local(lab: LabContext) -> None:
    """Remove west's programs and their services; may be repeated."""
    west = lab.kubernetes(WEST)
    for name in LOCAL:
        west.delete("apps/v1", "Deployment", name, NAMESPACE)
    for name in SERVICES:
        west.delete("v1", "Service", name, NAMESPACE)
    for name in LOCAL:
        wait_gone(west, "apps/v1", "Deployment", name, NAMESPACE)


def weigh(lab: LabContext, *, west: int, east: int) -> None:
    """Share the votes out: weights of west's own service and of east's mirror."""
    weights = {"west": west, "east": east}
    backends: list[dict[str, Any]] = [
        {"name": service, "port": 80, "weight": weights[region]}
        for region, service in BACKENDS.items()
    ]
    parent = {"group": "core", "kind": "Service", "name": SERVICE, "port": 80}
    route = {
        "apiVersion": route_api(lab),
        "kind": "HTTPRoute",
        "metadata": {"name": ROUTE, "namespace": NAMESPACE},
        "spec": {"parentRefs": [parent], "rules": [{"backendRefs": backends}]},
    }
    lab.install(WEST, [route])


def remove_route(lab: LabContext) -> bool:
    """Remove the route; False when there was none."""
    return lab.kubernetes(WEST).delete(route_api(lab), "HTTPRoute", ROUTE, NAMESPACE)
