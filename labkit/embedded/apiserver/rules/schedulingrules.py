"""What Kubernetes demands of the parts of a pod that say where it may run."""

from collections.abc import Mapping, Sequence
from typing import Any

from labkit.embedded.apiserver.rules import names
from labkit.embedded.apiserver.rules.causes import Problems

Object = Mapping[str, Any]
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
OPERATOR = "not a valid selector operator"
ACTIONS = ("DoNotSchedule", "ScheduleAnyway")


def labels(values: Any, field: str, problems: Problems) -> None:
    """Keys and values of labels."""
    for key, value in sorted((values or {}).items()):
        problems.invalid(field, key, *names.qualified_name(key))
        problems.invalid(field, value, *names.label_value(str(value)))


def label_selector(selector: Object | None, path: str, problems: Problems) -> None:
    """A selector of labels."""
    if not selector:
        return
    labels(selector.get("matchLabels"), f"{path}.matchLabels", problems)
    for index, term in enumerate(selector.get("matchExpressions") or ()):
        where = f"{path}.matchExpressions[{index}]"
        _operator(term, where, problems, numbers=False)
        key = term.get("key") or ""
        problems.invalid(f"{where}.key", key, *names.qualified_name(key))
        for number, value in enumerate(term.get("values") or ()):
            problems.invalid(f"{where}.values[{number}]", value, *names.label_value(value))


def _operator(term: Object, path: str, problems: Problems, *, numbers: bool) -> None:
    operator, values = term.get("operator") or "", term.get("values") or ()
    if operator in ("In", "NotIn"):
        if not values:
            detail = "must be specified when `operator` is 'In' or 'NotIn'"
            problems.required(f"{path}.values", detail)
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            problems.forbidden(f"{path}.values", detail)
    elif numbers and operator in ("Gt", "Lt"):
        if len(values) != 1:
            detail = "must be specified single value when `operator` is 'Lt' or 'Gt'"
            problems.required(f"{path}.values", detail)
    else:
        problems.invalid(f"{path}.operator", operator, OPERATOR)


def affinity(given: Object, path: str, problems: Problems) -> None:
    """To nodes, to pods and away from pods."""
    node = given.get("nodeAffinity")
    if node is not None:
        _node_affinity(node, f"{path}.nodeAffinity", problems)
    for kind in ("podAffinity", "podAntiAffinity"):
        part, where = given.get(kind) or {}, f"{path}.{kind}"
        field = "requiredDuringSchedulingIgnoredDuringExecution"
        for index, term in enumerate(part.get(field) or ()):
            _pod_term(term, f"{where}.{field}[{index}]", problems)
        field = "preferredDuringSchedulingIgnoredDuringExecution"
        for index, item in enumerate(part.get(field) or ()):
            _weight(item, f"{where}.{field}[{index}]", problems)
            term = item.get("podAffinityTerm") or {}
            _pod_term(term, f"{where}.{field}[{index}].podAffinityTerm", problems)


def _weight(item: Object, path: str, problems: Problems) -> None:
    weight = item.get("weight", 0)
    if not 0 < weight <= 100:
        problems.invalid(f"{path}.weight", weight, "must be in the range 1-100")


def _node_affinity(given: Object, path: str, problems: Problems) -> None:
    field = "requiredDuringSchedulingIgnoredDuringExecution"
    if given.get(field) is not None:
        terms = given[field].get("nodeSelectorTerms") or ()
        where = f"{path}.{field}.nodeSelectorTerms"
        if not terms:
            problems.required(where, "must have at least one node selector term")
        for index, term in enumerate(terms):
            _node_term(term, f"{where}[{index}]", problems)
    field = "preferredDuringSchedulingIgnoredDuringExecution"
    for index, item in enumerate(given.get(field) or ()):
        _weight(item, f"{path}.{field}[{index}]", problems)
        preference = item.get("preference") or {}
        _node_term(preference, f"{path}.{field}[{index}].preference", problems)


def _node_term(term: Object, path: str, problems: Problems) -> None:
    for index, item in enumerate(term.get("matchExpressions") or ()):
        where, key = f"{path}.matchExpressions[{index}]", item.get("key") or ""
        _operator(item, where, problems, numbers=True)
        problems.invalid(f"{where}.key", key, *names.qualified_name(key))


def _pod_term(term: Object, path: str, problems: Problems) -> None:
    label_selector(term.get("labelSelector"), f"{path}.labelSelector", problems)
    label_selector(term.get("namespaceSelector"), f"{path}.namespaceSelector", problems)
    for name in term.get("namespaces") or ():
        problems.invalid(f"{path}.namespace", name, *names.dns_label(name))
    key = term.get("topologyKey") or ""
    if not key:
        problems.required(f"{path}.topologyKey", "can not be empty")
    problems.invalid(f"{path}.topologyKey", key, *names.qualified_name(key))


def tolerations(given: Sequence[Object], path: str, problems: Problems) -> None:
    """Taints that a pod tolerates."""
    for index, item in enumerate(given):
        where, key = f"{path}[{index}]", item.get("key") or ""
        operator, effect = item.get("operator") or "", item.get("effect") or ""
        value = item.get("value") or ""
        if key:
            problems.invalid(f"{where}.key", key, *names.qualified_name(key))
        elif operator != "Exists":
            detail = (
                'operator must be Exists when `key` is empty, which means "match all values and '
                'all keys"'
            )
            problems.invalid(f"{where}.operator", operator, detail)
        if item.get("tolerationSeconds") is not None and effect != "NoExecute":
            detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            problems.invalid(f"{where}.effect", effect, detail)
        if operator in ("", "Equal"):
            if wrong := ";".join(names.label_value(value)):
                problems.invalid(f"{where}.operator", value, wrong)
        elif operator == "Exists":
            if value:
                detail = "value must be empty when `operator` is 'Exists'"
                problems.invalid(f"{where}.operator", value, detail)
        else:
            problems.unsupported(f"{where}.operator", operator, ("Equal", "Exists"))
        if effect and effect not in EFFECTS:
            problems.unsupported(f"{where}.effect", effect, EFFECTS)


def spread(given: Sequence[Object], path: str, problems: Problems) -> None:
    """How evenly pods are spread."""
    seen: set[tuple[str, str]] = set()
    for index, item in enumerate(given):
        where, key = f"{path}[{index}]", item.get("topologyKey") or ""
        action = item.get("whenUnsatisfiable") or ""
        if item.get("maxSkew", 0) <= 0:
            detail = "must be greater than zero"
            problems.invalid(f"{where}.maxSkew", item.get("maxSkew", 0), detail)
        if not key:
            problems.required(f"{where}.topologyKey", "can not be empty")
        if action not in ACTIONS:
            problems.unsupported(f"{where}.whenUnsatisfiable", action, ACTIONS)
        if (key, action) in seen:
            field = f"{where}.{{topologyKey, whenUnsatisfiable}}"
            problems.duplicate(field, f"{{{key}, {action}}}")
        seen.add((key, action))
        least = item.get("minDomains")
        if least is not None and least <= 0:
            problems.invalid(f"{where}.minDomains", least, "must be greater than zero")
        label_selector(item.get("labelSelector"), f"{where}.labelSelector", problems)
