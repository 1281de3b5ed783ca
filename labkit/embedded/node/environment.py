"""The environment and command line of a container, resolved as the kubelet does it.

Pure apart from one thing: values from secrets and config maps come through a function that the
caller gives. ``enableServiceLinks`` is deliberately not imitated (variables per service); programs
find services by name.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

Reader = Callable[[str, str], Awaitable[dict[str, Any] | None]]
"""(kind "secrets" or "configmaps", name) → object of the pod's namespace, or None."""

_REFERENCE = re.compile(r"\$(\$|\([-._a-zA-Z][-._a-zA-Z0-9]*\))")


class ConfigProblem(Exception):  # noqa: N818 - the kubelet calls it CreateContainerConfigError
    """The container cannot be configured yet; the message is the kubelet's."""


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace ``$(NAME)``; unknown names stay, ``$$(NAME)`` escapes.

    Example:
        >>> expand("$(HOST):80 $$(HOST) $(NONE)", {"HOST": "web"})
        'web:80 $(HOST) $(NONE)'
    """

    def replaced(match: re.Match[str]) -> str:
        found = match.group(1)
        if found == "$":
            return "$"
        return values.get(found[1:-1], match.group(0))

    return _REFERENCE.sub(replaced, text)


def command_line(container: Mapping[str, Any], env: Mapping[str, str]) -> tuple[str, ...]:
    """``command`` and ``args`` with variables replaced."""
    words: Sequence[str] = [*(container.get("command") or []), *(container.get("args") or [])]
    return tuple(expand(str(word), env) for word in words)


def field_value(pod: Mapping[str, Any], path: str) -> str:
    """A field of the pod for the downward API.

    Raises:
        ConfigProblem: the kubelet knows no such field.
    """
    found = re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path)
    if found:
        return str((pod["metadata"].get(found.group(1)) or {}).get(found.group(2), ""))
    if path in ("metadata.labels", "metadata.annotations"):
        items = (pod["metadata"].get(path.partition(".")[2]) or {}).items()
        return "\n".join(f'{key}="{_escaped(value)}"' for key, value in sorted(items))
    known = {
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.podIP",
        "status.podIPs",
        "status.hostIP",
        "status.hostIPs",
    }
    if path not in known:
        raise ConfigProblem(f"unsupported fieldPath: {path}")
    value: Any = pod
    for part in path.removesuffix("s" if path.endswith("IPs") else "").split("."):
        value = (value or {}).get(part)
    return "" if value is None else str(value)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def resource_value(
    pod_containers: Sequence[Mapping[str, Any]],
    own: str,
    reference: Mapping[str, Any],
    capacity: Mapping[str, int],
) -> str:
    """``resourceFieldRef``: a limit or request; the node's capacity where no limit is set."""
    name = reference.get("containerName") or own
    section, _, resource = str(reference["resource"]).partition(".")
    container = next((item for item in pod_containers if item["name"] == name), {})
    text = ((container.get("resources") or {}).get(section) or {}).get(resource)
    amount = capacity.get(resource, 0) if text is None and section == "limits" else _quantity(text)
    divisor = _quantity(reference.get("divisor") or "1") or 1
    return str(-int(-amount // divisor))  # rounded up, as the kubelet does


_SUFFIXES = {
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}


def _quantity(text: Any) -> float:
    found = re.fullmatch(r"([0-9.]+)(m|k|M|G|T|Ki|Mi|Gi|Ti)?", str(text or "0"))
    return float(found.group(1)) * _SUFFIXES.get(found.group(2) or "", 1) if found else 0.0


class EnvironmentResolver:
    """Resolves the environment of the containers of one pod."""

    def __init__(
        self, pod: Mapping[str, Any], read: Reader, *, capacity: Mapping[str, int]
    ) -> None:
        self._pod = pod
        self._read = read
        self._capacity = capacity

    async def resolve(self, container: Mapping[str, Any]) -> dict[str, str]:
        """Every variable of a container, in the order of the spec.

        Raises:
            ConfigProblem: a secret, config map or key that must exist does not.
        """
        values = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
        for source in container.get("envFrom") or []:
            values.update(await self._from_source(source))
        for item in container.get("env") or []:
            if "valueFrom" in item:
                value = await self._from_reference(item["valueFrom"], container["name"])
                if value is not None:
                    values[item["name"]] = value
            else:
                values[item["name"]] = expand(str(item.get("value") or ""), values)
        return values

    async def _from_source(self, source: Mapping[str, Any]) -> dict[str, str]:
        reference = source.get("configMapRef") or source.get("secretRef") or {}
        kind = "configmaps" if "configMapRef" in source else "secrets"
        found = await self._read(kind, reference.get("name", ""))
        if found is None:
            if reference.get("optional"):
                return {}
            raise ConfigProblem(f'{_kind_word(kind)} "{reference.get("name")}" not found')
        prefix = source.get("prefix") or ""
        return {prefix + key: _text(kind, value) for key, value in _data(found).items()}

    async def _from_reference(self, reference: Mapping[str, Any], own: str) -> str | None:
        if "fieldRef" in reference:
            return field_value(self._pod, reference["fieldRef"]["fieldPath"])
        if "resourceFieldRef" in reference:
            spec = self._pod["spec"]
            containers = [*(spec.get("initContainers") or []), *spec["containers"]]
            ref = reference["resourceFieldRef"]
            return resource_value(containers, own, ref, self._capacity)
        kind = "configmaps" if "configMapKeyRef" in reference else "secrets"
        key_ref = reference.get("configMapKeyRef") or reference.get("secretKeyRef") or {}
        name, key = key_ref.get("name", ""), key_ref.get("key", "")
        found = await self._read(kind, name)
        optional = bool(key_ref.get("optional"))
        if found is None and not optional:
            raise ConfigProblem(f'{_kind_word(kind)} "{name}" not found')
        data = _data(found or {})
        if key not in data:
            if optional:
                return None
            space = self._pod["metadata"]["namespace"]
            word = "Secret" if kind == "secrets" else "ConfigMap"
            raise ConfigProblem(f"couldn't find key {key} in {word} {space}/{name}")
        return _text(kind, data[key])


def _kind_word(kind: str) -> str:
    return kind.removesuffix("s")


def _data(found: Mapping[str, Any]) -> dict[str, str]:
    return found.get("data") or {}


def _text(kind: str, value: str) -> str:
    import base64

    return base64.b64decode(value).decode(errors="replace") if kind == "secrets" else value
