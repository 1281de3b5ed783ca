"""What Kubernetes fills in in pods and pod templates, as rows of a table (see `default_rules`)."""

from collections.abc import Iterable
from typing import Any

Object = dict[str, Any]
Rule = tuple[str, str, Any]


class Positive(int):
    """A default for a field in which 0 means that it was left out."""


def _image_policy(container: Object) -> str:
    image = str(container.get("image", ""))
    last = image.split("@", 1)[0].rsplit("/", 1)[-1]
    latest = "@" not in image and (":" not in last or last.endswith(":latest"))
    return "Always" if latest else "IfNotPresent"


CONTAINER_RULES: tuple[Rule, ...] = (
    ("", "resources", {}),
    ("", "terminationMessagePath", "/dev/termination-log"),
    ("", "terminationMessagePolicy", "File"),
    ("", "imagePullPolicy", _image_policy),
    ("ports[]", "protocol", "TCP"),
    ("env[].valueFrom.fieldRef", "apiVersion", "v1"),
    ("env[].valueFrom.resourceFieldRef", "divisor", "0"),
    *(
        (f"{probe}{path}", field, value)
        for probe in ("livenessProbe", "readinessProbe", "startupProbe")
        for path, field, value in (
            ("", "timeoutSeconds", Positive(1)),
            ("", "periodSeconds", Positive(10)),
            ("", "successThreshold", Positive(1)),
            ("", "failureThreshold", Positive(3)),
            (".httpGet", "path", "/"),
            (".httpGet", "scheme", "HTTP"),
            (".grpc", "service", ""),
        )
    ),
    ("lifecycle.postStart.httpGet", "path", "/"),
    ("lifecycle.postStart.httpGet", "scheme", "HTTP"),
    ("lifecycle.preStop.httpGet", "path", "/"),
    ("lifecycle.preStop.httpGet", "scheme", "HTTP"),
)


def _account(spec: Object) -> Any:
    return spec.get("serviceAccount")


def _old_account(spec: Object) -> Any:
    return spec.get("serviceAccountName")


def _no_source(volume: Object) -> Any:
    return {} if all(value is None for key, value in volume.items() if key != "name") else None


def _volume_policy(volume: Object) -> str:
    return _image_policy({"image": volume.get("reference", "")})


POD_SPEC_RULES: tuple[Rule, ...] = (
    ("", "restartPolicy", "Always"),
    ("", "terminationGracePeriodSeconds", 30),
    ("", "dnsPolicy", "ClusterFirst"),
    ("", "serviceAccountName", _account),
    ("", "serviceAccount", _old_account),
    ("", "securityContext", {}),
    ("", "schedulerName", "default-scheduler"),
    ("volumes[].secret", "defaultMode", 420),
    ("volumes[].configMap", "defaultMode", 420),
    ("volumes[].downwardAPI", "defaultMode", 420),
    ("volumes[].projected", "defaultMode", 420),
    ("volumes[].downwardAPI.items[].fieldRef", "apiVersion", "v1"),
    ("volumes[].projected.sources[].downwardAPI.items[].fieldRef", "apiVersion", "v1"),
    ("volumes[].projected.sources[].serviceAccountToken", "expirationSeconds", 3600),
    ("volumes[].downwardAPI.items[].resourceFieldRef", "divisor", "0"),
    ("volumes[].projected.sources[].downwardAPI.items[].resourceFieldRef", "divisor", "0"),
    ("volumes[].hostPath", "type", ""),
    ("volumes[].image", "pullPolicy", _volume_policy),
    ("volumes[]", "emptyDir", _no_source),
    ("topologySpreadConstraints[]", "nodeAffinityPolicy", "Honor"),
    ("topologySpreadConstraints[]", "nodeTaintsPolicy", "Ignore"),
    *(
        (f"{kind}[]{'.' if path else ''}{path}", field, value)
        for kind in ("initContainers", "containers", "ephemeralContainers")
        for path, field, value in CONTAINER_RULES
    ),
)


def under(prefix: str, rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Returns rules for something below a path."""
    return tuple((f"{prefix}.{path}" if path else prefix, f, v) for path, f, v in rules)
