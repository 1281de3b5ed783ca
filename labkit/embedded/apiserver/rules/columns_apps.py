"""The columns of workloads: the groups apps, batch and autoscaling."""

from collections.abc import Mapping

from labkit.embedded.apiserver.rules.cells import (
    NONE,
    count,
    get,
    job_completions,
    job_duration,
    job_status,
    labels,
    ratio,
    selector,
    since,
    value,
    yes_no,
)
from labkit.embedded.apiserver.rules.column import AGE, NAME, REPLICAS, Column, template

APPS: Mapping[str, tuple[Column, ...]] = {
    "Deployment.apps": (
        NAME,
        Column(
            "Ready",
            "Number of the pod with ready state",
            ratio("status.readyReplicas", "spec.replicas"),
        ),
        Column("Up-to-date", "status.updatedReplicas", value("status.updatedReplicas", 0)),
        Column("Available", "status.availableReplicas", value("status.availableReplicas", 0)),
        AGE,
        *template(),
        Column("Selector", "spec.selector", selector("spec.selector"), priority=1),
    ),
    "ReplicaSet.apps": (
        *REPLICAS,
        Column("Selector", "spec.selector", selector("spec.selector"), priority=1),
    ),
    "StatefulSet.apps": (
        NAME,
        Column(
            "Ready",
            "Number of the pod with ready state",
            ratio("status.readyReplicas", "spec.replicas"),
        ),
        AGE,
        *template(),
    ),
    "DaemonSet.apps": (
        NAME,
        *(
            Column(name, f"status.{field}", value(f"status.{field}", 0), "integer")
            for name, field in (
                ("Desired", "desiredNumberScheduled"),
                ("Current", "currentNumberScheduled"),
                ("Ready", "numberReady"),
                ("Up-to-date", "updatedNumberScheduled"),
                ("Available", "numberAvailable"),
            )
        ),
        Column(
            "Node Selector",
            "spec.template.spec.nodeSelector",
            labels("spec.template.spec.nodeSelector"),
        ),
        AGE,
        *template(),
        Column("Selector", "spec.selector", selector("spec.selector"), priority=1),
    ),
    "ControllerRevision.apps": (
        NAME,
        Column(
            "Controller",
            "Controller of the object",
            lambda obj, _: next(
                (
                    f"{owner['kind'].lower()}.{owner['apiVersion'].rpartition('/')[0]}/{owner['name']}"
                    for owner in get(obj, "metadata.ownerReferences", ())
                    if owner.get("controller")
                ),
                NONE,
            ),
        ),
        Column("Revision", "revision", value("revision")),
        AGE,
    ),
    "Job.batch": (
        NAME,
        Column("Status", "Status of the job.", job_status),
        Column("Completions", "status.succeeded", job_completions),
        Column("Duration", "Time required to complete the job.", job_duration),
        AGE,
        *template(),
        Column("Selector", "spec.selector", selector("spec.selector"), priority=1),
    ),
    "CronJob.batch": (
        NAME,
        Column("Schedule", "spec.schedule", value("spec.schedule")),
        Column("Timezone", "spec.timeZone", value("spec.timeZone", NONE)),
        Column("Suspend", "spec.suspend", yes_no("spec.suspend"), "boolean"),
        Column("Active", "status.active", count("status.active"), "integer"),
        Column("Last Schedule", "status.lastScheduleTime", since("status.lastScheduleTime", NONE)),
        AGE,
        *template("spec.jobTemplate.spec.template.spec"),
        Column(
            "Selector",
            "spec.jobTemplate.spec.selector",
            selector("spec.jobTemplate.spec.selector"),
            priority=1,
        ),
    ),
    "HorizontalPodAutoscaler.autoscaling": (
        NAME,
        Column(
            "Reference",
            "spec.scaleTargetRef",
            lambda obj, _: "/".join(
                get(obj, f"spec.scaleTargetRef.{k}", "") for k in ("kind", "name")
            ),
        ),
        Column(
            "Targets",
            "spec.metrics",
            lambda obj, _: "<unknown>" if get(obj, "spec.metrics") else NONE,
        ),
        Column(
            "MinPods",
            "spec.minReplicas",
            lambda obj, _: str(get(obj, "spec.minReplicas", "<unset>")),
        ),
        Column("MaxPods", "spec.maxReplicas", value("spec.maxReplicas", 0)),
        Column("Replicas", "status.currentReplicas", value("status.currentReplicas", 0)),
        AGE,
    ),
}
