"""The columns that kubectl prints for each built-in kind, as one table."""

from collections.abc import Mapping

from labkit.embedded.apiserver.rules.cells import (
    NONE,
    addresses,
    api_service,
    available,
    count,
    get,
    ingress_hosts,
    selector,
    slice_endpoints,
    slice_ports,
    subjects,
    value,
)
from labkit.embedded.apiserver.rules.column import AGE, NAME, Column
from labkit.embedded.apiserver.rules.columns_apps import APPS
from labkit.embedded.apiserver.rules.columns_core import CORE
from labkit.embedded.apiserver.rules.columns_stored import STORED

BINDING = (
    NAME,
    Column(
        "Role",
        "roleRef",
        lambda obj, _: f"{get(obj, 'roleRef.kind', '')}/{get(obj, 'roleRef.name', '')}",
    ),
    AGE,
    Column("Users", "Users in the roleBinding", subjects("User"), priority=1),
    Column("Groups", "Groups in the roleBinding", subjects("Group"), priority=1),
    Column(
        "ServiceAccounts",
        "ServiceAccounts in the roleBinding",
        subjects("ServiceAccount"),
        priority=1,
    ),
)


WEBHOOKS = (
    NAME,
    Column(
        "Webhooks",
        "Webhooks indicates the number of webhooks registered in this configuration",
        count("webhooks"),
        "integer",
    ),
    AGE,
)


COLUMNS: Mapping[str, tuple[Column, ...]] = {
    **CORE,
    **APPS,
    **STORED,
    "EndpointSlice.discovery.k8s.io": (
        NAME,
        Column("AddressType", "addressType", value("addressType")),
        Column("Ports", "ports", slice_ports),
        Column("Endpoints", "endpoints", slice_endpoints),
        AGE,
    ),
    "Lease.coordination.k8s.io": (
        NAME,
        Column("Holder", "spec.holderIdentity", value("spec.holderIdentity")),
        AGE,
    ),
    "Ingress.networking.k8s.io": (
        NAME,
        Column(
            "Class",
            "The name of the IngressClass resource that should be used for additional "
            "configuration",
            value("spec.ingressClassName", NONE),
        ),
        Column(
            "Hosts",
            "Hosts that incoming requests are matched against before the ingress rule",
            ingress_hosts,
        ),
        Column(
            "Address",
            "Address is a list containing ingress points for the load-balancer",
            lambda obj, _: addresses(obj),
        ),
        Column(
            "Ports",
            "Ports of TLS configurations that open",
            lambda obj, _: "80, 443" if get(obj, "spec.tls") else "80",
        ),
        AGE,
    ),
    "IngressClass.networking.k8s.io": (
        NAME,
        Column(
            "Controller",
            "Controller that is responsible for handling this class",
            value("spec.controller"),
        ),
        Column(
            "Parameters",
            "A reference to a resource with additional parameters",
            lambda obj, _: (
                "/".join(str(get(obj, f"spec.parameters.{k}", "")) for k in ("kind", "name"))
                if get(obj, "spec.parameters")
                else NONE
            ),
        ),
        AGE,
    ),
    "NetworkPolicy.networking.k8s.io": (
        NAME,
        Column("Pod-Selector", "spec.podSelector", selector("spec.podSelector")),
        AGE,
    ),
    "PodDisruptionBudget.policy": (
        NAME,
        Column(
            "Min Available",
            "The minimum number of pods that must be available.",
            lambda obj, _: str(get(obj, "spec.minAvailable", "N/A")),
        ),
        Column(
            "Max Unavailable",
            "The maximum number of pods that may be unavailable.",
            lambda obj, _: str(get(obj, "spec.maxUnavailable", "N/A")),
        ),
        Column(
            "Allowed Disruptions",
            "Calculated number of pods that may be disrupted at this time.",
            value("status.disruptionsAllowed", 0),
            "integer",
        ),
        AGE,
    ),
    "RoleBinding.rbac.authorization.k8s.io": BINDING,
    "ClusterRoleBinding.rbac.authorization.k8s.io": BINDING,
    "MutatingWebhookConfiguration.admissionregistration.k8s.io": WEBHOOKS,
    "ValidatingWebhookConfiguration.admissionregistration.k8s.io": WEBHOOKS,
    "APIService.apiregistration.k8s.io": (
        NAME,
        Column(
            "Service", "The reference to the service that hosts this API endpoint.", api_service
        ),
        Column("Available", "Whether this service is available.", available),
        AGE,
    ),
    "StorageClass.storage.k8s.io": (
        NAME,
        Column("Provisioner", "provisioner", value("provisioner")),
        Column("ReclaimPolicy", "reclaimPolicy", value("reclaimPolicy", "Delete")),
        Column("VolumeBindingMode", "volumeBindingMode", value("volumeBindingMode", "Immediate")),
        Column(
            "AllowVolumeExpansion",
            "allowVolumeExpansion",
            lambda obj, _: bool(get(obj, "allowVolumeExpansion")),
        ),
        AGE,
    ),
    "PriorityClass.scheduling.k8s.io": (
        NAME,
        Column("Value", "value", value("value", 0)),
        Column("Global-Default", "globalDefault", lambda obj, _: bool(get(obj, "globalDefault"))),
        AGE,
        Column(
            "PreemptionPolicy",
            "preemptionPolicy",
            value("preemptionPolicy", "PreemptLowerPriority"),
            priority=1,
        ),
    ),
}
