"""What maps, secrets, roles, nodes and security contexts are refused for."""

import pytest

from tests.support.validated import wrong

CONTAINER = {"name": "c", "image": "x:1"}
DATA = {"a": "eA=="}
SEALED = "Forbidden: field is immutable when `immutable` is set"


@pytest.mark.parametrize(
    ("kind", "fields", "old", "causes"),
    [
        (
            "ConfigMap",
            {"data": {"a": "1"}, "immutable": True},
            {"data": {"a": "2"}},
            [("data", SEALED)],
        ),
        ("ConfigMap", {"immutable": None}, {"immutable": True}, [("immutable", SEALED)]),
        (
            "ConfigMap",
            {"data": {"a": "1"}, "binaryData": DATA},
            None,
            [("data[a]", 'Invalid value: "a": duplicate of key present in binaryData')],
        ),
        ("Secret", {"data": DATA, "immutable": True}, {"data": {}}, [("data", SEALED)]),
        (
            "Secret",
            {"type": "a/b"},
            {"type": "a/c"},
            [("type", 'Invalid value: "a/b": field is immutable')],
        ),
        (
            "Secret",
            {"type": "kubernetes.io/basic-auth"},
            None,
            [("data[username]", "Required value"), ("data[password]", "Required value")],
        ),
        (
            "Secret",
            {"type": "kubernetes.io/tls", "data": {"tls.crt": "eA=="}},
            None,
            [("data[tls.key]", "Required value")],
        ),
        (
            "ConfigMap",
            {"data": {"a": "x" * (2**20 + 1)}},
            None,
            [("", "Too long: may not be more than 1048576 bytes")],
        ),
    ],
)
def test_maps_and_secrets_are_refused_for(kind, fields, old, causes):
    if old is not None:
        old = {"immutable": fields.get("immutable"), **old}
    assert wrong("v1", kind, old=old, **fields) == causes


RBAC = "rbac.authorization.k8s.io/v1"
ROLE = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}


@pytest.mark.parametrize(
    ("kind", "rule", "place", "text"),
    [
        ("Role", {"verbs": []}, "rules[0].verbs", "must contain at least one value"),
        (
            "Role",
            {"verbs": ["get"], "nonResourceURLs": ["/a"]},
            "rules[0].nonResourceURLs",
            "namespaced rules cannot apply to non-resource URLs",
        ),
        (
            "ClusterRole",
            {"verbs": ["get"], "nonResourceURLs": ["/a"], "resources": ["pods"]},
            "rules[0].nonResourceURLs",
            "rules cannot apply to both regular resources and non-resource URLs",
        ),
        (
            "Role",
            {"verbs": ["get"], "resources": ["pods"]},
            "rules[0].apiGroups",
            "resource rules must supply at least one api group",
        ),
        (
            "Role",
            {"verbs": ["get"], "apiGroups": [""]},
            "rules[0].resources",
            "resource rules must supply at least one resource",
        ),
    ],
)
def test_a_rule_is_refused_for(kind, rule, place, text):
    found = wrong(RBAC, kind, rules=[rule])
    assert (found[0][0], text in found[0][1]) == (place, True), found


@pytest.mark.parametrize(
    ("fields", "place", "text"),
    [
        ({"roleRef": {**ROLE, "apiGroup": "a"}}, "roleRef.apiGroup", 'Unsupported value: "a"'),
        ({"roleRef": {**ROLE, "kind": "Pod"}}, "roleRef.kind", '"Role", "ClusterRole"'),
        ({"roleRef": {**ROLE, "name": ""}}, "roleRef.name", "Required value"),
        ({"roleRef": {**ROLE, "name": "a/b"}}, "roleRef.name", "may not contain '/'"),
        ({"subjects": [{"kind": "User"}]}, "subjects[0].name", "Required value"),
        (
            {"subjects": [{"kind": "User", "name": "a", "apiGroup": "b"}]},
            "subjects[0].apiGroup",
            'Unsupported value: "b"',
        ),
        (
            {"subjects": [{"kind": "ServiceAccount", "name": "a"}]},
            "subjects[0].namespace",
            "Required value",
        ),
        (
            {
                "subjects": [
                    {"kind": "ServiceAccount", "name": "a", "namespace": "b", "apiGroup": "c"}
                ]
            },
            "subjects[0].apiGroup",
            'Unsupported value: "c"',
        ),
        (
            {"subjects": [{"kind": "Robot", "name": "a"}]},
            "subjects[0].kind",
            '"ServiceAccount", "User", "Group"',
        ),
    ],
)
def test_a_binding_is_refused_for(fields, place, text):
    found = wrong(RBAC, "RoleBinding", **{"roleRef": ROLE, **fields})
    assert (found[0][0], text in found[0][1]) == (place, True), found


def test_the_role_of_a_binding_stays():
    old = {"roleRef": {**ROLE, "name": "before"}}
    ((place, text),) = wrong(RBAC, "RoleBinding", old=old, roleRef=ROLE)
    assert place == "roleRef"
    assert text == (
        'Invalid value: {"APIGroup":"rbac.authorization.k8s.io","Kind":"Role","Name":"r"}:'
        " cannot change roleRef"
    )


