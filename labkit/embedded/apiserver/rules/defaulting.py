"""Values that Kubernetes fills in when a manifest leaves them out: the rules of `default_rules`.

Values that the server allocates (addresses, names, tokens) are not defaults and not here.
"""

import base64
import dataclasses
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from labkit.embedded.apiserver.rules.decoding import without_nulls
from labkit.embedded.apiserver.rules.default_pods import Object, Positive
from labkit.embedded.apiserver.rules.default_rules import RULES
from labkit.embedded.apiserver.rules.normalising import normalise
from labkit.embedded.apiserver.rules.schemas import Schemas
from labkit.embedded.apiserver.rules.values import clone, has_null


@dataclass
class Branch:
    """Rules as a tree: fields of this dict first, then what is below it."""

    fields: list[tuple[str, Any]] = dataclasses.field(default_factory=list)
    below: dict[str, "Branch"] = dataclasses.field(default_factory=dict)

    def add(self, path: str, name: str, value: Any) -> None:
        """Adds one row of the table."""
        branch = self
        for part in path.split(".") if path else ():
            branch = branch.below.setdefault(part.removesuffix("[]"), Branch())
        branch.fields.append((name, value))

    def fill(self, obj: Object) -> None:
        """Fills in an object in place."""
        for name, value in self.fields:
            given = obj.get(name)
            if given is not None and given != "" and (given != 0 or type(value) is not Positive):
                continue
            if value is ...:
                obj[name] = None
                continue
            found = value(obj) if callable(value) else clone(value)
            found = int(found) if type(value) is Positive else found
            if found is not None:
                obj[name] = found
        for key, branch in self.below.items():
            found = obj.get(key)
            if isinstance(found, dict):
                branch.fill(found)
            elif isinstance(found, list):
                for item in found:
                    if isinstance(item, dict):
                        branch.fill(item)


@functools.cache
def _rules_of(group: str, kind: str) -> Branch:
    root = Branch()
    for path, name, value in RULES.get((group, kind), ()):
        root.add(path, name, value)
    return root


WITH_NULLS = frozenset(key for key, rules in RULES.items() if any(rule[2] is ... for rule in rules))
"""Kinds of which some default is null."""


def apply_defaults(obj: Mapping[str, Any], *, conforms: bool = False) -> Object:
    """Returns a copy of a built-in object with Kubernetes' defaults filled in."""
    return fill_defaults(clone(dict(obj)), conforms=conforms)


def fill_defaults(obj: Object, *, conforms: bool = False) -> Object:
    """Fills Kubernetes' defaults into a built-in object that nobody else holds; returns it.

    Of one that conforms to its schema nobody needs to look for nulls.
    """
    group, _, version = str(obj.get("apiVersion", "")).rpartition("/")
    kind = str(obj.get("kind", ""))
    result = obj
    if not conforms and has_null(result):
        result = without_nulls(result, Schemas.load().for_kind(group, version, kind) or {})
    if (group, kind) == ("", "Secret"):
        _string_data(result)
    normalise(result, group, version, kind)
    _rules_of(group, kind).fill(result)
    extra = EXTRA.get((group, kind))
    if extra is not None:
        extra(result)
    return result


def _string_data(secret: Object) -> None:
    text = secret.pop("stringData", None)
    if isinstance(text, dict) and text:
        data = secret.get("data")
        secret["data"] = dict(data) if isinstance(data, dict) else {}
        for key, value in text.items():
            secret["data"][key] = base64.b64encode(str(value).encode()).decode()


def _pod(pod: Object) -> None:
    host = (pod.get("spec") or {}).get("hostNetwork")
    for kind in ("initContainers", "containers"):
        for container in (pod.get("spec") or {}).get(kind) or ():
            for port in container.get("ports") or () if host else ():
                if not port.get("hostPort") and port.get("containerPort"):
                    port["hostPort"] = port["containerPort"]
            resources = container.get("resources") or {}
            if resources.get("limits"):
                requests = resources.setdefault("requests", {})
                for name, amount in resources["limits"].items():
                    requests.setdefault(name, amount)
    if pod.get("status", {}).get("qosClass") is None:
        pod["status"]["qosClass"] = qos_class(pod.get("spec") or {})


def qos_class(spec: Mapping[str, Any]) -> str:
    """Returns the pod's quality-of-service class from its containers' requests and limits."""
    guaranteed, anything = True, False
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        resources = container.get("resources") or {}
        limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
        anything = anything or bool(limits or requests)
        for name in ("cpu", "memory"):
            if name not in limits or requests.get(name, limits[name]) != limits[name]:
                guaranteed = False
    if not anything:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _namespace(namespace: Object) -> None:
    metadata = namespace["metadata"]
    if metadata.get("name"):
        metadata["labels"]["kubernetes.io/metadata.name"] = metadata["name"]
    if not metadata["labels"]:
        del metadata["labels"]


def _crd(crd: Object) -> None:
    status = crd["status"]
    status.setdefault("acceptedNames", {"plural": "", "kind": ""})
    if not status.get("storedVersions"):
        versions = (crd.get("spec") or {}).get("versions") or ()
        status["storedVersions"] = [item["name"] for item in versions if item.get("storage")]


def _controller(controller: Object) -> None:
    """The labels of the template are those of a ReplicationController without any."""
    template = (controller.get("spec") or {}).get("template") or {}
    labels = (template.get("metadata") or {}).get("labels")
    if labels and not controller["metadata"].get("labels"):
        controller["metadata"]["labels"] = dict(labels)


def _autoscaler(autoscaler: Object) -> None:
    """Without metrics, four fifths of the requested CPU."""
    spec = autoscaler.get("spec") or {}
    if autoscaler.get("apiVersion") == "autoscaling/v1":
        autoscaler["status"].setdefault("currentReplicas", 0)
        spec.setdefault("targetCPUUtilizationPercentage", 80)
    elif spec and not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]


def _limit_range(limits: Object) -> None:
    for item in (limits.get("spec") or {}).get("limits") or ():
        if item.get("type") != "Container":
            continue
        for field, source in (
            ("default", "max"),
            ("defaultRequest", "default"),
            ("defaultRequest", "min"),
        ):
            values = {**(item.get(source) or {}), **(item.get(field) or {})}
            if values:
                item[field] = values


def _service(service: Object) -> None:
    for port in service["spec"].get("ports") or ():
        port["targetPort"] = port.get("targetPort") or port.get("port")


EXTRA: Mapping[tuple[str, str], Callable[[Object], None]] = {
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _crd,
    ("", "LimitRange"): _limit_range,
    ("", "Pod"): _pod,
    ("", "ReplicationController"): _controller,
    ("", "Service"): _service,
    ("autoscaling", "HorizontalPodAutoscaler"): _autoscaler,
    ("", "Namespace"): _namespace,
}
