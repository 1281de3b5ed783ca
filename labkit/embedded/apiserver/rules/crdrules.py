"""What Kubernetes demands of CustomResourceDefinitions: names, versions, columns, conversion.

Inside the server, parts that all versions share (schema, subresources, columns) stand once in the
spec; messages name those places. The schemas are judged in `crdschemas`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from labkit.embedded.apiserver.rules import names, webhookrules
from labkit.embedded.apiserver.rules.causes import Problems
from labkit.embedded.apiserver.rules.crdschemas import check_schema

Object = Mapping[str, Any]
COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
APPROVED = "api-approved.kubernetes.io"
SHARED = ("subresources", "schema", "additionalPrinterColumns", "selectableFields")
SELECTABLE = ("string", "boolean", "integer")
MOST_SELECTABLE = 8
STORED_BEFORE = (
    "missing from spec.versions; {0} was previously a storage version, and must remain in "
    "spec.versions until a storage migration ensures no data remains persisted in {0} and removes "
    "{0} from status.storedVersions"
)


def definition(obj: Object, old: Object | None, problems: Problems) -> None:
    """A CustomResourceDefinition."""
    spec, metadata = obj.get("spec") or {}, obj.get("metadata") or {}
    given, group = spec.get("names") or {}, spec.get("group") or ""
    name = metadata.get("name", "")
    if old is None and name and name != f"{given.get('plural', '')}.{group}":
        problems.invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')
    _group(group, problems)
    _scope(spec, problems)
    _versions(spec, problems)
    for field in ("plural", "singular", "kind", "listKind"):
        if not given.get(field):
            problems.required(f"spec.names.{field}")
    _names(given, "spec.names", problems)
    _shared_parts(spec, problems)
    _conversion(spec.get("conversion"), "spec.conversion", problems)
    if old is not None:
        _unchanged(spec, old, problems)
    status = obj.get("status") or {}
    _names(status.get("acceptedNames") or {}, "status.acceptedNames", problems)
    _stored(status.get("storedVersions") or [], spec.get("versions") or (), problems)
    _approval(group, metadata, old, problems)
    if spec.get("preserveUnknownFields"):
        detail = (
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in "
            "spec.versions[*].schema instead"
        )
        problems.invalid("spec.preserveUnknownFields", True, detail)


def _joined(field: str, value: str, wrong: list[str], problems: Problems) -> None:
    if wrong:
        problems.invalid(field, value, ",".join(wrong))


def _group(group: str, problems: Problems) -> None:
    if not group:
        problems.required("spec.group")
    elif wrong := names.dns_subdomain(group):
        _joined("spec.group", group, wrong, problems)
    elif "." not in group:
        problems.invalid("spec.group", group, "should be a domain with at least one dot")


def _scope(spec: Object, problems: Problems) -> None:
    scope = spec.get("scope") or ""
    if not scope:
        problems.required("spec.scope")
    elif scope not in ("Cluster", "Namespaced"):
        problems.unsupported("spec.scope", scope, ("Cluster", "Namespaced"))


def _is_shared(spec: Object, part: str) -> bool:
    """Whether all versions have the same part, which then stands in the spec."""
    versions: Sequence[Object] = spec.get("versions") or ()
    return all(version.get(part) == versions[0].get(part) for version in versions)


def _versions(spec: Object, problems: Problems) -> None:
    versions = spec.get("versions") or ()
    apart = [part for part in SHARED if not _is_shared(spec, part)]
    for index, version in enumerate(versions):
        if not (version.get("schema") or {}).get("openAPIV3Schema"):
            problems.required(f"spec.versions[{index}].schema.openAPIV3Schema")
    seen: set[str] = set()
    for index, version in enumerate(versions):
        path, name = f"spec.versions[{index}]", version.get("name") or ""
        seen.add(name)
        _joined(f"{path}.name", name, names.dns_1035_label(name), problems)
        warning = version.get("deprecationWarning")
        if warning is not None and not version.get("deprecated"):
            detail = "can only be set for deprecated versions"
            problems.invalid(f"{path}.deprecationWarning", warning, detail)
        elif warning is not None and not 0 < len(warning) <= 256:
            detail = "must be <= 256 characters long" if warning else "must not be an empty string"
            problems.invalid(f"{path}.deprecationWarning", warning, detail)
        _parts(version, path, apart, problems, schema="schema")
    shapes = [_shape(version, apart) for version in versions] if "versions" in spec else None
    if len(seen) != len(versions):
        problems.invalid(
            "spec.versions",
            shapes if "versions" in spec else None,
            "must contain unique version names",
        )
    if sum(bool(version.get("storage")) for version in versions) != 1:
        detail = "must have exactly one version marked as storage version"
        problems.invalid("spec.versions", shapes, detail)


def _shared_parts(spec: Object, problems: Problems) -> None:
    versions = spec.get("versions") or ()
    if versions:
        shared = [part for part in SHARED if _is_shared(spec, part)]
        _parts(versions[0], "spec", shared, problems, schema="validation")


def _parts(
    version: Object, path: str, parts: Sequence[str], problems: Problems, *, schema: str
) -> None:
    """The parts of a version that stand at a path; its schema has a name of its own there."""
    declared = (version.get("schema") or {}).get("openAPIV3Schema")
    if "schema" in parts and declared:
        check_schema(declared, f"{path}.{schema}.openAPIV3Schema", problems)
    if "subresources" in parts:
        _subresources(version.get("subresources") or {}, f"{path}.subresources", problems)
    if "additionalPrinterColumns" in parts:
        for index, column in enumerate(version.get("additionalPrinterColumns") or ()):
            _column(column, f"{path}.additionalPrinterColumns[{index}]", problems)
    if "selectableFields" in parts:
        fields = version.get("selectableFields") or ()
        _selectable(fields, declared or {}, f"{path}.selectableFields", problems)


def _shape(version: Object, apart: Sequence[str]) -> dict[str, Any]:
    """A version as the server's own type prints it."""

    def own(part: str) -> Any:
        return version.get(part) if part in apart else None

    return {
        "Name": version.get("name", ""),
        "Served": bool(version.get("served")),
        "Storage": bool(version.get("storage")),
        "Deprecated": bool(version.get("deprecated")),
        "DeprecationWarning": version.get("deprecationWarning"),
        "Schema": own("schema"),
        "Subresources": own("subresources"),
        "AdditionalPrinterColumns": own("additionalPrinterColumns"),
        "SelectableFields": own("selectableFields"),
    }


