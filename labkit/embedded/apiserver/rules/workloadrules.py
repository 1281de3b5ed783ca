"""What Kubernetes demands of everything that makes pods: Deployments, Jobs and the like.

Each function checks in the order of the real server, for its causes are listed in that order.
"""

import re
from collections.abc import Mapping
from typing import Any

from labkit.embedded.apiserver.rules import podrules
from labkit.embedded.apiserver.rules.causes import Problems
from labkit.embedded.apiserver.rules.podrules import not_negative
from labkit.embedded.apiserver.rules.schedulingrules import label_selector
from labkit.embedded.apiserver.rules.selectors import matches_labels, selector_from

Object = Mapping[str, Any]
STATEFUL_FIELDS = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)
PERCENT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or "
    "'93%', regex used for validation is '[0-9]+%')"
)
MISMATCH = "`selector` does not match template `labels`"


def _selector(spec: Object, problems: Problems, empty: str, *, required: bool = True) -> None:
    selector = spec.get("selector")
    if selector is None:
        if required:
            problems.required("spec.selector")
        return
    label_selector(selector, "spec.selector", problems)
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        problems.invalid("spec.selector", selector, empty)


def labels_match(spec: Object, problems: Problems) -> None:
    """The selector finds the pods of the template."""
    selector = spec.get("selector")
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    if selector is None or not matches_labels(selector_from(selector), labels):
        problems.invalid("spec.template.metadata.labels", labels or None, MISMATCH)


def _template(spec: Object, problems: Problems, kind: str) -> None:
    template = spec.get("template") or {}
    podrules.template(template, "spec.template", problems, restart=("Always",))
    if (template.get("spec") or {}).get("activeDeadlineSeconds") is not None:
        detail = f"activeDeadlineSeconds in {kind} is not Supported"
        problems.forbidden("spec.template.spec.activeDeadlineSeconds", detail)


def _same_selector(spec: Object, old: Object | None, problems: Problems) -> None:
    if old is not None:
        before = (old.get("spec") or {}).get("selector")
        problems.immutable("spec.selector", spec.get("selector"), before)


def int_or_percent(value: Any, field: str, problems: Problems) -> None:
    """A number that is not negative, or a percentage."""
    if isinstance(value, str):
        if not re.fullmatch("[0-9]+%", value):
            problems.invalid(field, value, PERCENT)
    elif isinstance(value, int) and value < 0:
        problems.invalid(field, value, podrules.NOT_NEGATIVE)


def _is_zero(value: Any) -> bool:
    return value in (None, 0) or bool(re.fullmatch("0+%?", str(value)))


def not_over_100(value: Any, field: str, problems: Problems) -> None:
    """A percentage of at most 100."""
    match = re.fullmatch("([0-9]+)%", str(value))
    if match and int(match[1]) > 100:
        problems.invalid(field, value, "must not be greater than 100%")


def _strategy(spec: Object, problems: Problems) -> None:
    strategy, path = spec.get("strategy") or {}, "spec.strategy"
    kind, rolling = strategy.get("type") or "", strategy.get("rollingUpdate")
    if kind not in ("Recreate", "RollingUpdate"):
        problems.unsupported(f"{path}.type", kind, ("Recreate", "RollingUpdate"))
    elif kind == "Recreate":
        if rolling is not None:
            detail = "may not be specified when strategy `type` is 'Recreate'"
            problems.forbidden(f"{path}.rollingUpdate", detail)
    elif rolling is not None:
        missing, extra = rolling.get("maxUnavailable"), rolling.get("maxSurge")
        field = f"{path}.rollingUpdate.maxUnavailable"
        int_or_percent(missing, field, problems)
        int_or_percent(extra, f"{path}.rollingUpdate.maxSurge", problems)
        if _is_zero(missing) and _is_zero(extra):
            problems.invalid(field, missing, "may not be 0 when `maxSurge` is 0")
        not_over_100(missing, field, problems)


def deployment(obj: Object, old: Object | None, problems: Problems) -> None:
    """Selector, template, strategy, deadlines."""
    spec = obj.get("spec") or {}
    not_negative(obj, "spec.replicas", problems)
    _selector(spec, problems, "empty selector is invalid for deployment")
    if not _is_empty(spec.get("selector")):
        labels_match(spec, problems)
    _template(spec, problems, "ReplicaSet")
    _strategy(spec, problems)
    for field in ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        not_negative(obj, f"spec.{field}", problems)
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= (spec.get("minReadySeconds") or 0):
        detail = "must be greater than minReadySeconds"
        problems.invalid("spec.progressDeadlineSeconds", deadline, detail)
    _same_selector(spec, old, problems)


def _is_empty(selector: Object | None) -> bool:
    return selector is not None and not selector_from(selector)


def replica_set(obj: Object, old: Object | None, problems: Problems) -> None:
    """Selector and template."""
    spec = obj.get("spec") or {}
    not_negative(obj, "spec.replicas", problems)
    not_negative(obj, "spec.minReadySeconds", problems)
    _selector(spec, problems, "empty selector is invalid for deployment")
    if not _is_empty(spec.get("selector")):
        labels_match(spec, problems)
    _template(spec, problems, "ReplicaSet")
    _same_selector(spec, old, problems)


