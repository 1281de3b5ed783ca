"""East is lost to west, and found again: the network between them, or the way to the gateway.

Where a cloud emulates its network, nothing passes any more. Where the network is a real one, the
gateway's Service loses its pods, and its pods are new ones, so that open connections end: a
connection outlives its endpoint, and as long as the old pod lives nobody notices anything.
"""

from labkit.chapters.multicluster_link import GATEWAY, NAMESPACE
from labkit.clients.rollouts import wait_rollout
from labkit.context import EAST, LabContext

SERVICE = ("v1", "Service", GATEWAY, NAMESPACE)
APP = GATEWAY
"""Label `app` of the gateway's pods, which its Service selects by."""
NOBODY = f"{GATEWAY}-blue"
"""What the Service selects while the gateway is lost: no pod has it."""
ROLLOUT_TIMEOUT_S = 300.0


def hide_gateway(lab: LabContext) -> None:
    """Let the Service select nobody, and end the connections that are open."""
    east = lab.kubernetes(EAST)
    _select(lab, NOBODY)
    for pod in east.list("v1", "Pod", NAMESPACE, labels=f"app={APP}"):
        east.delete("v1", "Pod", pod["metadata"]["name"], NAMESPACE)
    wait_rollout(east, NAMESPACE, [GATEWAY], timeout_s=ROLLOUT_TIMEOUT_S)


def _select(lab: LabContext, app: str) -> None:
    lab.kubernetes(EAST).patch(*SERVICE, body={"spec": {"selector": {"app": app}}})


def show_gateway(lab: LabContext) -> None:
    """Select the gateway's pods again; may be repeated, also without a gateway."""
    found = lab.kubernetes(EAST).get(*SERVICE)
    if found is not None and (found["spec"].get("selector") or {}).get("app") == NOBODY:
        _select(lab, APP)


def lose(lab: LabContext) -> str:
    """East is lost; how, in a few words."""
    control = lab.cloud.wan()
    if control is not None:
        control.set(blackhole=True)
        return "the network between the regions swallows everything"
    hide_gateway(lab)
    return "nobody stands behind east's gateway"


def find_again(lab: LabContext) -> None:
    """East is there again; may be repeated."""
    control = lab.cloud.wan()
    if control is not None and control.show().now.blackhole:
        control.set(blackhole=False)
    show_gateway(lab)