def _names(given: Object, path: str, problems: Problems) -> None:
    for field in ("plural", "singular"):
        if value := given.get(field):
            _joined(f"{path}.{field}", value, names.dns_1035_label(value), problems)
    for field in ("kind", "listKind"):
        value = given.get(field) or ""
        wrong = names.dns_1035_label(value.lower()) if value else []
        if wrong:
            detail = "may have mixed case, but should otherwise match: " + ",".join(wrong)
            problems.invalid(f"{path}.{field}", value, detail)
    for index, value in enumerate(given.get("shortNames") or ()):
        _joined(f"{path}.shortNames[{index}]", value, names.dns_1035_label(value), problems)
    if given.get("kind") and given["kind"] == given.get("listKind"):
        detail = "kind and listKind may not be the same"
        problems.invalid(f"{path}.listKind", given["listKind"], detail)
    for index, value in enumerate(given.get("categories") or ()):
        _joined(f"{path}.categories[{index}]", value, names.dns_1035_label(value), problems)


def _json_path(value: str, path: str, problems: Problems) -> bool:
    if value.startswith("."):
        return True
    problems.invalid(path, value, "must be a simple json path starting with .")
    return False


def _subresources(given: Object, path: str, problems: Problems) -> None:
    scale = given.get("scale")
    if scale is None:
        return
    for field, roots, words in (
        ("specReplicasPath", (".spec.",), ".spec"),
        ("statusReplicasPath", (".status.",), ".status"),
        ("labelSelectorPath", (".spec.", ".status."), "either .spec or .status"),
    ):
        value, where = scale.get(field) or "", f"{path}.scale.{field}"
        if not value:
            if field != "labelSelectorPath":
                problems.required(where)
        elif _json_path(value, where, problems) and not value.startswith(roots):
            problems.invalid(where, value, f"should be a json path under {words}")


def _column(column: Object, path: str, problems: Problems) -> None:
    kind, place = column.get("type") or "", column.get("jsonPath") or ""
    if not column.get("name"):
        problems.required(f"{path}.name")
    if kind not in COLUMN_TYPES:
        detail = f"must be one of {','.join(COLUMN_TYPES)}"
        if kind:
            problems.invalid(f"{path}.type", kind, detail)
        else:
            problems.required(f"{path}.type", detail)
    if column.get("format") and column["format"] not in COLUMN_FORMATS:
        detail = f"must be one of {','.join(COLUMN_FORMATS)}"
        problems.invalid(f"{path}.format", column["format"], detail)
    if not place:
        problems.required(f"{path}.JSONPath")
    else:
        _json_path(place, f"{path}.JSONPath", problems)


