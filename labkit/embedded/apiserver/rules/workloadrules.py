"""What Kubernetes demands of everything that makes pods: Deployments, Jobs and the like."""

from collections.abc import Mapping
from typing import Any

from labkit.embedded.apiserver.rules import podrules
from labkit.embedded.apiserver.rules.causes import Problems
from labkit.embedded.apiserver.rules.podrules import not_negative
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


def _workload(
    obj: Object, old: Object | None, problems: Problems, *, kind: str, frozen: bool = True
) -> None:
    """Selector and template, common to everything that makes pods."""
    spec = obj.get("spec") or {}
    not_negative(obj, "spec.replicas", problems)
    not_negative(obj, "spec.minReadySeconds", problems)
    selector = spec.get("selector")
    empty = not selector or not selector_from(selector)
    if selector is None:
        problems.required("spec.selector")
    elif empty:
        problems.invalid("spec.selector", selector, f"empty selector is invalid for {kind}")
    template = spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    if empty and selector is not None:
        pass
    elif selector is None or not matches_labels(selector_from(selector), labels):
        detail = "`selector` does not match template `labels`"
        problems.invalid("spec.template.metadata.labels", labels, detail)
    podrules.template(template, "spec.template", problems, restart=("Always",))
    if old is not None and frozen:
        problems.immutable("spec.selector", selector, (old.get("spec") or {}).get("selector"))


def deployment(obj: Object, old: Object | None, problems: Problems) -> None:
    """Selector, template, strategy."""
    strategy = (obj.get("spec") or {}).get("strategy") or {}
    inner = Problems()
    _workload(obj, old, inner, kind="deployment")
    frozen = [cause for cause in inner if cause.message.endswith("field is immutable")]
    problems.extend(cause for cause in inner if cause not in frozen)
    kind = strategy.get("type")
    rolling = strategy.get("rollingUpdate")
    if kind not in ("Recreate", "RollingUpdate"):
        problems.unsupported("spec.strategy.type", kind or "", ("Recreate", "RollingUpdate"))
    elif kind == "Recreate" and rolling is not None:
        detail = "may not be specified when strategy `type` is 'Recreate'"
        problems.forbidden("spec.strategy.rollingUpdate", detail)
    elif rolling and {str(rolling.get(k, 0)) for k in ("maxUnavailable", "maxSurge")} <= {
        "0",
        "0%",
    }:
        detail = "may not be 0 when `maxSurge` is 0"
        problems.invalid("spec.strategy.rollingUpdate.maxUnavailable", 0, detail)
    problems.extend(frozen)


def replica_set(obj: Object, old: Object | None, problems: Problems) -> None:
    """Selector and template."""
    _workload(obj, old, problems, kind="replica set")


def daemon_set(obj: Object, old: Object | None, problems: Problems) -> None:
    """Selector and template."""
    _workload(obj, old, problems, kind="daemonset")


def stateful_set(obj: Object, old: Object | None, problems: Problems) -> None:
    """Selector and template; almost all of the spec stays."""
    _workload(obj, old, problems, kind="statefulset", frozen=False)
    if old is None:
        return
    new, before = obj.get("spec") or {}, old.get("spec") or {}
    if any(new.get(k) != before.get(k) for k in {*new, *before} - set(STATEFUL_FIELDS)):
        listed = ", ".join(f"'{name}'" for name in STATEFUL_FIELDS[:-1])
        detail = (
            f"updates to statefulset spec for fields other than {listed} and "
            f"'{STATEFUL_FIELDS[-1]}' are forbidden"
        )
        problems.forbidden("spec", detail)


def job(obj: Object, old: Object | None, problems: Problems) -> None:
    """Counts, template; selector, completions and template stay."""
    spec = obj.get("spec") or {}
    for field in ("parallelism", "completions", "backoffLimit", "ttlSecondsAfterFinished"):
        not_negative(obj, f"spec.{field}", problems)
    template = spec.get("template") or {}
    podrules.template(template, "spec.template", problems, restart=("OnFailure", "Never"))
    if old is not None:
        before = old.get("spec") or {}
        for field in ("completions", "selector", "template"):
            problems.immutable(f"spec.{field}", spec.get(field), before.get(field))


def cron_job(obj: Object, old: Object | None, problems: Problems) -> None:
    """Schedule and template."""
    del old
    spec = obj.get("spec") or {}
    schedule = spec.get("schedule") or ""
    if not schedule:
        problems.required("spec.schedule")
    elif len(schedule.split()) != 5 and not schedule.startswith("@"):
        found = len(schedule.split())
        problems.invalid(
            "spec.schedule", schedule, f"expected exactly 5 fields, found {found}: [{schedule}]"
        )
    template = ((spec.get("jobTemplate") or {}).get("spec") or {}).get("template") or {}
    path = "spec.jobTemplate.spec.template"
    podrules.template(template, path, problems, restart=("OnFailure", "Never"))
    name = (obj.get("metadata") or {}).get("name", "")
    if len(name) > 52:
        problems.invalid("metadata.name", name, "must be no more than 52 characters")
