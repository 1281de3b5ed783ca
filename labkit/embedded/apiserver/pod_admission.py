"""What the server adds to a new pod: its service account and token volume, priority, tolerations.

The built-in admission plugins ServiceAccount, Priority and DefaultTolerationSeconds.
"""

from labkit.embedded.apiserver import status
from labkit.embedded.apiserver.backend import Backend
from labkit.embedded.apiserver.requests import Call
from labkit.embedded.apiserver.store import Object
from labkit.embedded.apiserver.strategies import generate_name

_TOLERATION_S = 300
_PRIORITIES = "scheduling.k8s.io/priorityclasses"
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"


def complete(backend: Backend, call: Call, pod: Object) -> None:
    """Fill in a new pod; 403 when an account or class that it names does not exist."""
    spec = pod.setdefault("spec", {})
    if not isinstance(spec, dict) or not spec.get("containers"):
        return
    _add_account(backend, call, pod, spec)
    _add_priority(backend, pod, spec)
    _check_runtime(backend, pod, spec)
    tolerate_short_outages(spec)


def _add_account(backend: Backend, call: Call, pod: Object, spec: Object) -> None:
    name = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    entry = backend.store.get("serviceaccounts", call.namespace, name)
    if entry is None:
        raise status.forbidden(
            "pods",
            _name(pod),
            f"error looking up service account {call.namespace}/{name}:"
            f' serviceaccount "{name}" not found',
        )
    account = entry.obj
    if account.get("imagePullSecrets") and not spec.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [dict(secret) for secret in account["imagePullSecrets"]]
    wanted = spec.get("automountServiceAccountToken")
    if wanted is None:
        wanted = account.get("automountServiceAccountToken", True)
    if wanted:
        _mount_token(spec)


def _name(pod: Object) -> str:
    """As in a refusal: real servers generate names only after admission."""
    metadata = pod["metadata"]
    return str(metadata.get("generateName") or metadata.get("name", ""))


def _add_priority(backend: Backend, pod: Object, spec: Object) -> None:
    """The number of its class, or of the default class; nobody may give another."""
    name = spec.get("priorityClassName", "")
    if name:
        entry = backend.store.get(_PRIORITIES, "", name)
        if entry is None:
            why = f"no PriorityClass with name {name} was found"
            raise status.forbidden("pods", _name(pod), why)
        chosen: Object = entry.obj
    else:
        defaults = [e.obj for e in backend.store.entries(_PRIORITIES) if e.obj.get("globalDefault")]
        chosen = min(defaults, key=lambda found: int(found.get("value", 0)), default={})
        if chosen:
            spec["priorityClassName"] = chosen["metadata"]["name"]
    for field, what, wanted in (
        ("priority", "integer value of priority", chosen.get("value", 0)),
        (
            "preemptionPolicy",
            "string value of PreemptionPolicy",
            chosen.get("preemptionPolicy", "PreemptLowerPriority"),
        ),
    ):
        given = spec.setdefault(field, wanted)
        if given != wanted:
            why = (
                f"the {what} ({given}) must not be provided in pod spec; priority admission"
                f" controller computed {wanted} from the given PriorityClass name"
            )
            raise status.forbidden("pods", _name(pod), why)


def _check_runtime(backend: Backend, pod: Object, spec: Object) -> None:
    name = spec.get("runtimeClassName")
    if name and backend.store.get("node.k8s.io/runtimeclasses", "", name) is None:
        raise status.forbidden("pods", _name(pod), f'pod rejected: RuntimeClass "{name}" not found')


def tolerate_short_outages(spec: Object) -> None:
    """Five minutes on a node that is not ready or unreachable, unless the pod says otherwise."""
    tolerations = spec.setdefault("tolerations", [])
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        known = any(
            t.get("key", key) in (key, "") and t.get("effect", "NoExecute") in ("NoExecute", "")
            for t in tolerations
        )
        if not known:
            toleration = {"key": key, "operator": "Exists", "effect": "NoExecute"}
            tolerations.append(toleration | {"tolerationSeconds": _TOLERATION_S})


def _mount_token(spec: Object) -> None:
    containers = [*(spec.get("initContainers") or []), *spec["containers"]]
    missing = [
        container
        for container in containers
        if not any(m.get("mountPath") == MOUNT_PATH for m in container.get("volumeMounts") or ())
    ]
    if not missing:
        return
    name = next(
        (
            volume["name"]
            for volume in spec.get("volumes") or ()
            if str(volume.get("name", "")).startswith("kube-api-access-")
        ),
        "",
    )
    if not name:
        name = generate_name("kube-api-access-")
        spec.setdefault("volumes", []).append(_token_volume(name))
    for container in missing:
        mount = {"name": name, "readOnly": True, "mountPath": MOUNT_PATH}
        container.setdefault("volumeMounts", []).append(mount)


def _token_volume(name: str) -> Object:
    ca = {"key": "ca.crt", "path": "ca.crt"}
    field = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    return {
        "name": name,
        "projected": {
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [ca]}},
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": field}]}},
            ],
            "defaultMode": 420,
        },
    }
