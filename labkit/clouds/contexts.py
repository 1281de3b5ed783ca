"""What two existing clusters must offer: reachable, different, with rights and load balancers.

Rights are asked by SelfSubjectAccessReview, so nothing is created. Whether a cluster can give a
Service of type LoadBalancer an address cannot be asked: an existing one is the proof, and a node of
a known cloud a good sign; otherwise it is a warning.
"""

import tempfile
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from labkit.certs import write_private
from labkit.clients.kubernetes import Kubernetes
from labkit.clients.kubernetes_connection import Connection
from labkit.clients.linkerd_support import supports
from labkit.clouds.commands import linkerd_version
from labkit.clouds.prerequisites import Prerequisite, Seen, bad, enough, odd, ok
from labkit.clouds.tools import merge_kubeconfigs
from labkit.errors import CommandError

ANSWER_S = 10.0
NEEDED = (
    ("", "namespaces", "create"),
    ("", "secrets", "create"),
    ("", "services", "create"),
    ("", "pods/portforward", "create"),
    ("apps", "deployments", "create"),
    ("apiextensions.k8s.io", "customresourcedefinitions", "create"),
    ("rbac.authorization.k8s.io", "clusterroles", "create"),
    ("rbac.authorization.k8s.io", "clusterrolebindings", "create"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "create"),
    ("apiregistration.k8s.io", "apiservices", "create"),
)
"""(group, resource, verb) of what the walk installs."""

_LOCAL_NODES = ("kind://", "k3s://", "minikube://")
Kubeconfig = Callable[[str], dict[str, Any]]


@contextmanager
def connected(kubeconfig: Kubeconfig, cluster: str) -> Iterator[Connection]:
    """A connection to one cluster; its credential is in a private file meanwhile."""
    with (
        _written(kubeconfig(cluster), cluster) as path,
        closing(Connection(path, cluster, cache_dir=path.parent, timeout_s=ANSWER_S)) as connection,
    ):
        yield connection


@contextmanager
def client(kubeconfig: Kubeconfig, cluster: str) -> Iterator[Kubernetes]:
    """A client of one cluster; its credential is in a private file meanwhile."""
    with (
        _written(kubeconfig(cluster), cluster) as path,
        closing(Kubernetes(path, cluster, cache_dir=path.parent)) as found,
    ):
        yield found


@contextmanager
def _written(config: dict[str, Any], cluster: str) -> Iterator[Path]:
    """A kubeconfig of one cluster in a private folder, certificates and keys as files of their own.

    The official client would write them itself, once for the whole process: into the folder of
    whoever asks first, and it is gone while others, who ask at the same time, still need it.
    """
    merged = merge_kubeconfigs({cluster: config})
    with tempfile.TemporaryDirectory(prefix="labkit-") as name:
        folder = Path(name)
        for kind in ("cluster", "user"):
            (item,) = merged[f"{kind}s"]
            entry = item[kind] = dict(item[kind])
            for key in [key for key in entry if key.endswith("-data") and entry[key]]:
                file = folder / key.removesuffix("-data")
                write_private(file, b64decode(entry.pop(key)))
                entry[file.name] = str(file)
        path = folder / "kubeconfig"
        write_private(path, yaml.safe_dump(merged).encode())
        yield path


