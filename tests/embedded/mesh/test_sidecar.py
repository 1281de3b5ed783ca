"""What injection adds, and to whom."""

import jsonpatch
import pytest

from labkit.embedded.mesh.sidecar import SidecarOptions, pod_patch, service_patch, skip_reason

OPTIONS = SidecarOptions(version="edge-26.6.3", trust_anchors="PEM")
ENABLED = {"linkerd.io/inject": "enabled"}


def namespace(**annotations: str) -> dict:
    return {"metadata": {"name": "emojivoto", "annotations": annotations}}


def pod(annotations: dict | None = None, **spec) -> dict:
    return {
        "metadata": {
            "labels": {"pod-template-hash": "77f8"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "vote-bot-77f8"}],
            **({"annotations": annotations} if annotations else {}),
        },
        "spec": {"containers": [{"name": "bot"}], **spec},
    }


@pytest.mark.parametrize(
    ("item", "space", "reason"),
    [
        (pod(), namespace(), "neither the namespace nor the pod asks for it"),
        (pod({"linkerd.io/inject": "disabled"}), namespace(**ENABLED), "inject: disabled"),
        (pod(hostNetwork=True), namespace(**ENABLED), "hostNetwork is enabled"),
        (
            pod(initContainers=[{"name": "linkerd-proxy"}]),
            namespace(**ENABLED),
            "the pod already has a sidecar",
        ),
        (pod(), namespace(**ENABLED), None),
        (pod(ENABLED), namespace(), None),
        (pod({"linkerd.io/inject": "ingress"}), namespace(), None),
    ],
)
def test_a_pod_is_injected_when_it_or_its_namespace_asks(item, space, reason) -> None:
    assert skip_reason(item, space) == reason


def test_the_patch_makes_a_native_sidecar_with_linkerds_marks() -> None:
    original = pod(initContainers=[{"name": "setup"}], volumes=[{"name": "data"}])
    space = namespace(**ENABLED, **{"config.linkerd.io/proxy-log-level": "debug"})
    patched = jsonpatch.apply_patch(original, pod_patch(original, space, OPTIONS))
    sidecar, setup = patched["spec"]["initContainers"]
    assert setup == {"name": "setup"}
    assert {port["name"]: port["containerPort"] for port in sidecar["ports"]} == {
        "linkerd-proxy": 4143,
        "linkerd-admin": 4191,
    }
    assert sidecar["readinessProbe"]["httpGet"] == {"path": "/ready", "port": 4191}
    metadata = patched["metadata"]
    assert metadata["labels"] == {
        "pod-template-hash": "77f8",
        "linkerd.io/control-plane-ns": "linkerd",
        "linkerd.io/proxy-deployment": "vote-bot",
        "linkerd.io/workload-ns": "emojivoto",
    }
    assert metadata["annotations"]["linkerd.io/proxy-version"] == "edge-26.6.3"
    assert metadata["annotations"]["config.linkerd.io/proxy-log-level"] == "debug"
    assert len(metadata["annotations"]["linkerd.io/trust-root-sha256"]) == 64
    assert next(volume["name"] for volume in patched["spec"]["volumes"]) == "data"


def test_a_pods_own_configuration_wins_over_its_namespaces() -> None:
    own = {"config.linkerd.io/opaque-ports": "1", **ENABLED}
    space = namespace(**{"config.linkerd.io/opaque-ports": "2"})
    patched = jsonpatch.apply_patch(pod(own), pod_patch(pod(own), space, OPTIONS))
    assert patched["metadata"]["annotations"]["config.linkerd.io/opaque-ports"] == "1"


def test_a_service_inherits_opaque_ports() -> None:
    space = namespace(**{"config.linkerd.io/opaque-ports": "3306"})
    service = {"metadata": {"name": "db"}}
    patched = jsonpatch.apply_patch(service, service_patch(service, space))
    assert patched["metadata"]["annotations"] == {"config.linkerd.io/opaque-ports": "3306"}
    assert service_patch(service, namespace()) == []
