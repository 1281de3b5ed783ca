"""What Kubernetes demands of webhooks: where they are called, and what they are asked about."""

import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from labkit.embedded.apiserver.rules import names
from labkit.embedded.apiserver.rules.causes import Problems
from labkit.embedded.apiserver.rules.schedulingrules import label_selector

Object = Mapping[str, Any]
REVIEWS = ("v1", "v1beta1")
OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
SCOPES = ("*", "Cluster", "Namespaced")
EFFECTS = ("None", "NoneOnDryRun")
FORM = "; desired format: https://host[/path]"
DOMAIN = "should be a domain with at least three segments separated by dots"


def webhooks(obj: Object, old: Object | None, problems: Problems) -> None:
    """The webhooks of a configuration."""
    del old
    seen: set[str] = set()
    for index, hook in enumerate(obj.get("webhooks") or ()):
        path, name = f"webhooks[{index}]", hook.get("name") or ""
        if name in seen:
            problems.duplicate(f"{path}.name", name)
        seen.update([name] if name else [])
        _name(name, f"{path}.name", problems)
        for number, rule in enumerate(hook.get("rules") or ()):
            _rule(rule, f"{path}.rules[{number}]", problems)
        _policies(hook, path, problems)
        for field in ("namespaceSelector", "objectSelector"):
            label_selector(hook.get(field), f"{path}.{field}", problems)
        client(hook.get("clientConfig") or {}, f"{path}.clientConfig", problems)
        for number, condition in enumerate(hook.get("matchConditions") or ()):
            where = f"{path}.matchConditions[{number}]"
            if not str(condition.get("expression") or "").strip():
                problems.required(f"{where}.expression")
            if not condition.get("name"):
                problems.required(f"{where}.name")
        given = hook.get("admissionReviewVersions") or ()
        reviews(given, f"{path}.admissionReviewVersions", problems)


def _name(name: str, field: str, problems: Problems) -> None:
    if not name:
        problems.required(field)
    elif wrong := names.dns_subdomain(name):
        problems.invalid(field, name, ",".join(wrong))
    elif len(name.split(".")) < 3:
        problems.invalid(field, name, DOMAIN)


def _policies(hook: Object, path: str, problems: Problems) -> None:
    for field, known in (
        ("failurePolicy", ("Fail", "Ignore")),
        ("matchPolicy", ("Equivalent", "Exact")),
    ):
        value = hook.get(field)
        if value is not None and value not in known:
            problems.unsupported(f"{path}.{field}", value, known)
    effects = hook.get("sideEffects")
    if effects is None:
        problems.required(f"{path}.sideEffects", f"must specify one of {', '.join(EFFECTS)}")
    elif effects not in EFFECTS:
        problems.unsupported(f"{path}.sideEffects", effects, EFFECTS)
    seconds = hook.get("timeoutSeconds")
    if seconds is not None and not 1 <= seconds <= 30:
        detail = "the timeout value must be between 1 and 30 seconds"
        problems.invalid(f"{path}.timeoutSeconds", seconds, detail)


def _rule(rule: Object, path: str, problems: Problems) -> None:
    operations = rule.get("operations") or []
    _listed(operations, f"{path}.operations", problems, ("*", "operations"))
    for index, operation in enumerate(operations):
        if operation not in OPERATIONS:
            problems.unsupported(f"{path}.operations[{index}]", operation, OPERATIONS)
    _listed(rule.get("apiGroups") or [], f"{path}.apiGroups", problems, ("*", "API groups"))
    versions = rule.get("apiVersions") or []
    _listed(versions, f"{path}.apiVersions", problems, ("*", "API versions"))
    for index, version in enumerate(versions):
        if not version:
            problems.required(f"{path}.apiVersions[{index}]")
    resources = rule.get("resources") or []
    _listed(resources, f"{path}.resources", problems, ("*/*", "resources"))
    for index, resource in enumerate(resources):
        if not resource:
            problems.required(f"{path}.resources[{index}]")
    scope = rule.get("scope")
    if scope is not None and scope not in SCOPES:
        problems.unsupported(f"{path}.scope", scope, SCOPES)


def _listed(values: Sequence[str], field: str, problems: Problems, alone: tuple[str, str]) -> None:
    """A list that is not empty, and has nothing beside what stands for everything."""
    everything, what = alone
    if not values:
        problems.required(field)
    elif everything in values and len(values) > 1:
        detail = f"if '{everything}' is present, must not specify other {what}"
        problems.invalid(field, values, detail)


def client(given: Object, path: str, problems: Problems) -> None:
    """Where a webhook is called: at a URL or at a service."""
    url, service = given.get("url"), given.get("service")
    if (url is None) == (service is None):
        problems.required(path, "exactly one of url or service is required")
    elif url is not None:
        _url(url, f"{path}.url", problems)
    else:
        _service(service or {}, f"{path}.service", problems)


def _url(text: str, field: str, problems: Problems) -> None:
    try:
        url = urllib.parse.urlsplit(text)
        host = url.hostname
    except ValueError as error:
        problems.required(field, f"url must be a valid URL: {error}{FORM}")
        return
    if url.scheme != "https":
        problems.invalid(field, url.scheme, f"'https' is the only allowed URL scheme{FORM}")
    if not host:
        problems.invalid(field, "", f"host must be specified{FORM}")
    user, found, _ = url.netloc.rpartition("@")
    if found:
        problems.invalid(field, user, "user information is not permitted in the URL")
    if url.fragment:
        problems.invalid(field, url.fragment, "fragments are not permitted in the URL")
    if url.query:
        problems.invalid(field, url.query, "query parameters are not permitted in the URL")


def _service(service: Object, path: str, problems: Problems) -> None:
    for field in ("name", "namespace"):
        if not service.get(field):
            problems.required(f"{path}.{field}", f"service {field} is required")
    port, place = service.get("port"), service.get("path") or "/"
    if port is not None and not 0 < port < 65536:
        problems.invalid(f"{path}.port", port, f"port is not valid: {names.PORT_RANGE}")
    if place == "/":
        return
    if not place.startswith("/"):
        problems.invalid(f"{path}.path", place, "must start with a '/'")
    for index, step in enumerate(place.removeprefix("/").removesuffix("/").split("/")):
        wrong = names.dns_subdomain(step) if step else []
        if not step:
            problems.invalid(f"{path}.path", place, f"segment[{index}] may not be empty")
        for detail in wrong:
            problems.invalid(f"{path}.path", place, f"segment[{index}]: {detail}")


def reviews(versions: Sequence[str], field: str, problems: Problems) -> None:
    """Versions of the review that a webhook understands, one of which the server knows."""
    if not versions:
        problems.required(field, f"must specify one of {', '.join(REVIEWS)}")
        return
    for index, version in enumerate(versions):
        if version in versions[:index]:
            problems.invalid(f"{field}[{index}]", version, "duplicate version")
        else:
            problems.invalid(f"{field}[{index}]", version, *names.dns_1035_label(version))
    if not set(REVIEWS) & set(versions):
        detail = f"must include at least one of {', '.join(REVIEWS)}"
        problems.invalid(field, list(versions), detail)
