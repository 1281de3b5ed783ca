"""Reviews: what is refused, and who may do what."""

import pytest

REVIEWS = "/apis/authorization.k8s.io/v1"
TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"
POD = {"verb": "get", "resource": "pods", "namespace": "default"}
METRICS = {"verb": "get", "path": "/metrics"}
NOBODY = ("spec.user", 'Invalid value: "": at least one of user or group must be specified')
NOTHING = (
    "spec.resourceAttributes",
    (
        "Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be"
        " specified"
    ),
)
SHAPE = 'Invalid value: {"Path":"/metrics","Verb":"get"}: '
BOTH = (
    "spec.nonResourceAttributes",
    f"{SHAPE}cannot be specified in combination with resourceAttributes",
)
PATH = ("spec.nonResourceAttributes", f"{SHAPE}disallowed on this kind of request")
NAMED = ("metadata", 'Invalid value: {"name":"x"}: must be empty')
CASES = [
    ("subject", {"spec": {}}, [NOTHING, NOBODY]),
    ("subject", {"spec": {"user": "me"}}, [NOTHING]),
    ("subject", {"spec": {"resourceAttributes": POD}}, [NOBODY]),
    (
        "subject",
        {"spec": {"resourceAttributes": POD, "nonResourceAttributes": METRICS, "groups": ["g"]}},
        [BOTH],
    ),
    (
        "subject",
        {"metadata": {"name": "x"}, "spec": {"user": "me", "resourceAttributes": POD}},
        [NAMED],
    ),
    ("selfsubject", {"spec": {}}, [NOTHING]),
    (
        "selfsubject",
        {"spec": {"resourceAttributes": {}, "nonResourceAttributes": METRICS}},
        [BOTH],
    ),
    (
        "localsubject",
        {"spec": {"user": "me", "resourceAttributes": {**POD, "namespace": "other"}}},
        [
            (
                "spec.resourceAttributes.namespace",
                'Invalid value: "other": must match metadata.namespace',
            )
        ],
    ),
    ("localsubject", {"spec": {"user": "me", "nonResourceAttributes": METRICS}}, [PATH]),
]


def path_of(kind: str) -> str:
    place = "/namespaces/default" if kind == "localsubject" else ""
    return f"{REVIEWS}{place}/{kind}accessreviews"


@pytest.mark.parametrize(("kind", "body", "causes"), CASES)
def test_a_question_is_refused_for(ask, kind, body, causes):
    found = ask("POST", path_of(kind), json=body)
    assert (found.status, found.causes) == (422, causes)
    assert found.message.startswith('.authorization.k8s.io "" is invalid: ')


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            {"apiVersion": "authorization.k8s.io/v1beta1", "kind": "SubjectAccessReview"},
            "does not match the expected",
        ),
        (
            {"apiVersion": "v1", "kind": "Pod"},
            "converting (v1.Pod) to (authorization.SubjectAccessReview): unknown conversion",
        ),
        ({"spec": []}, "cannot unmarshal array"),
        ({"spec": {"user": 3}}, "cannot unmarshal number"),
    ],
)
def test_a_question_of_another_kind_is_not_understood(ask, body, message):
    found = ask("POST", path_of("subject"), json=body)
    assert found.status == 400
    assert message in found.message, found.message


@pytest.mark.parametrize(
    ("kind", "spec", "allowed"),
    [
        ("selfsubject", {"resourceAttributes": POD}, True),
        ("selfsubject", {"resourceAttributes": {}}, True),
        ("subject", {"user": "nobody", "resourceAttributes": POD}, False),
        ("subject", {"groups": ["system:masters"], "resourceAttributes": POD}, True),
        ("subject", {"user": "nobody", "nonResourceAttributes": METRICS}, False),
        (
            "subject",
            {
                "groups": ["system:authenticated"],
                "nonResourceAttributes": {**METRICS, "path": "/api"},
            },
            True,
        ),
        ("localsubject", {"user": "nobody", "resourceAttributes": POD}, False),
    ],
)
def test_a_question_is_answered(ask, kind, spec, allowed):
    found = ask("POST", path_of(kind), json={"spec": spec})
    assert found.status == 201
    assert found.body["status"]["allowed"] is allowed
    assert found.body["spec"] == spec


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_reviews_are_created_and_nothing_else(ask, method):
    assert ask(method, path_of("subject"), json={}).status == 405


def test_a_token_review_needs_a_token_and_tells_who_it_is(ask):
    empty = ask("POST", TOKENS, json={"spec": {}})
    assert (empty.status, empty.message) == (
        400,
        "token is required for TokenReview in authentication",
    )
    wrong = ask("POST", TOKENS, json={"spec": {"token": "nonsense"}}).body["status"]
    assert wrong == {"user": {}, "error": "invalid bearer token"}
    forged = ask("POST", TOKENS, json={"spec": {"token": "a.b.c"}}).body["status"]
    assert forged["error"].startswith("[invalid bearer token, ")


def test_rules_are_asked_for_in_a_namespace(ask):
    found = ask("POST", f"{REVIEWS}/selfsubjectrulesreviews", json={"spec": {}})
    assert (found.status, found.message) == (400, "no namespace on request")
