"""Chapter 05: emojivoto on both sides, each program with its proxy, then split over the ocean."""

from functools import partial
from importlib.resources import files

from labkit.checks import Check, Finding, Reason, passed
from labkit.clients.manifests import Object
from labkit.clients.rollouts import remove_namespace, wait_for, wait_rollout
from labkit.context import CLUSTERS, EAST, WEST, LabContext, in_both
from labkit.display import Step, Table
from labkit.progress import Progress, progress

NAMESPACE = "emojivoto"
ALL = ("emoji", "vote-bot", "voting", "web")
KEPT = {WEST: ("vote-bot",), EAST: ("emoji", "voting", "web")}
SERVICES = ("emoji-svc", "voting-svc", "web-svc")
PROXY = "linkerd-proxy"
ROLLOUT_TIMEOUT_S = 300.0
GONE_TIMEOUT_S = 120.0


def manifest(tag: str) -> str:
    """The application's manifest with an image tag."""
    text = (files("labkit") / "data" / "emojivoto.yml").read_text()
    return text.replace(":v11", f":{tag}")


def deploy(lab: LabContext) -> Step:
    """Inject the manifest and apply it to both clusters; what was split stays split."""
    with progress("Deploying emojivoto") as shown:
        in_both(partial(_deploy, lab, shown))
    return Step(
        "emojivoto runs in both clusters, injected.",
        by_hand=(
            "for ctx in west east; do",
            "  linkerd inject emojivoto.yml | kubectl --context $ctx apply -f -",
            "done",
        ),
        table=Table.of(workload_rows(lab)),
    )


def _deploy(lab: LabContext, shown: Progress, cluster: str) -> None:
    kubernetes = lab.kubernetes(cluster)
    lab.require_own(cluster, NAMESPACE)
    if set(_deployments(lab, cluster)) >= set(KEPT[cluster]):
        shown.update("already there", key=cluster)
    else:
        shown.update("applying", key=cluster)
        lab.install(cluster, lab.linkerd(cluster).inject(manifest(lab.params.emojivoto_tag)))
    names = _deployments(lab, cluster)
    wait_rollout(kubernetes, NAMESPACE, names, timeout_s=ROLLOUT_TIMEOUT_S, report=shown)
    shown.update(f"{len(names)} deployments ready", key=cluster)


def split(lab: LabContext) -> Step:
    """West keeps the robot only; east keeps everything but the robot."""
    with progress("Splitting emojivoto") as shown:
        for cluster in CLUSTERS:
            lab.require_own(cluster, NAMESPACE)
            kubernetes = lab.kubernetes(cluster)
            for name in set(ALL) - set(KEPT[cluster]):
                kubernetes.delete("apps/v1", "Deployment", name, NAMESPACE)
            if cluster == WEST:
                for name in SERVICES:
                    kubernetes.delete("v1", "Service", name, NAMESPACE)
            wait_for(
                partial(_only_kept, lab, cluster),
                what=f"emojivoto in {cluster} to be {', '.join(KEPT[cluster])} only",
                timeout_s=GONE_TIMEOUT_S,
                fix=f"kubectl --context {cluster} -n {NAMESPACE} get deploy,pods",
                report=shown,
                key=cluster,
                told=f"{', '.join(KEPT[cluster])} to be all that is left",
            )
    return Step(
        "West keeps the robot, east keeps the application.",
        by_hand=(
            f"kubectl --context west -n {NAMESPACE} delete deploy voting web emoji",
            f"kubectl --context west -n {NAMESPACE} delete svc voting-svc web-svc emoji-svc",
            f"kubectl --context east -n {NAMESPACE} delete deploy vote-bot",
        ),
        table=Table.of(workload_rows(lab)),
    )


STEPS = (deploy, split)


def undo(lab: LabContext) -> None:
    """Remove emojivoto from both clusters."""
    for cluster in CLUSTERS:
        lab.require_own(cluster, NAMESPACE)
    with progress("Removing emojivoto") as shown:
        in_both(lambda cluster: remove_namespace(lab.kubernetes(cluster), NAMESPACE, report=shown))


