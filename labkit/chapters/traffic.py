"""Chapter 07: the robot in west votes in east."""

from collections.abc import Callable, Mapping

from prometheus_client.parser import text_string_to_metric_families

from labkit.chapters.emojivoto import NAMESPACE
from labkit.chapters.mirror import MIRROR, SERVICE
from labkit.chapters.multicluster_link import GATEWAY
from labkit.chapters.multicluster_link import NAMESPACE as MULTICLUSTER
from labkit.checks import Check, Finding, Reason, passed
from labkit.clients.rollouts import wait_for, wait_rollout
from labkit.context import EAST, WEST, LabContext
from labkit.display import Step, Table
from labkit.errors import LabkitError
from labkit.progress import Progress, progress

BOT = "vote-bot"
TARGET = f"{MIRROR}.{NAMESPACE}:80"
OWN = f"{SERVICE}.{NAMESPACE}:80"
"""Where the manifest points the robot."""
ROLLOUT_TIMEOUT_S = 300.0
TRAFFIC_TIMEOUT_S = 120.0
VANTAGE = {WEST: "vote-bot's proxy, outbound", EAST: "the gateway's proxy, outbound"}
"""Cluster → where its requests are counted."""


def redirect(lab: LabContext) -> Step:
    """Point the robot at the mirrored service and wait until requests arrive in east."""
    with progress("Redirecting the votes") as shown:
        if web_host(lab) != TARGET:
            point(lab, TARGET)
        wait_robot(lab, shown)
        wait_for(
            lambda: _flows(lab),
            what="requests from west to arrive at east's gateway",
            timeout_s=TRAFFIC_TIMEOUT_S,
            fix=f"kubectl --context west -n {NAMESPACE} logs deploy/{BOT} -c vote-bot",
            report=shown,
        )
    rows = [
        {"measured at": where, "requests so far": f"{requests(lab, cluster):.0f}"}
        for cluster, where in VANTAGE.items()
    ]
    return Step(
        "The robot in west votes in east.",
        by_hand=(
            f"kubectl --context west -n {NAMESPACE} set env deploy/{BOT} WEB_HOST={TARGET}",
            f"kubectl --context west -n {NAMESPACE} rollout status deploy/{BOT}",
            (
                "linkerd --context east diagnostics proxy-metrics "
                f"-n {MULTICLUSTER} deploy/{GATEWAY} | grep ^request_total"
            ),
        ),
        table=Table.of(rows),
        notes=("Counted by the proxies themselves (request_total), since each started.",),
    )


STEPS = (redirect,)


def undo(lab: LabContext) -> None:
    """Point the robot at west's own service again, where nobody answers."""
    with progress("Taking the redirection back") as shown:
        if not is_there(lab):
            return
        if web_host(lab) != OWN:
            point(lab, OWN)
        wait_robot(lab, shown)


def point(lab: LabContext, host: str) -> None:
    """Tell the robot where to vote; it starts anew."""
    container = {"name": BOT, "env": [{"name": "WEB_HOST", "value": host}]}
    lab.kubernetes(WEST).patch(
        "apps/v1",
        "Deployment",
        BOT,
        NAMESPACE,
        body={"spec": {"template": {"spec": {"containers": [container]}}}},
        how="strategic",
    )


def wait_robot(lab: LabContext, shown: Progress) -> None:
    """Wait until the robot is rolled out."""
    wait_rollout(lab.kubernetes(WEST), NAMESPACE, [BOT], timeout_s=ROLLOUT_TIMEOUT_S, report=shown)


def is_there(lab: LabContext) -> bool:
    """Whether west has the robot."""
    return lab.kubernetes(WEST).get("apps/v1", "Deployment", BOT, NAMESPACE) is not None


def web_host(lab: LabContext) -> str:
    """Where the robot votes."""
    deployment = lab.kubernetes(WEST).require("apps/v1", "Deployment", BOT, NAMESPACE)
    for container in deployment["spec"]["template"]["spec"]["containers"]:
        for item in container.get("env") or []:
            if item["name"] == "WEB_HOST":
                return str(item.get("value", ""))
    return ""


def requests(lab: LabContext, cluster: str) -> float:
    """Requests to east that a proxy has counted: vote-bot's in west, the gateway's in east."""
    if cluster == WEST:
        text = lab.linkerd(WEST).proxy_metrics(f"deploy/{BOT}", NAMESPACE)
        wanted = {"direction": "outbound", "dst_target_cluster": EAST}
    else:
        text = lab.linkerd(EAST).proxy_metrics(f"deploy/{GATEWAY}", MULTICLUSTER)
        wanted = {"direction": "outbound", "dst_namespace": NAMESPACE}
    return total(text, "request_total", wanted)


def answered(lab: LabContext) -> float:
    """Requests to east that were answered well, as vote-bot's proxy has counted them."""
    text = lab.linkerd(WEST).proxy_metrics(f"deploy/{BOT}", NAMESPACE)
    wanted = {"direction": "outbound", "dst_target_cluster": EAST, "status_code": "200"}
    return total(text, "response_total", wanted)


def total(text: str, name: str, wanted: Mapping[str, str]) -> float:
    """Sum of the series of a counter that have some labels.

    Args:
        text: what proxies tell, in Prometheus' text format.
        name: of the counter.
        wanted: labels with their values.
    """
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and wanted.items() <= sample.labels.items()
    )


def _flows(lab: LabContext) -> tuple[bool, str]:
    try:
        seen = {cluster: requests(lab, cluster) for cluster in VANTAGE}
    except LabkitError as error:
        return False, str(error)
    text = ", ".join(f"{VANTAGE[name]}: {count:.0f} requests" for name, count in seen.items())
    return all(count > 0 for count in seen.values()), text


_NOTHING = Reason(
    "{where} ({cluster}) has counted no request from west to east since it started", coming=True
)
_OTHER_HOST = Reason(f"the robot asks {{host}}; the mirrored service is {TARGET}")


def _counted(cluster: str) -> Callable[[LabContext], Finding]:
    def look(lab: LabContext) -> Finding:
        count = requests(lab, cluster)
        if count <= 0:
            return _NOTHING.seen(where=VANTAGE[cluster], cluster=cluster)
        return passed(f"{count:.0f} requests counted at {VANTAGE[cluster]}")

    return look


def _host(lab: LabContext) -> Finding:
    found = web_host(lab)
    return passed(f"WEB_HOST={found}") if found == TARGET else _OTHER_HOST.seen(host=found)


CHECKS = (
    Check(
        id="07.web-host",
        title="the robot is pointed at the mirrored service",
        clusters=(WEST,),
        proves="it needs to know nothing of clusters or regions",
        fix=f"kubectl --context west -n {NAMESPACE} set env deploy/{BOT} WEB_HOST={TARGET}",
        look=_host,
        reasons=(_OTHER_HOST,),
    ),
    Check(
        id="07.sends",
        title="requests leave west for east",
        clusters=(WEST,),
        proves="the redirection works at the source",
        fix=f"kubectl --context west -n {NAMESPACE} logs deploy/{BOT} -c vote-bot",
        look=_counted(WEST),
        reasons=(_NOTHING,),
    ),
    Check(
        id="07.arrives",
        title="requests pass east's gateway",
        clusters=(EAST,),
        proves="they arrive in the other region",
        fix="linkerd --context west multicluster gateways",
        look=_counted(EAST),
        reasons=(_NOTHING,),
    ),
)