def _selectable(fields: Sequence[Object], schema: Object, path: str, problems: Problems) -> None:
    seen: set[str] = set()
    for index, item in enumerate(fields):
        where, place = f"{path}[{index}].jsonPath", item.get("jsonPath") or ""
        if not place:
            problems.required(where)
            continue
        found: Any = schema
        for part in place.removeprefix(".").split("."):
            found = ((found or {}).get("properties") or {}).get(part)
            if found is None:
                detail = f"is an invalid path: does not refer to a valid field: {part}"
                problems.invalid(where, place, detail)
                break
        if found is None:
            continue
        if place.startswith(".metadata"):
            problems.invalid(where, place, "must not point to fields in metadata")
        if found.get("type") not in SELECTABLE:
            detail = (
                "must point to a field of type string, boolean or integer. Enum string fields "
                "and strings with formats are allowed."
            )
            problems.invalid(where, place, detail)
        if place in seen:
            problems.duplicate(where, place)
        seen.add(place)
    if len(seen) > MOST_SELECTABLE:
        problems.too_many(path, len(seen), MOST_SELECTABLE)


def _conversion(given: Object | None, path: str, problems: Problems) -> None:
    if given is None:
        return
    strategy, webhook = given.get("strategy") or "", given.get("webhook") or {}
    client, where = webhook.get("clientConfig"), f"{path}.webhookClientConfig"
    reviews = webhook.get("conversionReviewVersions") or []
    if not strategy:
        problems.required(f"{path}.strategy")
    elif strategy not in ("None", "Webhook"):
        problems.unsupported(f"{path}.strategy", strategy, ("None", "Webhook"))
    if strategy != "Webhook":
        detail = "should not be set when strategy is not set to Webhook"
        if client is not None:
            problems.forbidden(where, detail)
        if reviews:
            problems.forbidden(f"{path}.conversionReviewVersions", detail)
        return
    if client is None:
        problems.required(where, "required when strategy is set to Webhook")
    else:
        webhookrules.client(client, where, problems)
    if not reviews:
        problems.required(f"{path}.conversionReviewVersions")
    elif not {"v1", "v1beta1"} & set(reviews):
        detail = "must include at least one of v1, v1beta1"
        problems.invalid(f"{path}.conversionReviewVersions", reviews, detail)


def _unchanged(spec: Object, old: Object, problems: Problems) -> None:
    before = old.get("spec") or {}
    given, known = spec.get("names") or {}, before.get("names") or {}
    if _established(old):
        problems.immutable("spec.scope", spec.get("scope"), before.get("scope"))
        problems.immutable("spec.names.kind", given.get("kind"), known.get("kind"))
    problems.immutable("spec.group", spec.get("group"), before.get("group"))
    problems.immutable("spec.names.plural", given.get("plural"), known.get("plural"))


def _established(definition: Object) -> bool:
    conditions: Iterator[Object] = iter((definition.get("status") or {}).get("conditions") or ())
    return any(c.get("type") == "Established" and c.get("status") == "True" for c in conditions)


def _stored(stored: list[str], versions: Sequence[Object], problems: Problems) -> None:
    path = "status.storedVersions"
    if not stored:
        problems.invalid(path, None, "must have at least one stored version")
        return
    for version in versions:
        if version.get("storage") and version.get("name") not in stored:
            detail = f"must have the storage version {version.get('name')}"
            problems.invalid(path, stored, detail)
    known = {version.get("name") for version in versions}
    for index, name in enumerate(stored):
        if name not in known:
            problems.invalid(f"{path}[{index}]", name, STORED_BEFORE.format(name))


def _approval(group: str, metadata: Object, old: Object | None, problems: Problems) -> None:
    """Groups of the Kubernetes community need an annotation that says who approved them."""
    if not f".{group}".endswith((".k8s.io", ".kubernetes.io")):
        return
    given = (metadata.get("annotations") or {}).get(APPROVED)
    before = ((old or {}).get("metadata") or {}).get("annotations") or {}
    where = f"metadata.annotations[{APPROVED}]"
    if given is None and (old is None or APPROVED in before):
        detail = (
            f'protected groups must have approval annotation "{APPROVED}", see '
            "https://github.com/kubernetes/enhancements/pull/1111"
        )
        problems.required(where, detail)
    elif given is not None and not given.startswith(("http://", "https://", "unapproved")):
        detail = (
            "protected groups must have approval annotation with either a URL or a reason "
            'starting with "unapproved", see https://github.com/kubernetes/enhancements/pull/1111'
        )
        problems.invalid(where, given, detail)
