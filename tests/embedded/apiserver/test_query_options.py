"""Options in the query of a request: booleans, limits, and where they hold."""

import pytest

MAPS = "/api/v1/namespaces/{}/configmaps"


@pytest.fixture
def three(ask, space, request):
    """The path of three config maps that carry the test's own label, and that label."""
    label, path = f"t=n{abs(hash(request.node.name)) % 10**9}", MAPS.format(space)
    for name in "abc":
        metadata = {"generateName": f"{name}-", "labels": dict([label.split("=")])}
        assert ask("POST", path, json={"metadata": metadata}).status == 201
    return path, {"labelSelector": label}


@pytest.mark.parametrize(
    ("value", "refused_for"),
    [
        *((value, "for watch unless sendInit") for value in ("true", "1", "", "maybe", "TRUE")),
        *((value, "unless resourceVersion is") for value in ("false", "0", "False")),
    ],
)
def test_a_boolean_is_true_unless_it_says_otherwise(ask, space, value, refused_for):
    query = {"watch": value, "resourceVersionMatch": "Exact"}
    found = ask("GET", MAPS.format(space), params=query)
    assert found.message.startswith('ListOptions.meta.k8s.io "" is invalid: ')
    assert f"resourceVersionMatch is forbidden {refused_for}" in found.message


def test_one_object_is_shown_even_if_a_watch_is_asked_for(ask, space, three):
    path, query = three
    name = ask("GET", path, params=query).names[0]
    found = ask("GET", f"{path}/{name}", params={"watch": "1"})
    assert (found.status, found.body["kind"]) == (200, "ConfigMap")


def test_a_limit_deletes_one_page_and_says_how_to_go_on(ask, three):
    path, query = three
    names = ask("GET", path, params=query).names
    first = ask("DELETE", path, params={**query, "limit": "2"})
    assert (first.status, first.names) == (200, names[:2])
    assert ask("GET", path, params=query).names == names[2:]
    token = first.body["metadata"]["continue"]
    rest = ask("DELETE", path, params={**query, "limit": "2", "continue": token})
    assert rest.names == names[2:]
    assert "continue" not in rest.body["metadata"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"limit": "many"}, 400),
        ({"continue": "nonsense"}, 400),
        ({"resourceVersion": "x"}, 400),
        ({"resourceVersionMatch": "Exact"}, 422),
        ({"gracePeriodSeconds": "soon"}, 400),
        ({"propagationPolicy": "Sideways"}, 422),
        ({"dryRun": "Some"}, 422),
    ],
)
def test_a_collection_is_not_deleted_when_an_option_is_wrong(ask, three, query, status):
    path, mine = three
    assert ask("DELETE", path, params={**mine, **query}).status == status
    assert len(ask("GET", path, params=mine).names) == 3


def test_a_dry_run_deletes_nothing_of_a_collection(ask, three):
    path, query = three
    assert len(ask("DELETE", path, params={**query, "dryRun": "All"}).names) == 3
    assert len(ask("GET", path, params=query).names) == 3


def test_options_in_a_body_leave_those_of_the_query_unread(ask, three):
    path, query = three
    name = ask("GET", path, params=query).names[0]
    body = {"dryRun": ["All"]}
    assert ask("DELETE", f"{path}/{name}", json=body, params={"dryRun": "Some"}).status == 200
    assert ask("GET", f"{path}/{name}").status == 200


@pytest.mark.parametrize("name", ["limit", "timeoutSeconds"])
@pytest.mark.parametrize("query", [{}, {"watch": "1"}])
def test_a_number_is_one(ask, space, name, query):
    found = ask("GET", MAPS.format(space), params={**query, name: "ten"})
    assert (found.status, found.message) == (
        400,
        'strconv.ParseInt: parsing "ten": invalid syntax',
    )