@pytest.mark.parametrize(
    ("taints", "place", "text"),
    [
        ([{"key": "a"}], "effect", "Required value"),
        ([{"key": "a", "effect": "Odd"}], "effect", 'Unsupported value: "Odd"'),
        ([{"key": "-", "effect": "NoSchedule"}], "key", "name part must consist of"),
        ([{"key": "a", "value": "-", "effect": "NoSchedule"}], "value", "a valid label must"),
    ],
)
def test_a_taint_is_refused_for(taints, place, text):
    ((found, message),) = wrong("v1", "Node", spec={"taints": taints})
    assert (found, text in message) == (f"spec.taints[0].{place}", True), message


def test_a_taint_is_given_once():
    taint = {"key": "a", "effect": "NoSchedule"}
    ((found, text),) = wrong("v1", "Node", spec={"taints": [taint, {**taint, "value": "b"}]})
    assert found == "spec.taints[1]"
    assert text.endswith("taints must be unique by key and effect pair")


@pytest.mark.parametrize(
    ("context", "place", "text"),
    [
        ({"runAsUser": -1}, "runAsUser", "must be between 0 and 2147483647, inclusive"),
        ({"seccompProfile": {}}, "seccompProfile.type", "type is required when seccompProfile is"),
        ({"seccompProfile": {"type": "Odd"}}, "seccompProfile.type", 'Unsupported value: "Odd"'),
        (
            {"seccompProfile": {"type": "Localhost"}},
            "seccompProfile.localhostProfile",
            "must be set when seccomp type is Localhost",
        ),
        (
            {"seccompProfile": {"type": "Localhost", "localhostProfile": "/a"}},
            "seccompProfile.localhostProfile",
            "must be a relative path",
        ),
        (
            {"seccompProfile": {"type": "RuntimeDefault", "localhostProfile": "a"}},
            "seccompProfile.localhostProfile",
            "can only be set when seccomp type is Localhost",
        ),
        (
            {"allowPrivilegeEscalation": False, "privileged": True},
            "",
            "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
        ),
        (
            {"allowPrivilegeEscalation": False, "capabilities": {"add": ["CAP_SYS_ADMIN"]}},
            "",
            "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN",
        ),
    ],
)
def test_a_security_context_is_refused_for(context, place, text):
    spec = {"containers": [{**CONTAINER, "securityContext": context}]}
    found = wrong("v1", "Pod", spec=spec)
    where = "spec.containers[0].securityContext" + (f".{place}" if place else "")
    assert (found[0][0], text in found[0][1]) == (where, True), found


@pytest.mark.parametrize(
    ("spec", "place", "shown"),
    [
        ({"podCIDR": "10.1.0.0/24", "podCIDRs": ["10.0.0.0/24"]}, "podCIDRs", "podCIDR"),
        ({"podCIDR": "10.1.0.0/24"}, "podCIDRs", "podCIDR"),
        ({"podCIDR": "10.0.0.0/24", "providerID": "a://c"}, "providerID", "providerID"),
    ],
)
def test_what_a_node_was_given_stays(spec, place, shown):
    old = {"spec": {"podCIDR": "10.0.0.0/24", "providerID": "a://b"}}
    spec = {"providerID": "a://b", **spec}
    text = f'Forbidden: node updates may not change {shown} except from "" to valid'
    assert wrong("v1", "Node", old=old, spec=spec) == [(f"spec.{place}", text)]


TOLERATION = {"key": "a", "operator": "Exists", "effect": "NoExecute"}


@pytest.mark.parametrize(
    ("spec", "causes"),
    [
        ({}, []),
        ({"activeDeadlineSeconds": 5}, []),
        (
            {"activeDeadlineSeconds": 50},
            [
                (
                    "spec.activeDeadlineSeconds",
                    "Invalid value: 50: must be less than or equal to previous value",
                )
            ],
        ),
        (
            {"activeDeadlineSeconds": None},
            [
                (
                    "spec.activeDeadlineSeconds",
                    "Invalid value: null: must not update from a positive integer to nil value",
                )
            ],
        ),
        ({"tolerations": [{**TOLERATION, "tolerationSeconds": 9}, {"operator": "Exists"}]}, []),
        (
            {"tolerations": [{**TOLERATION, "key": "b"}]},
            [
                (
                    "spec.tolerations",
                    (
                        "Forbidden: existing toleration can not be modified except its"
                        " tolerationSeconds"
                    ),
                )
            ],
        ),
    ],
)
def test_deadlines_shrink_and_tolerations_are_added(spec, causes):
    before = {
        "containers": [CONTAINER],
        "activeDeadlineSeconds": 10,
        "tolerations": [TOLERATION],
    }
    found = wrong("v1", "Pod", old={"spec": before}, spec={**before, **spec})
    assert found == causes


def test_an_event_owns_nothing():
    owner = {"apiVersion": "v1", "kind": "Event", "name": "x", "uid": "u"}
    metadata = {"name": "x", "ownerReferences": [owner]}
    ((place, text),) = wrong("v1", "ConfigMap", metadata=metadata)
    assert place == "metadata.ownerReferences"
    assert text.endswith("/v1, Kind=Event is disallowed from being an owner")
