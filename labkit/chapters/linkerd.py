"""Chapter 03: Linkerd's control plane and viz in both clusters, under one trust anchor."""

from labkit.certs import fingerprint
from labkit.chapters import trust_anchor
from labkit.checks import Check, Finding, Reason, passed
from labkit.clients.linkerd import CheckReport
from labkit.clients.linkerd_values import is_installed_already
from labkit.clients.manifests import parse
from labkit.clients.rollouts import remove_namespace, wait_rollout
from labkit.context import CLUSTERS, LabContext, in_both
from labkit.display import Step, Table
from labkit.errors import CommandError
from labkit.progress import Progress, progress

NAMESPACE = "linkerd"
VIZ_NAMESPACE = "linkerd-viz"
ABSENT = "-"
CONTROL_PLANE = ("linkerd-identity", "linkerd-destination", "linkerd-proxy-injector")
VIZ = ("metrics-api", "prometheus", "tap", "tap-injector", "web")
ROLLOUT_TIMEOUT_S = 300.0
_APPS = "apps/v1"
_WEBHOOK = ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration")
_INJECTOR = (*_WEBHOOK, "linkerd-proxy-injector-webhook-config")
_TAP_INJECTOR = (*_WEBHOOK, "linkerd-tap-injector-webhook-config")
"""What is applied last, so that it tells whether all of an install was applied."""


def install(lab: LabContext) -> Step:
    """Install CRDs and control plane where they are missing."""
    with progress("Installing Linkerd") as shown:

        def work(cluster: str) -> None:
            lab.require_own(cluster, NAMESPACE)
            _install_crds(lab, cluster, shown)
            _install_control_plane(lab, cluster, shown)
            wait_rollouts(lab, cluster, NAMESPACE, CONTROL_PLANE, shown)

        in_both(work)
    return Step(
        "Linkerd's control plane runs in both clusters.",
        by_hand=(
            "for ctx in west east; do",
            "  linkerd --context $ctx install --crds | kubectl --context $ctx apply -f -",
            "  linkerd --context $ctx install --identity-trust-anchors-file root.crt \\",
            "    --identity-issuer-certificate-file issuer.crt \\",
            "    --identity-issuer-key-file issuer.key | kubectl --context $ctx apply -f -",
            "done",
        ),
        table=Table.of(rollout_rows(lab, NAMESPACE, CONTROL_PLANE)),
    )


def _install_crds(lab: LabContext, cluster: str, shown: Progress) -> None:
    kubernetes = lab.kubernetes(cluster)
    if kubernetes.get("v1", "ConfigMap", "linkerd-config", NAMESPACE) is not None:
        return  # it came after them, and linkerd does not render them any more
    gateway_api = kubernetes.get(CRD_API, CRD, "httproutes.gateway.networking.k8s.io") is not None
    # before 2.18 there is no such value, and the Gateway API is not needed
    wanted = not gateway_api and lab.linkerd(cluster).profile == "current"
    text = lab.linkerd(cluster).install_crds(install_gateway_api=wanted)
    known = {item["metadata"]["name"] for item in kubernetes.list(CRD_API, CRD)}
    if not {item["metadata"]["name"] for item in parse(text)} <= known:  # missing, or cut off
        shown.update("applying CRDs", key=cluster)
        lab.install(cluster, text)


CRD_API, CRD = "apiextensions.k8s.io/v1", "CustomResourceDefinition"


def _install_control_plane(lab: LabContext, cluster: str, shown: Progress) -> None:
    kubernetes = lab.kubernetes(cluster)
    if kubernetes.get("v1", "ConfigMap", "linkerd-config", NAMESPACE) is not None:
        if _complete_install(lab, cluster, NAMESPACE, CONTROL_PLANE, _INJECTOR):
            return
        # An install that was cut off: linkerd refuses to render as long as its mark is there.
        kubernetes.delete("v1", "ConfigMap", "linkerd-config", NAMESPACE)
    shown.update("applying the control plane", key=cluster)
    root, _ = trust_anchor.files(lab, "root")
    issuer, key = trust_anchor.files(lab, "issuer")
    trust_anchor.read(lab, "issuer")
    try:
        text = lab.linkerd(cluster).install(anchors=root, issuer=issuer, issuer_key=key)
    except CommandError as error:
        if is_installed_already(error.stderr):
            return  # by somebody else meanwhile
        raise
    lab.install(cluster, text)