def is_loopback(url: str) -> bool:
    """Whether a URL leads to whichever machine reads it."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def of_the_contexts(
    kubeconfig: Kubeconfig, contexts: Mapping[str, str | None], linkerd: tuple[str, ...]
) -> tuple[Prerequisite, ...]:
    """The questions to two contexts.

    Args:
        kubeconfig: a cluster's kubeconfig by name.
        contexts: cluster name → context of the user's kubeconfig.
        linkerd: the command, for the oldest Kubernetes that its version takes.
    """
    questions = []
    for name, context in contexts.items():
        kubectl = f"kubectl --context {context}"
        table = (
            ("reachable", "answers", f"{kubectl} version", _reachable),
            ("rights", "permits what the walk installs", f"{kubectl} auth can-i --list", _rights),
            (
                "load-balancers",
                "gives services of type LoadBalancer an address",
                "kind: run cloud-provider-kind; elsewhere install MetalLB",
                _load_balancers,
            ),
        )
        for key, title, fix, look in table:
            questions.append(
                Prerequisite(
                    f"{name}.{key}",
                    f"{name} ({context}) {title}",
                    fix,
                    _with(kubeconfig, name, look),
                    (name,),
                )
            )
        questions.append(
            Prerequisite(
                f"{name}.kubernetes",
                f"the Kubernetes version of {name} suits Linkerd",
                "upgrade the cluster, or take an older linkerd",
                _with(kubeconfig, name, lambda found: _version(found, linkerd)),
                (name,),
            )
        )
    questions.append(
        Prerequisite(
            "contexts.two-clusters",
            "the two contexts lead to two different clusters",
            "kubectl config get-contexts; then set west_context and east_context",
            lambda: _two(kubeconfig, tuple(contexts)),
            tuple(contexts),
        )
    )
    return tuple(questions)


def _with(
    kubeconfig: Kubeconfig, name: str, look: Callable[[Connection], Seen]
) -> Callable[[], Seen]:
    def asked() -> Seen:
        with connected(kubeconfig, name) as connection:
            return look(connection)

    return asked


def _reachable(connection: Connection) -> Seen:
    return ok(f"{connection.server} is {connection.version()}")


def _rights(connection: Connection) -> Seen:
    denied = [
        f"{verb} {resource}{'.' if group else ''}{group}"
        for group, resource, verb in NEEDED
        if not _may(connection, group, resource, verb)
    ]
    if denied:
        return bad(f"not permitted: {', '.join(denied)}")
    return ok(f"{len(NEEDED)} of {len(NEEDED)} rights granted")


def _may(connection: Connection, group: str, resource: str, verb: str) -> bool:
    name, _, sub = resource.partition("/")
    wanted = {"group": group, "resource": name, "verb": verb}
    if sub:
        wanted["subresource"] = sub
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": wanted},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answer = connection.json("POST", path, body=review, what=f"asking for {verb} {resource}")
    return bool((answer.get("status") or {}).get("allowed"))


def _load_balancers(connection: Connection) -> Seen:
    services = connection.json("GET", "/api/v1/services", what="list services").get("items") or []
    wanted = [item for item in services if item["spec"].get("type") == "LoadBalancer"]
    served = [
        item["metadata"]["name"]
        for item in wanted
        if ((item.get("status") or {}).get("loadBalancer") or {}).get("ingress")
    ]
    if served:
        return ok(f"service {served[0]} has an address")
    if wanted:
        return bad(f"service {wanted[0]['metadata']['name']} waits for an address")
    nodes = connection.json("GET", "/api/v1/nodes", what="list nodes").get("items") or []
    providers = {str(item["spec"].get("providerID") or "") for item in nodes}
    if providers and all(p and not p.startswith(_LOCAL_NODES) for p in providers):
        return ok(f"nodes of {min(providers).partition('://')[0]}, whose cloud serves them")
    return odd("no such service exists yet, and the nodes are of no known cloud")


def _version(connection: Connection, linkerd: tuple[str, ...]) -> Seen:
    try:
        version = linkerd_version(linkerd)
    except CommandError:
        version = ""
    if not version:
        return odd("cannot be told: no `linkerd` command")
    return enough(*supports(version, connection.version().removeprefix("v")))


def _two(kubeconfig: Kubeconfig, names: tuple[str, ...]) -> Seen:
    seen = {}
    for name in names:
        with connected(kubeconfig, name) as connection:
            path = "/api/v1/namespaces/kube-system"
            found = connection.json("GET", path, what="get Namespace kube-system")
            seen[name] = str(found["metadata"]["uid"])
    text = ", ".join(f"{name} is {uid[:8]}…" for name, uid in seen.items())
    return enough(len(set(seen.values())) == len(names), text)
