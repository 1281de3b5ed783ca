"""What Kubernetes fills in in Deployments and Jobs, as rows of a table (see `default_rules`)."""

from typing import Any

from labkit.embedded.apiserver.rules.default_pods import POD_SPEC_RULES, Object, Rule, under


def rolling_update(strategy: Object) -> Any:
    """The pace of a Deployment."""
    rolling = strategy.get("type") == "RollingUpdate"
    return {"maxUnavailable": "25%", "maxSurge": "25%"} if rolling else None


def daemon_update(strategy: Object) -> Any:
    """The pace of a DaemonSet."""
    rolling = strategy.get("type") == "RollingUpdate"
    return {"maxUnavailable": 1, "maxSurge": 0} if rolling else None


def partition(strategy: Object) -> Any:
    """Where a StatefulSet begins."""
    return {"partition": 0} if strategy.get("type") == "RollingUpdate" else None


TEMPLATE: tuple[Rule, ...] = (
    ("", "spec", {}),
    ("spec", "template", {}),
    ("spec.template", "spec", {}),
)
"""Parts that are there even when a manifest leaves them out, with defaults of their own."""

DEPLOYMENT_RULES: tuple[Rule, ...] = (
    *TEMPLATE,
    ("spec", "replicas", 1),
    ("spec", "strategy", {}),
    ("spec.strategy", "type", "RollingUpdate"),
    ("spec.strategy", "rollingUpdate", rolling_update),
    ("spec.strategy.rollingUpdate", "maxUnavailable", "25%"),
    ("spec.strategy.rollingUpdate", "maxSurge", "25%"),
    ("spec", "revisionHistoryLimit", 10),
    ("spec", "progressDeadlineSeconds", 600),
    *under("spec.template.spec", POD_SPEC_RULES),
    ("", "status", {}),
)
JOB_SPEC_RULES: tuple[Rule, ...] = (
    ("", "completions", lambda spec: 1 if spec.get("parallelism") is None else None),
    ("", "parallelism", 1),
    ("", "backoffLimit", lambda spec: 2147483647 if "backoffLimitPerIndex" in spec else 6),
    ("", "completionMode", "NonIndexed"),
    ("", "suspend", False),
    (
        "",
        "podReplacementPolicy",
        lambda s: "Failed" if "podFailurePolicy" in s else "TerminatingOrFailed",
    ),
    *under("template.spec", POD_SPEC_RULES),
)
