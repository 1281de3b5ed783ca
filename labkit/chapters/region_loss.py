"""East is lost to west, and found again: the network between them, or the way to the gateway.

Where a cloud emulates its network, nothing passes any more. Where the network is a real one, the
gateway's Service loses its pods, and its pods are new ones, so that open connections end: a
connection outlives its endpoint, and as long as the old pod lives nobody notices anything.
"""

from labkit.chapters.multicluster_link import GATEWAY, NAMESPACE
from labkit.clients.rollouts import wait_rollout
from labkit.context import EAST, LabContext
from labkit.errors import KubernetesError, StateError

SERVICE = ("v1", "Service", GATEWAY, NAMESPACE)
NOBODY = f"{GATEWAY}-blue"
"""What the Service selects by `app` while the gateway is lost: no pod has it."""
ROLLOUT_TIMEOUT_S = 300.0
_NOT_FOUND = 404


def selected_app(lab: LabContext) -> str:
    """Which pods the gateway's Service selects.

    Raises:
        StateError: it selects them in another way than Linkerd's own.
    """
    selector = lab.kubernetes(EAST).require(*SERVICE)["spec"].get("selector") or {}
    if selector.get("app") in (None, NOBODY):
        raise StateError(
            f"The Service {NAMESPACE}/{GATEWAY} of {EAST} does not select the gateway's pods",
            seen=str(selector),
            fix="`labkit reset 04`, then `labkit solve 08`",
        )
    return str(selector["app"])


def _select(lab: LabContext, app: str) -> None:
    lab.kubernetes(EAST).patch(*SERVICE, body={"spec": {"selector": {"app": app}}})


def hide_gateway(lab: LabContext, app: str) -> None:
    """Let the Service select nobody, and end the connections that are open.

    Args:
        lab: the lab.
        app: what the Service selects, as `selected_app` tells.
    """
    east = lab.kubernetes(EAST)
    _select(lab, NOBODY)
    for pod in east.list("v1", "Pod", NAMESPACE, labels=f"app={app}"):
        east.delete("v1", "Pod", pod["metadata"]["name"], NAMESPACE)
    wait_rollout(east, NAMESPACE, [GATEWAY], timeout_s=ROLLOUT_TIMEOUT_S)


def show_gateway(lab: LabContext, app: str) -> None:
    """Select the gateway's pods again; may be repeated, also without a gateway."""
    try:
        _select(lab, app)
    except KubernetesError as error:
        if error.status != _NOT_FOUND:
            raise


def lose(lab: LabContext, app: str) -> str:
    """East is lost; how, in a few words.

    Args:
        lab: the lab.
        app: what the gateway's Service selects, as `selected_app` tells.
    """
    control = lab.cloud.wan()
    if control is not None:
        control.set(blackhole=True)
        return "the network between the regions swallows everything"
    hide_gateway(lab, app)
    return "nobody stands behind east's gateway"


def find_again(lab: LabContext, app: str) -> None:
    """East is there again; may be repeated."""
    control = lab.cloud.wan()
    if control is not None and control.show().now.blackhole:
        control.set(blackhole=False)
    show_gateway(lab, app)