def _deployments(lab: LabContext, cluster: str) -> list[str]:
    found = lab.kubernetes(cluster).list("apps/v1", "Deployment", NAMESPACE)
    return sorted(item["metadata"]["name"] for item in found)


def _only_kept(lab: LabContext, cluster: str) -> tuple[bool, str]:
    pods = lab.kubernetes(cluster).list("v1", "Pod", NAMESPACE)
    names = sorted({_workload(pod["metadata"]["name"]) for pod in pods})
    done = tuple(names) == KEPT[cluster] and tuple(_deployments(lab, cluster)) == KEPT[cluster]
    return done, f"pods of {', '.join(names) or 'nothing'}"


def _workload(pod: str) -> str:
    """Name of the deployment that a pod belongs to."""
    return pod.rsplit("-", 2)[0]


def workload_rows(lab: LabContext) -> list[dict[str, object]]:
    """One row a pod: where it is and whether it has a proxy."""
    return [
        {
            "cluster": cluster,
            "workload": _workload(pod["metadata"]["name"]),
            "pod": pod["metadata"]["name"],
            "phase": (pod.get("status") or {}).get("phase", ""),
            "proxy": "yes" if has_proxy(pod) else "no",
        }
        for cluster in CLUSTERS
        for pod in lab.kubernetes(cluster).list("v1", "Pod", NAMESPACE)
    ]


def has_proxy(pod: Object) -> bool:
    """Whether a pod has a Linkerd proxy, as a container or as a native sidecar."""
    spec = pod["spec"]
    containers = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    return any(item["name"] == PROXY for item in containers)


def _workloads(cluster: str) -> Check:
    kubectl = f"kubectl --context {cluster} -n {NAMESPACE}"
    missing = Reason(f"{{names}} missing from namespace {NAMESPACE} of {cluster}")
    extra = Reason(
        f"{{names}} in namespace {NAMESPACE} of {cluster} is one too many",
        fix=f"{kubectl} delete deploy {{targets}}",
    )

    def look(lab: LabContext) -> Finding:
        found = _deployments(lab, cluster)
        if absent := [name for name in KEPT[cluster] if name not in found]:
            return missing.seen(names=", ".join(absent))
        if more := [name for name in found if name not in KEPT[cluster]]:
            return extra.seen(names=", ".join(more), targets=" ".join(more))
        return passed(", ".join(found))

    return Check(
        id=f"05.workloads-{cluster}",
        title=f"{cluster} runs exactly {', '.join(KEPT[cluster])}",
        clusters=(cluster,),
        proves="a vote must cross the ocean to be counted",
        fix="labkit solve 05",
        look=look,
        reasons=(missing, extra),
    )


def _proxies(cluster: str) -> Check:
    without = Reason(
        f"pods in {cluster} without a proxy: {{names}}",
        # a pod is injected when it is made; its deployment makes another one
        fix=f"kubectl --context {cluster} -n {NAMESPACE} delete pod {{targets}}",
    )
    none = Reason(f"namespace {NAMESPACE} of {cluster} has no pods", coming=True)

    def look(lab: LabContext) -> Finding:
        pods = lab.kubernetes(cluster).list("v1", "Pod", NAMESPACE)
        bare = [pod["metadata"]["name"] for pod in pods if not has_proxy(pod)]
        if bare:
            return without.seen(names=", ".join(bare), targets=" ".join(bare))
        if not pods:
            return none.seen()
        return passed(f"{len(pods)} of {len(pods)} pods have one")

    return Check(
        id=f"05.proxies-{cluster}",
        title=f"every pod of emojivoto in {cluster} has a proxy",
        clusters=(cluster,),
        proves="its traffic is encrypted and measured",
        fix="labkit solve 05",
        look=look,
        reasons=(without, none),
    )


CHECKS = tuple(make(name) for name in CLUSTERS for make in (_workloads, _proxies))
