"""What Kubernetes demands of each kind: the table of checks, and those of the simple kinds.

Each takes the object, the stored one (None on creation) and the list of problems. References to
other objects and allocation of addresses are the server's business.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from labkit.embedded.apiserver.rules import (
    crdrules,
    eventrules,
    ingressrules,
    jobrules,
    names,
    networkrules,
    podrules,
    policyrules,
    registrationrules,
    servicerules,
    storagerules,
    webhookrules,
    workloadrules,
)
from labkit.embedded.apiserver.rules.causes import Problems
from labkit.embedded.apiserver.rules.podrules import not_negative
from labkit.embedded.apiserver.rules.schedulingrules import EFFECTS

Object = Mapping[str, Any]
Check = Callable[[Object, Object | None, Problems], None]
MEGABYTE = 1024 * 1024
SECRET_KEYS: Mapping[str, tuple[str, ...]] = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}
SEALED = "field is immutable when `immutable` is set"
ACCOUNT_NAME = "kubernetes.io/service-account.name"


def _sealed(obj: Object, old: Object | None, fields: Sequence[str], problems: Problems) -> None:
    if old is None or not old.get("immutable"):
        return
    if not obj.get("immutable"):
        problems.forbidden("immutable", SEALED)
    for field in fields:
        if (obj.get(field) or {}) != (old.get(field) or {}):
            problems.forbidden(field, SEALED)


def config_map(obj: Object, old: Object | None, problems: Problems) -> None:
    """Keys, size, `immutable`."""
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    for field, values in (("data", data), ("binaryData", binary)):
        for key in sorted(values):
            problems.invalid(f"{field}[{key}]", key, *names.config_key(key))
            if field == "data" and key in binary:
                problems.invalid(f"{field}[{key}]", key, "duplicate of key present in binaryData")
    if sum(len(str(value)) for value in (*data.values(), *binary.values())) > MEGABYTE:
        problems.too_long("", MEGABYTE)
    _sealed(obj, old, ("data", "binaryData"), problems)


def secret(obj: Object, old: Object | None, problems: Problems) -> None:
    """Type, the keys that it needs, `immutable`."""
    data, kind = obj.get("data") or {}, str(obj.get("type") or "")
    if old is not None:
        problems.immutable("type", kind, old.get("type"))
    _sealed(obj, old, ("data",), problems)
    for key in sorted(data):
        problems.invalid(f"data[{key}]", key, *names.config_key(key))
    if sum(len(str(value)) * 3 // 4 for value in data.values()) > MEGABYTE:
        problems.too_long("data", MEGABYTE)
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    if kind == "kubernetes.io/service-account-token" and not annotations.get(ACCOUNT_NAME):
        problems.required(f"metadata.annotations[{ACCOUNT_NAME}]")
    for key in SECRET_KEYS.get(kind, ()):
        if key not in data:
            problems.required(f"data[{key}]")
    if kind == "kubernetes.io/basic-auth" and not {"username", "password"} & data.keys():
        problems.required("data[username]")
        problems.required("data[password]")


def lease(obj: Object, old: Object | None, problems: Problems) -> None:
    """Durations."""
    del old
    spec = obj.get("spec") or {}
    seconds = spec.get("leaseDurationSeconds")
    if seconds is not None and seconds <= 0:
        problems.invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0")
    not_negative(obj, "spec.leaseTransitions", problems)


def role(obj: Object, old: Object | None, problems: Problems) -> None:
    """Rules name verbs, and resources or (cluster roles) URLs."""
    del old
    for index, rule in enumerate(obj.get("rules") or ()):
        path = f"rules[{index}]"
        if not rule.get("verbs"):
            problems.required(f"{path}.verbs", "verbs must contain at least one value")
        if rule.get("nonResourceURLs"):
            if obj.get("kind") == "Role":
                detail = "namespaced rules cannot apply to non-resource URLs"
                problems.invalid(f"{path}.nonResourceURLs", rule["nonResourceURLs"], detail)
            if rule.get("apiGroups") or rule.get("resources"):
                detail = "rules cannot apply to both regular resources and non-resource URLs"
                problems.invalid(f"{path}.nonResourceURLs", rule["nonResourceURLs"], detail)
            continue
        if not rule.get("apiGroups"):
            detail = "resource rules must supply at least one api group"
            problems.required(f"{path}.apiGroups", detail)
        if not rule.get("resources"):
            detail = "resource rules must supply at least one resource"
            problems.required(f"{path}.resources", detail)


def role_binding(obj: Object, old: Object | None, problems: Problems) -> None:
    """Role and subjects; the role stays."""
    reference = obj.get("roleRef") or {}
    cluster = obj.get("kind") == "ClusterRoleBinding"
    kinds = ("ClusterRole",) if cluster else ("Role", "ClusterRole")
    group = reference.get("apiGroup")
    if group != "rbac.authorization.k8s.io":
        problems.unsupported("roleRef.apiGroup", group or "", ("rbac.authorization.k8s.io",))
    if reference.get("kind") not in kinds:
        problems.unsupported("roleRef.kind", reference.get("kind") or "", kinds)
    if not reference.get("name"):
        problems.required("roleRef.name")
    else:
        problems.invalid("roleRef.name", reference["name"], *names.path_segment(reference["name"]))
    for index, subject in enumerate(obj.get("subjects") or ()):
        _subject(subject, f"subjects[{index}]", problems)
    if old is not None and reference != old.get("roleRef"):
        shape = {key: reference.get(key[:1].lower() + key[1:], "") for key in ("Kind", "Name")}
        value = {"APIGroup": group, **shape}
        problems.invalid("roleRef", value, "cannot change roleRef")


def _subject(subject: Object, path: str, problems: Problems) -> None:
    kind, name = subject.get("kind"), subject.get("name") or ""
    if not name:
        problems.required(f"{path}.name")
    if kind == "ServiceAccount":
        if name:
            problems.invalid(f"{path}.name", name, *names.dns_subdomain(name))
        if subject.get("apiGroup"):
            problems.unsupported(f"{path}.apiGroup", subject["apiGroup"], ("",))
        if not subject.get("namespace"):
            problems.required(f"{path}.namespace")
    elif kind in ("User", "Group"):
        group = subject.get("apiGroup")
        if group != "rbac.authorization.k8s.io":
            problems.unsupported(f"{path}.apiGroup", group or "", ("rbac.authorization.k8s.io",))
    else:
        problems.unsupported(f"{path}.kind", kind or "", ("ServiceAccount", "User", "Group"))


def namespace(obj: Object, old: Object | None, problems: Problems) -> None:
    """Finalizers."""
    del old
    for finalizer in (obj.get("spec") or {}).get("finalizers") or ():
        wrong = names.qualified_name(finalizer)
        problems.invalid("spec.finalizers", finalizer, *wrong)
        if not wrong and "/" not in finalizer and finalizer != "kubernetes":
            detail = "name is neither a standard finalizer name nor is it fully qualified"
            problems.invalid("spec.finalizers", finalizer, detail)


def node(obj: Object, old: Object | None, problems: Problems) -> None:
    """Taints; addresses of pods and the provider's name stay."""
    spec, before = obj.get("spec") or {}, (old or {}).get("spec") or {}
    for field, names_of in (("podCIDRs", ("podCIDR", "podCIDRs")), ("providerID", ("providerID",))):
        if any(before.get(name) and before[name] != spec.get(name) for name in names_of):
            detail = f'node updates may not change {names_of[0]} except from "" to valid'
            problems.forbidden(f"spec.{field}", detail)
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(spec.get("taints") or ()):
        path, key = f"spec.taints[{index}]", taint.get("key") or ""
        effect, value = taint.get("effect") or "", taint.get("value") or ""
        problems.invalid(f"{path}.key", key, *names.qualified_name(key))
        if wrong := ";".join(names.label_value(value)):
            problems.invalid(f"{path}.value", value, wrong)
        if not effect:
            problems.required(f"{path}.effect")
        elif effect not in EFFECTS:
            problems.unsupported(f"{path}.effect", effect, EFFECTS)
        if (key, effect) in seen:
            problems.duplicate(path, taint, "taints must be unique by key and effect pair")
        seen.add((key, effect))