def _complete_install(
    lab: LabContext, cluster: str, namespace: str, names: tuple[str, ...], last: tuple[str, ...]
) -> bool:
    """Whether an install went to its end: its deployments and what is applied last are there."""
    kubernetes = lab.kubernetes(cluster)
    found = {item["metadata"]["name"] for item in kubernetes.list(_APPS, "Deployment", namespace)}
    return found >= set(names) and kubernetes.get(*last) is not None


def install_viz(lab: LabContext) -> Step:
    """Install viz where it is missing."""
    with progress("Installing viz") as shown:

        def work(cluster: str) -> None:
            lab.require_own(cluster, VIZ_NAMESPACE)
            # Each rendering makes new certificates: only what is missing or cut off is rendered.
            if not _complete_install(lab, cluster, VIZ_NAMESPACE, VIZ, _TAP_INJECTOR):
                shown.update("applying viz", key=cluster)
                lab.install(cluster, lab.linkerd(cluster).viz_install())
            wait_rollouts(lab, cluster, VIZ_NAMESPACE, VIZ, shown)

        in_both(work)
    return Step(
        "viz runs in both clusters.",
        by_hand=(
            "for ctx in west east; do",
            "  linkerd --context $ctx viz install | kubectl --context $ctx apply -f -",
            "done",
        ),
        table=Table.of(rollout_rows(lab, VIZ_NAMESPACE, VIZ)),
    )


STEPS = (install, install_viz)


def undo(lab: LabContext) -> None:
    """Uninstall viz and the control plane from both clusters."""
    with progress("Uninstalling Linkerd") as shown:

        def work(cluster: str) -> None:
            kubernetes, command = lab.kubernetes(cluster), lab.linkerd(cluster)
            for namespace, uninstall in (
                (VIZ_NAMESPACE, command.viz_uninstall),
                (NAMESPACE, command.uninstall),
            ):
                lab.require_own(cluster, namespace)
                if kubernetes.get("v1", "Namespace", namespace) is not None:
                    kubernetes.delete_all(uninstall())
                    remove_namespace(kubernetes, namespace, report=shown)

        in_both(work)


def wait_rollouts(
    lab: LabContext, cluster: str, namespace: str, names: tuple[str, ...], shown: Progress
) -> None:
    """Wait until deployments are rolled out, saying which one is awaited."""
    wait_rollout(
        lab.kubernetes(cluster), namespace, names, timeout_s=ROLLOUT_TIMEOUT_S, report=shown
    )
    ready = f"{len(names)} deployments" if len(names) > 1 else names[0]
    shown.update(f"{ready} ready in {namespace}", key=cluster)


def rollout_rows(
    lab: LabContext, namespace: str, names: tuple[str, ...]
) -> list[dict[str, object]]:
    """One row a deployment, ready replicas of each cluster beside each other."""
    rows: list[dict[str, object]] = []
    for name in names:
        row: dict[str, object] = {"deployment": f"{namespace}/{name}"}
        for cluster in CLUSTERS:
            row[cluster] = _ready_text(lab, cluster, namespace, name)
        rows.append(row)
    return rows


def _ready_text(lab: LabContext, cluster: str, namespace: str, name: str) -> str:
    found = lab.kubernetes(cluster).get("apps/v1", "Deployment", name, namespace)
    if found is None:
        return ABSENT
    status = found.get("status") or {}
    return f"{status.get('readyReplicas') or 0}/{found['spec'].get('replicas', 1)} ready"