def replication_controller(obj: Object, old: Object | None, problems: Problems) -> None:
    """Selector (plain labels) and template."""
    del old
    spec = obj.get("spec") or {}
    not_negative(obj, "spec.minReadySeconds", problems)
    selector, template = spec.get("selector") or {}, spec.get("template")
    if not selector:
        problems.required("spec.selector")
    not_negative(obj, "spec.replicas", problems)
    if not template:
        problems.required("spec.template")
        return
    labels = (template.get("metadata") or {}).get("labels") or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        problems.invalid("spec.template.metadata.labels", labels or None, MISMATCH)
    _template(spec, problems, "ReplicationController")


def daemon_set(obj: Object, old: Object | None, problems: Problems) -> None:
    """Selector, template, how it is updated."""
    spec = obj.get("spec") or {}
    label_selector(spec.get("selector"), "spec.selector", problems)
    labels_match(spec, problems)
    if _is_empty(spec.get("selector")):
        detail = "empty selector is invalid for daemonset"
        problems.invalid("spec.selector", spec["selector"], detail)
    _template(spec, problems, "DaemonSet")
    not_negative(obj, "spec.minReadySeconds", problems)
    strategy, path = spec.get("updateStrategy") or {}, "spec.updateStrategy"
    kind, rolling = strategy.get("type") or "", strategy.get("rollingUpdate")
    if kind not in ("RollingUpdate", "OnDelete"):
        problems.unsupported(f"{path}.type", kind, ("RollingUpdate", "OnDelete"))
    elif kind == "RollingUpdate" and rolling is not None:
        _rolling_daemons(rolling, f"{path}.rollingUpdate", problems)
    not_negative(obj, "spec.revisionHistoryLimit", problems)
    _same_selector(spec, old, problems)


def _rolling_daemons(rolling: Object, path: str, problems: Problems) -> None:
    missing, extra = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    for field, value in (("maxUnavailable", missing), ("maxSurge", extra)):
        int_or_percent(value, f"{path}.{field}", problems)
    for field, value in (("maxUnavailable", missing), ("maxSurge", extra)):
        not_over_100(value, f"{path}.{field}", problems)
    if _is_zero(missing) and _is_zero(extra):
        problems.required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0")
    elif not _is_zero(missing) and not _is_zero(extra):
        detail = "may not be set when maxUnavailable is non-zero"
        problems.invalid(f"{path}.maxSurge", extra, detail)


def stateful_set(obj: Object, old: Object | None, problems: Problems) -> None:
    """Policies, selector and template; almost all of the spec stays."""
    spec = obj.get("spec") or {}
    policy, strategy = spec.get("podManagementPolicy"), spec.get("updateStrategy") or {}
    if policy not in ("OrderedReady", "Parallel"):
        detail = "must be 'OrderedReady' or 'Parallel'"
        problems.invalid("spec.podManagementPolicy", policy or "", detail)
    kind, path = strategy.get("type") or "", "spec.updateStrategy"
    if kind not in ("RollingUpdate", "OnDelete"):
        shape = {"Type": kind, "RollingUpdate": strategy.get("rollingUpdate")}
        problems.invalid(path, shape, "must be 'RollingUpdate' or 'OnDelete'")
    elif kind == "OnDelete" and strategy.get("rollingUpdate") is not None:
        detail = "only allowed for updateStrategy 'RollingUpdate'"
        problems.invalid(f"{path}.rollingUpdate", strategy["rollingUpdate"], detail)
    not_negative(obj, "spec.updateStrategy.rollingUpdate.partition", problems)
    for field in ("replicas", "minReadySeconds", "ordinals.start"):
        not_negative(obj, f"spec.{field}", problems)
    _selector(spec, problems, "empty selector is invalid for statefulset")
    if not _is_empty(spec.get("selector")):
        labels_match(spec, problems)
    _template(_with_claims(spec), problems, "StatefulSet")
    if old is None:
        return
    before = old.get("spec") or {}
    if any(spec.get(k) != before.get(k) for k in {*spec, *before} - set(STATEFUL_FIELDS)):
        listed = ", ".join(f"'{name}'" for name in STATEFUL_FIELDS[:-1])
        detail = (
            f"updates to statefulset spec for fields other than {listed} and "
            f"'{STATEFUL_FIELDS[-1]}' are forbidden"
        )
        problems.forbidden("spec", detail)


def _with_claims(spec: Object) -> Object:
    """The spec with a volume in the template for each claim, as its pods will have them."""
    claims = [
        {"name": (claim.get("metadata") or {}).get("name", ""), "emptyDir": {}}
        for claim in spec.get("volumeClaimTemplates") or ()
    ]
    template = spec.get("template") or {}
    inner = template.get("spec") or {}
    volumes = [*(inner.get("volumes") or ()), *claims]
    return {**spec, "template": {**template, "spec": {**inner, "volumes": volumes}}}
