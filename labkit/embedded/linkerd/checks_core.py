"""The core's checks of `linkerd check`: API, existence, configuration, versions.

Deliberately absent: CNI, high availability, and a look at the internet for the newest version: this
command comes with its cloud and is as new as that.
"""

from collections.abc import Callable, Iterable

from labkit.embedded.linkerd.checking import Category, Check, Context, problem
from labkit.embedded.linkerd.checks_proxies import control_plane_pods, pods_running
from labkit.embedded.linkerd.version import VERSION, server_version

_MINIMUM = (1, 31)
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_DEPLOYMENTS = ("linkerd-identity", "linkerd-destination", "linkerd-proxy-injector")
_ROLES = (
    "linkerd-{ns}-identity",
    "linkerd-{ns}-destination",
    "linkerd-{ns}-proxy-injector",
    "linkerd-heartbeat",
)
_CRDS = (
    "authorizationpolicies.policy.linkerd.io",
    "egressnetworks.policy.linkerd.io",
    "httplocalratelimitpolicies.policy.linkerd.io",
    "httproutes.policy.linkerd.io",
    "meshtlsauthentications.policy.linkerd.io",
    "networkauthentications.policy.linkerd.io",
    "serverauthorizations.policy.linkerd.io",
    "servers.policy.linkerd.io",
    "serviceprofiles.linkerd.io",
    "externalworkloads.workload.linkerd.io",
)


def _nothing(_: Context) -> None:
    """Holds because the command got this far."""


def _version_answers(context: Context) -> None:
    context.memory["kubernetes"] = context.cluster.get("/version")


def _minimum_version(context: Context) -> None:
    found = context.memory["kubernetes"]["gitVersion"]
    major, minor = (int(part) for part in found.lstrip("v").split(".")[:2])
    if (major, minor) < _MINIMUM:
        wanted = ".".join(str(part) for part in _MINIMUM)
        raise problem(f"Kubernetes is on version [{found}], but version [{wanted}.0] is required")


def existing(path: str, names: Iterable[str], kind: str) -> Callable[[Context], None]:
    """A look that all objects of a collection exist; `{ns}` stands for the control plane's."""

    def look(context: Context) -> None:
        wanted = [name.format(ns=context.namespace) for name in names]
        items = context.cluster.list(path.format(ns=context.namespace))
        found = {item["metadata"]["name"] for item in items}
        missing = [name for name in wanted if name not in found]
        if missing:
            raise problem(f"missing {kind}: {', '.join(missing)}")

    return look


def _config_exists(context: Context) -> None:
    path = f"/api/v1/namespaces/{context.namespace}/configmaps/linkerd-config"
    if context.cluster.find(path) is None:
        raise problem(f'configmaps "linkerd-config" not found in namespace "{context.namespace}"')


def _replica_sets_ready(context: Context) -> None:
    items = context.cluster.list(f"/apis/apps/v1/namespaces/{context.namespace}/replicasets")
    lacking = [
        item["metadata"]["name"]
        for item in items
        if (item.get("status") or {}).get("readyReplicas", 0) < item["spec"].get("replicas", 0)
    ]
    if lacking:
        raise problem("Some replica sets are not ready:", lacking)


def _none_unschedulable(context: Context) -> None:
    stuck = [
        pod["metadata"]["name"]
        for pod in control_plane_pods(context)
        for condition in (pod.get("status") or {}).get("conditions") or []
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable"
    ]
    if stuck:
        raise problem("some pods are unschedulable:", stuck)


def _pods_ready(context: Context) -> None:
    pods_running(control_plane_pods(context), _DEPLOYMENTS)


def _namespace_exists(context: Context) -> None:
    if context.cluster.find(f"/api/v1/namespaces/{context.namespace}") is None:
        raise problem(f'The "{context.namespace}" namespace does not exist')


def _namespace_absent(context: Context) -> None:
    if context.cluster.find(f"/api/v1/namespaces/{context.namespace}") is not None:
        raise problem(f'The "{context.namespace}" namespace already exists')


def may(verb: str, resource: str, group: str = "") -> Callable[[Context], None]:
    """A look whether the user has a right in the cluster."""

    def look(context: Context) -> None:
        attributes = {"verb": verb, "resource": resource, "group": group}
        attributes["namespace"] = context.namespace
        answer = context.cluster.request(
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": attributes},
            },
        )
        if not (answer.get("status") or {}).get("allowed"):
            raise problem(f"not authorized to access {resource}{'.' + group if group else ''}")

    return look


def _server(context: Context) -> str:
    found = server_version(context.cluster, context.namespace)
    if found == "unavailable":
        raise problem("the control plane's version is not available")
    context.memory["server"] = found
    return found


