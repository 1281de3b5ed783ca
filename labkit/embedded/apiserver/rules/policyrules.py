"""What Kubernetes demands of objects that limit or steer others: budgets, quotas, autoscalers."""

from collections.abc import Mapping, Sequence
from typing import Any

from labkit.embedded.apiserver.rules import names
from labkit.embedded.apiserver.rules.causes import Problems
from labkit.embedded.apiserver.rules.podrules import NOT_NEGATIVE
from labkit.embedded.apiserver.rules.quantities import amount, canonical
from labkit.embedded.apiserver.rules.resourcerules import STANDARD_RESOURCES
from labkit.embedded.apiserver.rules.schedulingrules import label_selector
from labkit.embedded.apiserver.rules.workloadrules import int_or_percent, not_over_100

Object = Mapping[str, Any]
HIGHEST = 1000000000
SYSTEM_PRIORITIES = ("system-node-critical", "system-cluster-critical")
SCOPES = (
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
)
METRICS = ("ContainerResource", "External", "Object", "Pods", "Resource")
TARGETS = ("AverageValue", "Utilization", "Value")
REQUEST = "default request value {} is greater than"
LIMIT_TYPES = ("Pod", "Container", "PersistentVolumeClaim")


def disruption_budget(obj: Object, old: Object | None, problems: Problems) -> None:
    """One of the two numbers, and a selector."""
    del old
    spec = obj.get("spec") or {}
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    if least is not None and most is not None:
        detail = "minAvailable and maxUnavailable cannot be both set"
        shape = {
            "MinAvailable": least,
            "Selector": spec.get("selector"),
            "MaxUnavailable": most,
            "UnhealthyPodEvictionPolicy": spec.get("unhealthyPodEvictionPolicy"),
        }
        problems.invalid("spec", shape, detail)
    for field, value in (("minAvailable", least), ("maxUnavailable", most)):
        if value is not None:
            int_or_percent(value, f"spec.{field}", problems)
            not_over_100(value, f"spec.{field}", problems)
    label_selector(spec.get("selector"), "spec.selector", problems)
    policy, known = spec.get("unhealthyPodEvictionPolicy"), ("AlwaysAllow", "IfHealthyBudget")
    if policy is not None and policy not in known:
        problems.unsupported("spec.unhealthyPodEvictionPolicy", policy, known)


def autoscaler(obj: Object, old: Object | None, problems: Problems) -> None:
    """Bounds, the scaled object, metrics."""
    del old
    spec = obj.get("spec") or {}
    least, most = spec.get("minReplicas"), spec.get("maxReplicas") or 0
    if least is not None and least < 1:
        problems.invalid("spec.minReplicas", least, "must be greater than or equal to 1")
    if most < 1:
        problems.invalid("spec.maxReplicas", most, "must be greater than 0")
    if least is not None and most < least:
        detail = "must be greater than or equal to `minReplicas`"
        problems.invalid("spec.maxReplicas", most, detail)
    target = spec.get("scaleTargetRef") or {}
    for field in ("kind", "name"):
        value, where = target.get(field) or "", f"spec.scaleTargetRef.{field}"
        if not value:
            problems.required(where)
        else:
            problems.invalid(where, value, *names.path_segment(value))
    usage = spec.get("targetCPUUtilizationPercentage")
    if usage is not None and usage < 1:
        where = "spec.metrics[0].resource.target.averageUtilization"
        problems.invalid(where, usage, "must be greater than 0")
    for index, metric in enumerate(spec.get("metrics") or ()):
        _metric(metric, f"spec.metrics[{index}]", problems)


def _metric(metric: Object, path: str, problems: Problems) -> None:
    kind = metric.get("type") or ""
    if not kind:
        problems.required(f"{path}.type", "must specify a metric source type")
        return
    if kind not in METRICS:
        problems.unsupported(f"{path}.type", kind, METRICS)
        return
    field = kind[0].lower() + kind[1:]
    source, where = metric.get(field), f"{path}.{field}"
    if source is None:
        detail = "must populate information for the given metric source"
        problems.required(where, detail)
        return
    target = source.get("target") or {}
    if field in ("resource", "containerResource") and not source.get("name"):
        problems.required(f"{where}.name", "must specify a resource name")
    if not target.get("type"):
        problems.required(f"{where}.target.type", "must specify a metric target type")
    elif target["type"] not in TARGETS:
        detail = "must be either Utilization, Value, or AverageValue"
        problems.invalid(f"{where}.target.type", target["type"], detail)
    usage = target.get("averageUtilization")
    if usage is not None and usage < 1:
        problems.invalid(f"{where}.target.averageUtilization", usage, "must be greater than 0")
    if field == "resource" and usage is None and target.get("averageValue") is None:
        detail = "must set either a target raw value or a target utilization"
        problems.required(f"{where}.target.averageUtilization", detail)


