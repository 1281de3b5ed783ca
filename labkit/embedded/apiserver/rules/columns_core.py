"""The columns of the core group: pods, services, nodes, events and what they stand on."""

from collections.abc import Mapping

from labkit.embedded.apiserver.rules.ages import UNKNOWN
from labkit.embedded.apiserver.rules.cells import (
    NONE,
    cluster_ip,
    count,
    endpoints,
    event,
    event_count,
    event_first,
    event_last,
    event_message,
    event_object,
    event_source,
    external_ip,
    gates,
    kernel,
    labels,
    node_address,
    node_roles,
    node_status,
    pod,
    service_ports,
    value,
)
from labkit.embedded.apiserver.rules.column import AGE, NAME, REPLICAS, Column, template
from labkit.embedded.apiserver.rules.columns_stored import access_modes

POD = (
    NAME,
    Column(
        "Ready", "The aggregate readiness state of this pod for accepting traffic.", pod("ready")
    ),
    Column("Status", "The aggregate status of the containers in this pod.", pod("status")),
    Column(
        "Restarts",
        "The number of times the containers in this pod have been restarted and when the last "
        "container in this pod has restarted.",
        pod("restarts"),
    ),
    AGE,
    Column("IP", "status.podIP", value("status.podIP", NONE), priority=1),
    Column("Node", "spec.nodeName", value("spec.nodeName", NONE), priority=1),
    Column(
        "Nominated Node",
        "status.nominatedNodeName",
        value("status.nominatedNodeName", NONE),
        priority=1,
    ),
    Column("Readiness Gates", "spec.readinessGates", gates, priority=1),
)


SERVICE = (
    NAME,
    Column("Type", "spec.type", value("spec.type")),
    Column("Cluster-IP", "spec.clusterIP", cluster_ip),
    Column("External-IP", "spec.externalIPs", external_ip),
    Column("Port(s)", "spec.ports", service_ports),
    AGE,
    Column("Selector", "spec.selector", labels("spec.selector"), priority=1),
)


NODE = (
    NAME,
    Column("Status", "The status of the node", node_status),
    Column("Roles", "The roles of the node", node_roles),
    AGE,
    Column(
        "Version",
        "Kubelet Version reported by the node.",
        value("status.nodeInfo.kubeletVersion"),
    ),
    Column("Internal-IP", "status.addresses", node_address("InternalIP"), priority=1),
    Column("External-IP", "status.addresses", node_address("ExternalIP"), priority=1),
    Column(
        "OS-Image",
        "OS Image reported by the node from /etc/os-release (e.g. Debian GNU/Linux 7 (wheezy)).",
        value("status.nodeInfo.osImage", UNKNOWN),
        priority=1,
    ),
    Column(
        "Kernel-Version",
        "Kernel Version reported by the node from 'uname -r' (e.g. 3.16.0-0.bpo.4-amd64).",
        kernel,
        priority=1,
    ),
    Column(
        "Container-Runtime",
        "ContainerRuntime Version reported by the node through runtime remote API "
        "(e.g. containerd://1.4.2).",
        value("status.nodeInfo.containerRuntimeVersion", UNKNOWN),
        priority=1,
    ),
)


EVENT = (
    Column(
        "Last Seen",
        "The time at which the most recent occurrence of this event was recorded.",
        event_last,
    ),
    Column("Type", "type", value("type")),
    Column("Reason", "reason", value("reason")),
    Column("Object", "The object that this event is about.", event_object),
    Column(
        "Subobject",
        "involvedObject.fieldPath",
        event("involvedObject.fieldPath", "regarding.fieldPath"),
        priority=1,
    ),
    Column(
        "Source",
        "source",
        event_source,
        priority=1,
    ),
    Column("Message", "message", event_message),
    Column(
        "First Seen",
        "firstTimestamp",
        event_first,
        priority=1,
    ),
    Column("Count", "count", event_count, priority=1),
    Column("Name", "metadata.name", value("metadata.name"), priority=1, format="name"),
)


CORE: Mapping[str, tuple[Column, ...]] = {
    "Pod": POD,
    "Service": SERVICE,
    "Node": NODE,
    "Event": EVENT,
    "Event.events.k8s.io": EVENT,
    "Endpoints": (NAME, Column("Endpoints", "subsets", endpoints), AGE),
    "Namespace": (
        NAME,
        Column("Status", "The status of the namespace", value("status.phase")),
        AGE,
    ),
    "ConfigMap": (NAME, Column("Data", "data", count("data", "binaryData")), AGE),
    "Secret": (
        NAME,
        Column("Type", "type", value("type")),
        Column("Data", "data", count("data")),
        AGE,
    ),
    "ServiceAccount": (NAME, AGE),
    "ReplicationController": (
        *REPLICAS,
        Column("Selector", "spec.selector", labels("spec.selector"), priority=1),
    ),
    "PodTemplate": (
        NAME,
        *(Column(c.name, c.about, c.cell) for c in template("template.spec")),
        Column(
            "Pod Labels",
            "The labels for the pod template",
            labels("template.metadata.labels"),
        ),
    ),
    "PersistentVolumeClaim": (
        NAME,
        Column("Status", "status.phase", value("status.phase")),
        Column("Volume", "spec.volumeName", value("spec.volumeName")),
        Column("Capacity", "status.capacity", value("status.capacity.storage")),
        Column(
            "Access Modes",
            "status.accessModes",
            access_modes("status.accessModes"),
        ),
        Column("StorageClass", "spec.storageClassName", value("spec.storageClassName")),
        Column(
            "VolumeAttributesClass",
            "spec.volumeAttributesClassName",
            value("spec.volumeAttributesClassName", "<unset>"),
        ),
        AGE,
        Column("VolumeMode", "spec.volumeMode", value("spec.volumeMode", "<unset>"), priority=1),
    ),
}