def deployments_check(
    check_id: str,
    cluster: str,
    namespace: str,
    names: tuple[str, ...],
    *,
    title: str,
    proves: str,
) -> Check:
    """A check that deployments of one namespace are ready."""
    kubectl = f"kubectl --context {cluster} -n {namespace}"
    missing = Reason(
        f"{{names}} missing from namespace {namespace} of {cluster}",
        fix=f"labkit solve {check_id[:2]}",
    )
    stopped = Reason(
        f"{{names}} in namespace {namespace} of {cluster}: scaled to 0",
        fix=f"{kubectl} scale --replicas 1 {{objects}}",
    )
    rolling = Reason(f"{{names}} in namespace {namespace} of {cluster}", coming=True)

    def look(lab: LabContext) -> Finding:
        states = {name: _ready_text(lab, cluster, namespace, name) for name in names}
        if absent := [name for name, state in states.items() if state == ABSENT]:
            return missing.seen(names=", ".join(absent))
        if zero := [name for name, state in states.items() if "/0 " in state]:
            objects = " ".join(f"deploy/{name}" for name in zero)
            return stopped.seen(names=", ".join(zero), objects=objects)
        if waiting := [f"{name} {s}" for name, s in states.items() if not _complete(s)]:
            return rolling.seen(names=", ".join(waiting))
        return passed(f"{len(names)} of {len(names)} deployments ready")

    return Check(
        id=check_id,
        title=title,
        clusters=(cluster,),
        proves=proves,
        fix=f"{kubectl} describe pods",
        look=look,
        reasons=(missing, stopped, rolling),
    )


def _complete(state: str) -> bool:
    ready, _, rest = state.partition("/")
    return ready == rest.partition(" ")[0]


def anchors(lab: LabContext, cluster: str) -> str:
    """Fingerprint of the trust anchor that a cluster's proxies use."""
    found = lab.kubernetes(cluster).require(
        "v1", "ConfigMap", "linkerd-identity-trust-roots", NAMESPACE
    )
    return fingerprint(found["data"]["ca-bundle.crt"].encode())


_OTHER_ANCHOR = Reason("{anchors}")


def _same_anchor(lab: LabContext) -> Finding:
    own = trust_anchor.read(lab, "root").fingerprint
    seen = {cluster: anchors(lab, cluster) for cluster in CLUSTERS}
    text = f"the lab's is {own[:11]}…; "
    text += ", ".join(f"{name} uses {value[:11]}…" for name, value in seen.items())
    return passed(text) if set(seen.values()) == {own} else _OTHER_ANCHOR.seen(anchors=text)


def linkerd_check(check_id: str, cluster: str) -> Check:
    """A check that `linkerd check` finds no error in one cluster."""

    def look(lab: LabContext) -> Finding:
        return judged(lab.linkerd(cluster).check(wait_s=0))

    return Check(
        id=check_id,
        title=f"`linkerd check` finds no error in {cluster}",
        clusters=(cluster,),
        proves="Linkerd itself says that its installation is sound",
        fix=f"linkerd --context {cluster} check",
        look=look,
        reasons=(ERRORS,),
        limit_s=COMMAND_LIMIT_S,
    )


ERRORS = Reason("{errors}", coming=True)
COMMAND_LIMIT_S = 30.0
"""On real clusters `linkerd check` takes ten seconds and more."""


def judged(report: CheckReport) -> Finding:
    """What `linkerd check` has found, in its own words."""
    if report.errors:
        told = [f"{item.description}: {_one_line(item.error)}" for item in report.errors]
        return ERRORS.seen(errors="; ".join(told))
    return passed(f"{len(report.checks)} checks, {len(report.warnings)} with a warning")


def _one_line(text: str) -> str:
    return " ".join(text.split())


CHECKS = (
    *(
        deployments_check(
            f"03.control-plane-{name}",
            name,
            NAMESPACE,
            CONTROL_PLANE,
            title=f"the control plane of {name} is ready",
            proves="nothing of the mesh works without it",
        )
        for name in CLUSTERS
    ),
    *(
        deployments_check(
            f"03.viz-{name}",
            name,
            VIZ_NAMESPACE,
            VIZ,
            title=f"viz of {name} is ready",
            proves="without it nothing is tapped and nothing counted",
        )
        for name in CLUSTERS
    ),
    Check(
        id="03.same-anchor",
        title="both clusters use the lab's trust anchor",
        clusters=CLUSTERS,
        proves="proxies of one cluster can verify proxies of the other",
        fix="labkit reset 03; labkit solve 03  # an anchor cannot be changed in place",
        look=_same_anchor,
        reasons=(_OTHER_ANCHOR,),
    ),
    *(linkerd_check(f"03.linkerd-check-{name}", name) for name in CLUSTERS),
)