def priority_class(obj: Object, old: Object | None, problems: Problems) -> None:
    """Names and numbers of the system are the system's; the number stays."""
    name, value = (obj.get("metadata") or {}).get("name") or "", obj.get("value") or 0
    if name.startswith("system-") and name not in SYSTEM_PRIORITIES:
        detail = (
            "priority class names with 'system-' prefix are reserved for system use only. error: "
            f"{name} is not a known system priority class"
        )
        problems.forbidden("metadata.name", detail)
    elif not name.startswith("system-") and value > HIGHEST:
        detail = f"maximum allowed value of a user defined priority is {HIGHEST}"
        problems.forbidden("value", detail)
    policy, known = obj.get("preemptionPolicy"), ("PreemptLowerPriority", "Never")
    if policy is not None and policy not in known:
        problems.unsupported("preemptionPolicy", policy, known)
    if old is not None:
        if value != (old.get("value") or 0):
            problems.forbidden("value", "may not be changed in an update.")
        problems.immutable("preemptionPolicy", policy, old.get("preemptionPolicy"))


def _quota_name(name: str) -> list[str]:
    wrong = names.qualified_name(name)
    if wrong:
        return wrong
    if "/" in name or name.startswith(("count/", "requests.", "limits.", "hugepages-")):
        return []
    if name in STANDARD_RESOURCES:
        return []
    return [
        "must be a standard resource type or fully qualified",
        "must be a standard resource for quota",
    ]


def resource_quota(obj: Object, old: Object | None, problems: Problems) -> None:
    """Names, amounts and scopes; scopes stay."""
    spec = obj.get("spec") or {}
    for name, value in sorted((spec.get("hard") or {}).items()):
        field = f"spec.hard[{name}]"
        problems.invalid(field, name, *_quota_name(name))
        if amount(value) < 0:
            problems.invalid(field, canonical(value), NOT_NEGATIVE)
        elif name in STANDARD_RESOURCES and amount(value) % 1 and _is_count(name):
            problems.invalid(field, canonical(value), "must be an integer")
    for scope in spec.get("scopes") or ():
        if scope not in SCOPES:
            problems.invalid("spec.scopes", spec["scopes"], "unsupported scope")
    if old is not None:
        before = (old.get("spec") or {}).get("scopes") or []
        problems.immutable("spec.scopes", spec.get("scopes") or [], before)


def _is_count(name: str) -> bool:
    return not any(word in name for word in ("cpu", "memory", "storage"))


def limit_range(obj: Object, old: Object | None, problems: Problems) -> None:
    """One item for each type, its amounts in order."""
    del old
    seen: set[str] = set()
    limits: Sequence[Object] = (obj.get("spec") or {}).get("limits") or ()
    for index, item in enumerate(limits):
        kind, path = item.get("type") or "", f"spec.limits[{index}]"
        if not kind or ("/" not in kind and kind not in LIMIT_TYPES):
            detail = "must be a standard limit type or fully qualified"
            problems.invalid(f"{path}.type", kind, detail)
        if kind in seen:
            problems.duplicate(f"{path}.type", kind)
        seen.add(kind)
        if kind == "Pod":
            for field in ("default", "defaultRequest"):
                if item.get(field):
                    detail = f"may not be specified when `type` is '{kind}'"
                    problems.forbidden(f"{path}.{field}", detail)
        names_given = {*(item.get("min") or {}), *(item.get("max") or {})}
        names_given |= {*(item.get("default") or {}), *(item.get("defaultRequest") or {})}
        for name in sorted(names_given):
            _limits(item, name, path, problems)


def _limits(item: Object, name: str, path: str, problems: Problems) -> None:
    found = {
        field: item[field][name]
        for field in ("min", "max", "default", "defaultRequest")
        if name in (item.get(field) or {})
    }
    for lower, upper, text in (
        ("min", "max", "min value {} is greater than max value {}"),
        ("min", "defaultRequest", "min value {} is greater than default request value {}"),
        ("defaultRequest", "max", "default request value {} is greater than max value {}"),
        (
            "defaultRequest",
            "default",
            "default request value {} is greater than default limit value {}",
        ),
        ("min", "default", "min value {} is greater than default value {}"),
        ("default", "max", "default value {} is greater than max value {}"),
    ):
        if lower in found and upper in found and amount(found[lower]) > amount(found[upper]):
            where = "max" if upper == "max" and lower == "default" else lower
            given = canonical(found[where])
            texts = canonical(found[lower]), canonical(found[upper])
            problems.invalid(f"{path}.{where}[{name}]", given, text.format(*texts))
