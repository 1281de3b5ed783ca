"""What Kubernetes demands of the security contexts of pods and containers."""

from collections.abc import Mapping
from typing import Any

from labkit.embedded.apiserver.rules.causes import Problems

Object = Mapping[str, Any]
SECCOMP_TYPES = ("Localhost", "RuntimeDefault", "Unconfined")
ID_RANGE = "must be between 0 and 2147483647, inclusive"


def local_path(value: str, field: str, problems: Problems) -> None:
    """A relative path that stays below where it starts."""
    if value.startswith("/"):
        problems.invalid(field, value, "must be a relative path")
    if ".." in value.split("/"):
        problems.invalid(field, value, "must not contain '..'")


def security_context(given: Object, path: str, problems: Problems) -> None:
    """Who a container runs as, and what it may."""
    for field in ("runAsUser", "runAsGroup"):
        identity(given.get(field), f"{path}.{field}", problems)
    seccomp(given.get("seccompProfile"), f"{path}.seccompProfile", problems)
    if given.get("allowPrivilegeEscalation") is not False:
        return
    added = (given.get("capabilities") or {}).get("add") or ()
    for wrong, what in (
        (given.get("privileged"), "`privileged` to true"),
        ("CAP_SYS_ADMIN" in added, "`capabilities.Add` CAP_SYS_ADMIN"),
    ):
        if wrong:
            detail = f"cannot set `allowPrivilegeEscalation` to false and {what}"
            problems.invalid(path, _security_shape(given), detail)


def _security_shape(given: Object) -> Object:
    """A security context as the server's own type prints it."""
    added = given.get("capabilities")
    shape = {} if added is None else {"Add": added.get("add"), "Drop": added.get("drop")}
    return {
        "Capabilities": shape or None,
        "Privileged": given.get("privileged"),
        "SELinuxOptions": given.get("seLinuxOptions"),
        "WindowsOptions": None,
        "RunAsUser": given.get("runAsUser"),
        "RunAsGroup": given.get("runAsGroup"),
        "RunAsNonRoot": given.get("runAsNonRoot"),
        "ReadOnlyRootFilesystem": given.get("readOnlyRootFilesystem"),
        "AllowPrivilegeEscalation": given.get("allowPrivilegeEscalation"),
        "ProcMount": given.get("procMount"),
        "SeccompProfile": given.get("seccompProfile"),
        "AppArmorProfile": given.get("appArmorProfile"),
    }


def identity(value: Any, field: str, problems: Problems) -> None:
    """The number of a user or group."""
    if value is not None and not 0 <= value < 2**31:
        problems.invalid(field, value, ID_RANGE)


def seccomp(profile: Object | None, path: str, problems: Problems) -> None:
    """A seccomp profile; one of the node has a file."""
    if profile is None:
        return
    kind, file = profile.get("type") or "", profile.get("localhostProfile")
    if not kind:
        problems.required(f"{path}.type", "type is required when seccompProfile is set")
    elif kind not in SECCOMP_TYPES:
        problems.unsupported(f"{path}.type", kind, SECCOMP_TYPES)
    where = f"{path}.localhostProfile"
    if kind == "Localhost":
        if file is None:
            problems.required(where, "must be set when seccomp type is Localhost")
        else:
            local_path(file, where, problems)
    elif file is not None:
        shape = {"Type": kind, "LocalhostProfile": file}
        problems.invalid(where, shape, "can only be set when seccomp type is Localhost")