def scale(obj: Object, old: Object | None, problems: Problems) -> None:
    """The number of replicas."""
    del old
    not_negative(obj, "spec.replicas", problems)


def pod(obj: Object, old: Object | None, problems: Problems) -> None:
    """See `podrules`."""
    podrules.pod(obj, old, problems)


CHECKS: Mapping[tuple[str, str], Check] = {
    ("", "ConfigMap"): config_map,
    ("", "Secret"): secret,
    ("", "Service"): servicerules.service,
    ("", "Endpoints"): networkrules.endpoints,
    ("", "Pod"): pod,
    ("", "Namespace"): namespace,
    ("", "Node"): node,
    ("", "Event"): eventrules.event,
    ("events.k8s.io", "Event"): eventrules.event,
    ("", "PersistentVolume"): storagerules.volume,
    ("", "PersistentVolumeClaim"): storagerules.claim,
    ("storage.k8s.io", "StorageClass"): storagerules.storage_class,
    ("", "ResourceQuota"): policyrules.resource_quota,
    ("", "LimitRange"): policyrules.limit_range,
    ("policy", "PodDisruptionBudget"): policyrules.disruption_budget,
    ("autoscaling", "HorizontalPodAutoscaler"): policyrules.autoscaler,
    ("scheduling.k8s.io", "PriorityClass"): policyrules.priority_class,
    ("networking.k8s.io", "NetworkPolicy"): ingressrules.network_policy,
    ("networking.k8s.io", "Ingress"): ingressrules.ingress,
    ("networking.k8s.io", "IngressClass"): ingressrules.ingress_class,
    ("discovery.k8s.io", "EndpointSlice"): networkrules.endpoint_slice,
    ("", "ReplicationController"): workloadrules.replication_controller,
    ("apps", "Deployment"): workloadrules.deployment,
    ("apps", "ReplicaSet"): workloadrules.replica_set,
    ("apps", "DaemonSet"): workloadrules.daemon_set,
    ("apps", "StatefulSet"): workloadrules.stateful_set,
    ("batch", "Job"): jobrules.job,
    ("batch", "CronJob"): jobrules.cron_job,
    ("coordination.k8s.io", "Lease"): lease,
    ("autoscaling", "Scale"): scale,
    ("rbac.authorization.k8s.io", "Role"): role,
    ("rbac.authorization.k8s.io", "ClusterRole"): role,
    ("rbac.authorization.k8s.io", "RoleBinding"): role_binding,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): role_binding,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): crdrules.definition,
    ("apiregistration.k8s.io", "APIService"): registrationrules.api_service,
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): webhookrules.webhooks,
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): webhookrules.webhooks,
}