def _server_known(context: Context) -> None:
    _server(context)


def _server_matches(context: Context) -> None:
    found = _server(context)
    if found != VERSION:
        raise problem(f"control plane running {found} but cli running {VERSION}")


def _extension_namespaces(context: Context) -> None:
    namespaces = context.cluster.list("/api/v1/namespaces", labelSelector="linkerd.io/extension")
    names = [item["metadata"]["labels"]["linkerd.io/extension"] for item in namespaces]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise problem("some extensions are installed in more than one namespace:", twice)


KUBERNETES_API = Category(
    "kubernetes-api",
    [
        Check("can initialize the client", _nothing, fatal=True),
        Check("can query the Kubernetes API", _version_answers, fatal=True),
    ],
)
KUBERNETES_VERSION = Category(
    "kubernetes-version",
    [Check("is running the minimum Kubernetes API version", _minimum_version)],
)
PRE_SETUP = Category(
    "pre-kubernetes-setup",
    [
        Check("control plane namespace does not already exist", _namespace_absent),
        Check("can create non-namespaced resources", may("create", "namespaces")),
        *(
            Check(f"can create {kind}", may("create", kind.lower(), group))
            for kind, group in (
                ("ServiceAccounts", ""),
                ("Services", ""),
                ("Deployments", "apps"),
                ("CronJobs", "batch"),
                ("ConfigMaps", ""),
                ("Secrets", ""),
            )
        ),
        Check("can read Secrets", may("get", "secrets")),
        Check("can read extension-apiserver-authentication configmap", may("get", "configmaps")),
    ],
)
CRDS = Category(
    "linkerd-crd",
    [
        Check(
            "control plane CustomResourceDefinitions exist",
            existing(_CRD, _CRDS, "CustomResourceDefinitions"),
            fatal=True,
        )
    ],
)
EXISTENCE = Category(
    "linkerd-existence",
    [
        Check("'linkerd-config' config map exists", _config_exists, fatal=True),
        Check(
            "heartbeat ServiceAccount exist",
            existing("/api/v1/namespaces/{ns}/serviceaccounts", ["linkerd-heartbeat"], "accounts"),
            fatal=True,
        ),
        Check("control plane replica sets are ready", _replica_sets_ready, retried=True),
        Check("no unschedulable pods", _none_unschedulable, fatal=True),
        Check("control plane pods are ready", _pods_ready, fatal=True, retried=True),
    ],
)
CONFIG = Category(
    "linkerd-config",
    [
        Check("control plane Namespace exists", _namespace_exists, fatal=True),
        Check(
            "control plane ClusterRoles exist",
            existing(f"{_RBAC}/clusterroles", [*_ROLES, "linkerd-policy"], "ClusterRoles"),
            fatal=True,
        ),
        Check(
            "control plane ClusterRoleBindings exist",
            existing(
                f"{_RBAC}/clusterrolebindings",
                [*_ROLES, "linkerd-destination-policy"],
                "ClusterRoleBindings",
            ),
            fatal=True,
        ),
        Check(
            "control plane ServiceAccounts exist",
            existing("/api/v1/namespaces/{ns}/serviceaccounts", _DEPLOYMENTS, "ServiceAccounts"),
            fatal=True,
        ),
        Check(
            "control plane CustomResourceDefinitions exist",
            existing(_CRD, _CRDS, "CustomResourceDefinitions"),
            fatal=True,
        ),
        Check(
            "control plane MutatingWebhookConfigurations exist",
            existing(
                f"{_ADMISSION}/mutatingwebhookconfigurations",
                ["linkerd-proxy-injector-webhook-config"],
                "MutatingWebhookConfigurations",
            ),
            fatal=True,
        ),
        Check(
            "control plane ValidatingWebhookConfigurations exist",
            existing(
                f"{_ADMISSION}/validatingwebhookconfigurations",
                ["linkerd-sp-validator-webhook-config", "linkerd-policy-validator-webhook-config"],
                "ValidatingWebhookConfigurations",
            ),
            fatal=True,
        ),
    ],
)
LINKERD_VERSION = Category(
    "linkerd-version",
    [
        Check("can determine the latest version", _nothing, warning=True),
        Check("cli is up-to-date", _nothing, warning=True),
    ],
)
CONTROL_PLANE_VERSION = Category(
    "control-plane-version",
    [
        Check("can retrieve the control plane version", _server_known, retried=True),
        Check("control plane is up-to-date", _server_matches, warning=True),
        Check("control plane and cli versions match", _server_matches, warning=True),
    ],
)
EXTENSIONS = Category(
    "linkerd-extension-checks",
    [Check("namespace configuration for extensions", _extension_namespaces, warning=True)],
)
