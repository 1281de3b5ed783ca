"""What Kubernetes demands of an APIService: its name, its priorities, where its server is."""

from collections.abc import Mapping
from typing import Any

from labkit.embedded.apiserver.rules import names
from labkit.embedded.apiserver.rules.causes import Problems

Object = Mapping[str, Any]


def api_service(obj: Object, old: Object | None, problems: Problems) -> None:
    """Name, group and version, priorities, and a service or nothing of one."""
    del old
    spec: Object = obj.get("spec") or {}
    group, version = spec.get("group") or "", spec.get("version") or ""
    name, wanted = str((obj.get("metadata") or {}).get("name") or ""), f"{version}.{group}"
    if name and name != wanted and not names.path_segment(name):
        detail = f'must be `spec.version+"."+spec.group`: "{wanted}"'
        problems.invalid("metadata.name", name, detail)
    if not group and version != "v1":
        detail = "only v1 may have an empty group and it better be legacy kube"
        problems.required("spec.group", detail)
    if group:
        problems.invalid("spec.group", group, *names.dns_subdomain(group))
    problems.invalid("spec.version", version, *names.dns_1035_label(version))
    for field, limit in (("groupPriorityMinimum", 20000), ("versionPriority", 1000)):
        value = spec.get(field) or 0
        if not 0 < value <= limit:
            detail = f"must be positive and less than {limit}"
            problems.invalid(f"spec.{field}", value, detail)
    _address(spec, problems)


def _address(spec: Object, problems: Problems) -> None:
    service, trusting = spec.get("service"), bool(spec.get("insecureSkipTLSVerify"))
    bundle = str(spec.get("caBundle") or "")
    if service is None:
        if bundle:
            size = len(bundle) * 3 // 4 - bundle.count("=")
            detail = "local APIServices may not have a caBundle"
            problems.invalid("spec.caBundle", f"{size} bytes", detail)
        if trusting:
            detail = "local APIServices may not have insecureSkipTLSVerify"
            problems.invalid("spec.insecureSkipTLSVerify", trusting, detail)
        return
    for field in ("namespace", "name"):
        if not service.get(field):
            problems.required(f"spec.service.{field}")
    port = service.get("port")
    if port is not None and not 0 < port < 65536:
        detail = "port is not valid: must be between 1 and 65535, inclusive"
        problems.invalid("spec.service.port", port, detail)
    if trusting and bundle:
        detail = "may not be true if caBundle is present"
        problems.invalid("spec.insecureSkipTLSVerify", trusting, detail)
