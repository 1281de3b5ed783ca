"""What Kubernetes demands of Jobs, and of CronJobs that make them."""

from collections.abc import Mapping
from typing import Any

from labkit.embedded.apiserver.rules import podrules
from labkit.embedded.apiserver.rules.causes import Problems
from labkit.embedded.apiserver.rules.cronrules import check_schedule
from labkit.embedded.apiserver.rules.schedulingrules import label_selector
from labkit.embedded.apiserver.rules.selectors import matches_labels, selector_from
from labkit.embedded.apiserver.rules.workloadrules import labels_match

Object = Mapping[str, Any]
POLICIES = ("Allow", "Forbid", "Replace")


def job(obj: Object, old: Object | None, problems: Problems) -> None:
    """Counts, template; selector, completions and template stay."""
    spec = obj.get("spec") or {}
    uid = str((obj.get("metadata") or {}).get("uid", ""))
    selector = spec.get("selector")
    if old is None and not spec.get("manualSelector") and selector is not None:
        own = {f"{prefix}controller-uid": uid for prefix in ("", "batch.kubernetes.io/")}
        if not matches_labels(selector_from(selector), own):
            problems.invalid("spec.selector", selector, "`selector` not auto-generated")
    job_spec(spec, "spec", problems)
    label_selector(selector, "spec.selector", problems)
    if selector is not None:
        labels_match(spec, problems)
    if old is not None:
        before = old.get("spec") or {}
        for field in ("completions", "selector", "template"):
            problems.immutable(f"spec.{field}", spec.get(field), before.get(field))


def job_spec(spec: Object, path: str, problems: Problems) -> None:
    """Counts and template of a Job or of the Jobs that a CronJob makes."""
    for field in (
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
    ):
        if (spec.get(field) or 0) < 0:
            problems.invalid(f"{path}.{field}", spec[field], podrules.NOT_NEGATIVE)
    mode = spec.get("completionMode")
    if mode not in (None, "Indexed", "NonIndexed"):
        problems.unsupported(f"{path}.completionMode", mode, ("Indexed", "NonIndexed"))
    elif mode == "Indexed" and spec.get("completions") is None:
        problems.required(f"{path}.completions", "when completion mode is Indexed")
    template = spec.get("template") or {}
    podrules.template(template, f"{path}.template", problems, restart=("OnFailure", "Never"))


def cron_job(obj: Object, old: Object | None, problems: Problems) -> None:
    """Schedule, time zone, policy, limits and the template of the Jobs."""
    del old
    spec = obj.get("spec") or {}
    name = (obj.get("metadata") or {}).get("name", "")
    if len(name) > 52:
        problems.invalid("metadata.name", name, "must be no more than 52 characters")
    schedule = spec.get("schedule") or ""
    if not schedule:
        problems.required("spec.schedule")
    else:
        check_schedule(schedule, spec, problems)
    deadline = spec.get("startingDeadlineSeconds")
    if deadline is not None and deadline < 0:
        detail = "must be greater than or equal to 0"
        problems.invalid("spec.startingDeadlineSeconds", deadline, detail)
    policy = spec.get("concurrencyPolicy") or ""
    if policy not in POLICIES:
        problems.unsupported("spec.concurrencyPolicy", policy, POLICIES)
    template = (spec.get("jobTemplate") or {}).get("spec") or {}
    job_spec(template, "spec.jobTemplate.spec", problems)
    for field in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        if (spec.get(field) or 0) < 0:
            detail = "must be greater than or equal to 0"
            problems.invalid(f"spec.{field}", spec[field], detail)
