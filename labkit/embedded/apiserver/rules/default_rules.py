"""What Kubernetes fills in for each kind, as a table.

A row is a path in the object (`[]` stands for every element of a list), a field and its value, or
a function of the parent. A dict's own fields are filled in first, in the order of the table, then
what is below it.
"""

from collections.abc import Mapping
from typing import Any

from labkit.embedded.apiserver.rules.default_pods import POD_SPEC_RULES, Object, Rule, under
from labkit.embedded.apiserver.rules.default_workloads import (
    DEPLOYMENT_RULES,
    JOB_SPEC_RULES,
    TEMPLATE,
    daemon_update,
    partition,
)


def _external_traffic(spec: Object) -> Any:
    external = spec.get("type") in ("NodePort", "LoadBalancer") or spec.get("externalIPs")
    return "Cluster" if external else None


def _internal_traffic(spec: Object) -> Any:
    return None if spec.get("type") == "ExternalName" else "Cluster"


def _affinity_config(spec: Object) -> Any:
    client = spec.get("sessionAffinity") == "ClientIP"
    return {"clientIP": {"timeoutSeconds": 10800}} if client else None


def _target(port: Object) -> Any:
    return port.get("port")


def _pod_cidrs(spec: Object) -> Any:
    return [spec["podCIDR"]] if spec.get("podCIDR") else None


def _pod_cidr(spec: Object) -> Any:
    return (spec.get("podCIDRs") or [None])[0]


def _node_ports(spec: Object) -> Any:
    return True if spec.get("type") == "LoadBalancer" else None


WEBHOOK_RULES: tuple[Rule, ...] = (
    ("webhooks[]", "failurePolicy", "Fail"),
    ("webhooks[]", "matchPolicy", "Equivalent"),
    ("webhooks[]", "namespaceSelector", {}),
    ("webhooks[]", "objectSelector", {}),
    ("webhooks[]", "timeoutSeconds", 10),
    ("webhooks[].rules[]", "scope", "*"),
    ("webhooks[].clientConfig.service", "port", 443),
)


def _subject_group(subject: Object) -> Any:
    return None if subject.get("kind") == "ServiceAccount" else "rbac.authorization.k8s.io"


BINDING_RULES: tuple[Rule, ...] = (
    ("roleRef", "apiGroup", "rbac.authorization.k8s.io"),
    ("subjects[]", "apiGroup", _subject_group),
)
BUDGET_COUNTS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
TIME_UNKNOWN = ("eventTime", "firstTimestamp", "lastTimestamp")
NODE_INFO = dict.fromkeys(
    (
        "machineID",
        "systemUUID",
        "bootID",
        "kernelVersion",
        "osImage",
        "containerRuntimeVersion",
        "kubeletVersion",
        "kubeProxyVersion",
        "operatingSystem",
        "architecture",
    ),
    "",
)


def _list_kind(names: Object) -> str | None:
    return f"{names['kind']}List" if names.get("kind") else None


def _singular(names: Object) -> str | None:
    return str(names["kind"]).lower() if names.get("kind") else None


