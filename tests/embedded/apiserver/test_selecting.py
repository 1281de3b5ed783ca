"""What is said of label and field selectors that cannot be."""

import pytest

NAME_PART = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end"
    " with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for"
    " validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.',"
    " and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or"
    " '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
WHOLE = "unable to parse requirement: "
OPERATORS = "in, notin, =, ==, !=, gt, lt"
INTEGER = "for 'Gt', 'Lt' operators, the value must be an integer"


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("=a", "found '=', expected: !, identifier, or 'end of string'"),
        (",a", "found ',', expected: !, identifier, or 'end of string'"),
        ("a,", "found '', expected: identifier after ','"),
        ("a,,b", "found ',', expected: identifier after ','"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("!a=b", "found '=', expected: ',' or 'end of string'"),
        ("a b", f"{WHOLE}found 'b', expected: {OPERATORS}"),
        ("a (b)", f"{WHOLE}found '(', expected: {OPERATORS}"),
        ("!", f"{WHOLE}found '', expected: identifier"),
        ("!!a", f"{WHOLE}found '!', expected: identifier"),
        ("a=(", f"{WHOLE}found '(', expected: identifier"),
        ("a=!b", f"{WHOLE}found '!', expected: identifier"),
        ("a in b", f"{WHOLE}found 'b' expected: '('"),
        ("a in", f"{WHOLE}found '' expected: '('"),
        ("a in (", f"{WHOLE}found '', expected: ',', ')' or identifier"),
        ("a in (!b)", f"{WHOLE}found '!', expected: ',', ')' or identifier"),
        ("a in (b", f"{WHOLE}found '', expected: ',' or ')'"),
        ("a in (b c)", f"{WHOLE}found 'c', expected: ',' or ')'"),
        ("a in (b,=)", f"{WHOLE}found '=', expected: ',', or identifier"),
        ("-a", f'{WHOLE}<nil>: Invalid value: "-a": {NAME_PART}'),
        ("a=-b", f'{WHOLE}values[0][a]: Invalid value: "-b": {VALUE}'),
        ("a in (c,-b)", f'{WHOLE}values[0][a]: Invalid value: "-b": {VALUE}'),
        ("a in (b,c-)", f'{WHOLE}values[1][a]: Invalid value: "c-": {VALUE}'),
        (
            "a in (b-,c-)",
            (
                f'{WHOLE}[values[0][a]: Invalid value: "b-": {VALUE},'
                f' values[1][a]: Invalid value: "c-": {VALUE}]'
            ),
        ),
        ("a>b", f'{WHOLE}values[0]: Invalid value: "b": {INTEGER}'),
        (
            "a<b-",
            (
                f'{WHOLE}[values[0]: Invalid value: "b-": {INTEGER},'
                f' values[0][a]: Invalid value: "b-": {VALUE}]'
            ),
        ),
    ],
)
def test_a_label_selector_is_refused_with(ask, selector, message):
    for method in ("GET", "DELETE"):
        path = "/api/v1/namespaces/default/pods"
        found = ask(method, path, params={"labelSelector": selector})
        assert (found.status, found.message) == (400, message)


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("a", "invalid selector: 'a'; can't understand 'a'"),
        ("b=c,a", "invalid selector: 'b=c,a'; can't understand 'a'"),
        ("metadata.name=a=b", "invalid field selector: unescaped character in value: 61"),
        (r"metadata.name=a\b", r"invalid field selector: invalid escape sequence: \b"),
        ("metadata.name=a\\", "invalid field selector: invalid escape sequence: \\"),
    ],
)
def test_a_field_selector_is_refused_with(ask, selector, message):
    found = ask("GET", "/api/v1/configmaps", params={"fieldSelector": selector})
    assert (found.status, found.message) == (400, message)


@pytest.mark.parametrize(
    ("path", "field", "message"),
    [
        ("/api/v1/pods", "spec.image", "field label not supported: spec.image"),
        ("/api/v1/nodes", "metadata.namespace", "field label not supported: metadata.namespace"),
        (
            "/api/v1/namespaces",
            "metadata.namespace",
            "field label not supported: metadata.namespace",
        ),
        ("/api/v1/services", "spec.ports", "field label not supported: spec.ports"),
        ("/api/v1/secrets", "data", "field label not supported: data"),
        ("/api/v1/events", "message", "field label not supported: message"),
        (
            "/apis/events.k8s.io/v1/events",
            "involvedObject.name",
            "field label not supported: involvedObject.name",
        ),
        (
            "/apis/certificates.k8s.io/v1/certificatesigningrequests",
            "spec.username",
            "field label not supported: spec.username",
        ),
        (
            "/api/v1/configmaps",
            "data",
            '"data" is not a known field selector: only "metadata.name", "metadata.namespace"',
        ),
        (
            "/apis/apps/v1/deployments",
            "status.replicas",
            (
                '"status.replicas" is not a known field selector: only "metadata.name",'
                ' "metadata.namespace"'
            ),
        ),
        (
            "/apis/batch/v1/jobs",
            "status.failed",
            'field label "status.failed" not supported for batchv1.Job',
        ),
    ],
)
def test_a_field_that_a_kind_is_not_selected_by_is_named(ask, path, field, message):
    for query in ({}, {"watch": "1"}):
        found = ask("GET", path, params={"fieldSelector": f"{field}=x", **query})
        assert (found.status, found.message) == (400, message)


@pytest.mark.parametrize(
    ("path", "selector"),
    [
        ("/api/v1/pods", "spec.nodeName=nowhere,status.phase!=Running,spec.hostNetwork=false"),
        ("/api/v1/nodes", "spec.unschedulable=true"),
        ("/api/v1/events", "involvedObject.kind=Pod,reason!=Started,type=Normal"),
        ("/apis/events.k8s.io/v1/events", "regarding.kind=Pod,reportingController=kubelet"),
        ("/api/v1/secrets", "type=Opaque,metadata.namespace=nowhere"),
        ("/apis/batch/v1/jobs", "status.successful=1"),
        ("/apis/certificates.k8s.io/v1/certificatesigningrequests", "spec.signerName=a/b"),
    ],
)
def test_fields_of_a_kind_select(ask, path, selector):
    found = ask("GET", path, params={"fieldSelector": selector})
    assert (found.status, found.body["items"]) == (200, [])