RULES: Mapping[tuple[str, str], tuple[Rule, ...]] = {
    ("", "Pod"): (
        ("", "spec", {}),
        ("spec", "enableServiceLinks", True),
        *under("spec", POD_SPEC_RULES),
        ("", "status", {}),
        ("status", "phase", "Pending"),
    ),
    ("", "PodTemplate"): under("template.spec", POD_SPEC_RULES),
    ("", "ReplicationController"): (
        ("spec", "replicas", 1),
        (
            "spec",
            "selector",
            lambda spec: (spec.get("template") or {}).get("metadata", {}).get("labels"),
        ),
        *under("spec.template.spec", POD_SPEC_RULES),
        ("", "status", {}),
        ("status", "replicas", 0),
    ),
    ("", "Service"): (
        ("", "spec", {}),
        ("spec", "type", "ClusterIP"),
        ("spec", "sessionAffinity", "None"),
        ("spec", "sessionAffinityConfig", _affinity_config),
        ("spec.ports[]", "protocol", "TCP"),
        ("spec.ports[]", "targetPort", _target),
        ("spec", "externalTrafficPolicy", _external_traffic),
        ("spec", "internalTrafficPolicy", _internal_traffic),
        ("spec", "allocateLoadBalancerNodePorts", _node_ports),
        ("", "status", {}),
        ("status", "loadBalancer", {}),
        ("status.loadBalancer.ingress[]", "ipMode", lambda item: "VIP" if item.get("ip") else None),
    ),
    ("", "Endpoints"): (("subsets[].ports[]", "protocol", "TCP"),),
    ("", "Secret"): (("", "type", "Opaque"),),
    ("", "Namespace"): (
        ("metadata", "labels", {}),
        ("", "spec", {}),
        ("spec", "finalizers", ["kubernetes"]),
        ("", "status", {}),
        ("status", "phase", "Active"),
    ),
    ("", "Node"): (
        ("", "spec", {}),
        ("spec", "podCIDRs", _pod_cidrs),
        ("spec", "podCIDR", _pod_cidr),
        ("", "status", {}),
        ("status", "daemonEndpoints", {"kubeletEndpoint": {"Port": 0}}),
        ("status", "nodeInfo", NODE_INFO),
        ("status.conditions[]", "lastHeartbeatTime", ...),
        ("status.conditions[]", "lastTransitionTime", ...),
    ),
    ("", "Event"): (
        *(("", name, ...) for name in TIME_UNKNOWN),
        ("", "source", {}),
        ("", "reportingComponent", ""),
        ("", "reportingInstance", ""),
    ),
    ("", "PersistentVolumeClaim"): (
        ("spec", "volumeMode", "Filesystem"),
        ("", "status", {}),
        ("status", "phase", "Pending"),
    ),
    ("", "PersistentVolume"): (
        ("spec", "volumeMode", "Filesystem"),
        ("spec", "persistentVolumeReclaimPolicy", "Retain"),
        ("spec.hostPath", "type", ""),
        ("", "status", {}),
        ("status", "phase", "Pending"),
    ),
    ("apps", "Deployment"): DEPLOYMENT_RULES,
    ("apps", "ReplicaSet"): (
        *TEMPLATE,
        ("spec", "replicas", 1),
        *under("spec.template.spec", POD_SPEC_RULES),
        ("", "status", {}),
        ("status", "replicas", 0),
    ),
    ("apps", "StatefulSet"): (
        *TEMPLATE,
        ("spec", "replicas", 1),
        ("spec", "podManagementPolicy", "OrderedReady"),
        ("spec", "updateStrategy", {}),
        ("spec.updateStrategy", "type", "RollingUpdate"),
        ("spec.updateStrategy", "rollingUpdate", partition),
        ("spec.updateStrategy.rollingUpdate", "partition", 0),
        ("spec", "revisionHistoryLimit", 10),
        (
            "spec",
            "persistentVolumeClaimRetentionPolicy",
            {"whenDeleted": "Retain", "whenScaled": "Retain"},
        ),
        *under("spec.template.spec", POD_SPEC_RULES),
        ("spec.volumeClaimTemplates[]", "kind", "PersistentVolumeClaim"),
        ("spec.volumeClaimTemplates[]", "apiVersion", "v1"),
        ("spec.volumeClaimTemplates[]", "status", {"phase": "Pending"}),
        ("spec.volumeClaimTemplates[].spec", "volumeMode", "Filesystem"),
        ("", "status", {}),
        ("status", "replicas", 0),
        ("status", "availableReplicas", 0),
    ),
    ("apps", "DaemonSet"): (
        *TEMPLATE,
        ("spec", "updateStrategy", {}),
        ("spec.updateStrategy", "type", "RollingUpdate"),
        ("spec.updateStrategy", "rollingUpdate", daemon_update),
        ("spec.updateStrategy.rollingUpdate", "maxUnavailable", 1),
        ("spec.updateStrategy.rollingUpdate", "maxSurge", 0),
        ("spec", "revisionHistoryLimit", 10),
        *under("spec.template.spec", POD_SPEC_RULES),
        ("", "status", {}),
        *(
            ("status", name, 0)
            for name in (
                "currentNumberScheduled",
                "numberMisscheduled",
                "desiredNumberScheduled",
                "numberReady",
            )
        ),
    ),
    ("batch", "Job"): (*TEMPLATE, *under("spec", JOB_SPEC_RULES), ("", "status", {})),
    ("batch", "CronJob"): (
        ("spec", "concurrencyPolicy", "Allow"),
        ("spec", "suspend", False),
        ("spec", "successfulJobsHistoryLimit", 3),
        ("spec", "failedJobsHistoryLimit", 1),
        *under("spec.jobTemplate.spec.template.spec", POD_SPEC_RULES),
        ("", "status", {}),
    ),
    ("discovery.k8s.io", "EndpointSlice"): (
        ("endpoints[]", "conditions", {}),
        ("ports[]", "protocol", "TCP"),
        ("ports[]", "name", ""),
    ),
    ("coordination.k8s.io", "Lease"): (("", "spec", {}),),
    ("rbac.authorization.k8s.io", "RoleBinding"): BINDING_RULES,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): BINDING_RULES,
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): (
        *WEBHOOK_RULES,
        ("webhooks[]", "reinvocationPolicy", "Never"),
    ),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): WEBHOOK_RULES,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): (
        ("spec", "conversion", {"strategy": "None"}),
        ("spec", "names", {}),
        ("spec.names", "singular", _singular),
        ("spec.names", "listKind", _list_kind),
        ("", "status", {}),
    ),
    ("apiregistration.k8s.io", "APIService"): (("spec.service", "port", 443), ("", "status", {})),
    ("networking.k8s.io", "Ingress"): (("", "status", {}), ("status", "loadBalancer", {})),
    ("networking.k8s.io", "NetworkPolicy"): (
        (
            "spec",
            "policyTypes",
            lambda spec: ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"],
        ),
        ("spec.ingress[].ports[]", "protocol", "TCP"),
        ("spec.egress[].ports[]", "protocol", "TCP"),
    ),
    ("networking.k8s.io", "IngressClass"): (("spec.parameters", "scope", "Cluster"),),
    ("policy", "PodDisruptionBudget"): (
        ("", "status", {}),
        *(("status", name, 0) for name in BUDGET_COUNTS),
    ),
    ("autoscaling", "HorizontalPodAutoscaler"): (
        ("spec", "minReplicas", 1),
        ("", "status", {}),
        ("status", "desiredReplicas", 0),
    ),
    ("scheduling.k8s.io", "PriorityClass"): (("", "preemptionPolicy", "PreemptLowerPriority"),),
    ("storage.k8s.io", "CSIDriver"): (
        ("", "spec", {}),
        ("spec", "attachRequired", True),
        ("spec", "podInfoOnMount", False),
        ("spec", "volumeLifecycleModes", ["Persistent"]),
        ("spec", "storageCapacity", False),
        ("spec", "fsGroupPolicy", "ReadWriteOnceWithFSType"),
        ("spec", "requiresRepublish", False),
        ("spec", "seLinuxMount", False),
    ),
    ("certificates.k8s.io", "CertificateSigningRequest"): (("", "status", {}),),
    ("", "ResourceQuota"): (("", "spec", {}), ("", "status", {})),
    ("storage.k8s.io", "StorageClass"): (
        ("", "reclaimPolicy", "Delete"),
        ("", "volumeBindingMode", "Immediate"),
    ),
}
