"""Accept headers: shapes, weights, formats that are not written here."""

import pytest

TABLE = "application/json;as=Table;v={};g=meta.k8s.io"
PARTIAL = "application/json;as=PartialObjectMetadata{};v={};g=meta.k8s.io"
PROTOBUF = "application/vnd.kubernetes.protobuf"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"


@pytest.fixture(scope="module")
def maps(ask, space) -> str:
    """The path of config maps, of which there is one, `c`."""
    path = f"/api/v1/namespaces/{space}/configmaps"
    ask("POST", path, json={"metadata": {"name": "c"}, "data": {"a": "b"}})
    return path


@pytest.mark.parametrize(
    ("accept", "kind", "api_version"),
    [
        (TABLE.format("v1"), "Table", "meta.k8s.io/v1"),
        (TABLE.format("v1beta1"), "Table", "meta.k8s.io/v1beta1"),
        (f"{TABLE.format('v1')},application/json", "Table", "meta.k8s.io/v1"),
        (f"application/json, {TABLE.format('v1')}", "ConfigMapList", "v1"),
        (f"application/json;q=0.5, {TABLE.format('v1')}", "Table", "meta.k8s.io/v1"),
        (f"{TABLE.format('v1')};q=0.2, application/json;q=0.7", "ConfigMapList", "v1"),
        (f"{TABLE.format('v2')}, application/json", "ConfigMapList", "v1"),
        (f"application/json;as=Table, {TABLE.format('v1beta1')}", "Table", "meta.k8s.io/v1beta1"),
        (f"application/json;as=Chair;v=v1;g=meta.k8s.io, {PROTOBUF}, */*", "ConfigMapList", "v1"),
        (PARTIAL.format("List", "v1"), "PartialObjectMetadataList", "meta.k8s.io/v1"),
        (PARTIAL.format("List", "v1beta1"), "PartialObjectMetadataList", "meta.k8s.io/v1beta1"),
        (f"{PROTOBUF},application/json", "ConfigMapList", "v1"),
        ("application/json;charset=utf-8", "ConfigMapList", "v1"),
        ("text/html, */*;q=0.1", "ConfigMapList", "v1"),
        ("", "ConfigMapList", "v1"),
    ],
)
def test_a_list_has_the_shape_that_is_wanted_most(ask, maps, accept, kind, api_version):
    found = ask("GET", maps, headers={"Accept": accept})
    assert (found.status, found.media_type) == (200, "application/json")
    assert (found.body["kind"], found.body["apiVersion"]) == (kind, api_version)


@pytest.mark.parametrize(
    "accept",
    [
        "application/yaml",
        "application/yaml, application/json",
        "*/*, application/yaml",
        "application/json;q=0.3,application/yaml;q=0.4",
    ],
)
def test_yaml_is_written_when_it_is_wanted_more(ask, maps, accept):
    found = ask("GET", f"{maps}/c", headers={"Accept": accept})
    assert (found.status, found.media_type) == (200, "application/yaml")
    assert found.body.startswith("apiVersion: v1\n")


@pytest.mark.parametrize("accept", ["text/html", "application/xml, text/plain", PROTOBUF])
def test_other_formats_are_refused_with_those_there_are(ask, maps, accept):
    found = ask("GET", maps, headers={"Accept": accept})
    assert found.status == 406
    assert found.message.startswith("406: Not Acceptable\n\nAvailable representations: application")


@pytest.mark.parametrize(
    "accept",
    [
        "application/json;as=Chair;v=v1;g=meta.k8s.io",
        "application/json;as=Table",
        TABLE.format("v2"),
        "application/json;as=Table;v=v1;g=example.com",
        "application/json;v=v1;g=meta.k8s.io",
    ],
)
def test_other_shapes_are_refused_with_the_formats_there_are(ask, maps, accept):
    found = ask("GET", maps, headers={"Accept": accept})
    assert found.status == 406
    assert found.message == (
        "only the following media types are accepted: application/json, application/yaml,"
        " application/vnd.kubernetes.protobuf"
    )


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        (
            "/c",
            "List",
            (
                "you requested PartialObjectMetadataList, but the requested object is not a list"
                " (*core.ConfigMap)"
            ),
        ),
        (
            "",
            "",
            (
                "you requested PartialObjectMetadata, but the requested object is a list"
                " (*core.ConfigMapList)"
            ),
        ),
    ],
)
def test_one_object_is_no_list_of_metadata(ask, maps, name, shape, message):
    found = ask("GET", maps + name, headers={"Accept": PARTIAL.format(shape, "v1")})
    assert (found.status, found.message) == (406, message)


def test_a_new_object_may_come_back_as_a_table_or_as_metadata(ask, maps):
    for shape, kind in ((TABLE, "Table"), (PARTIAL.replace("{}", "", 1), "PartialObjectMetadata")):
        body = {"metadata": {"generateName": "new-"}}
        found = ask("POST", maps, json=body, headers={"Accept": shape.format("v1")})
        assert (found.status, found.body["kind"]) == (201, kind)


@pytest.mark.parametrize(
    ("include", "kinds"),
    [("None", []), ("Metadata", ["PartialObjectMetadata"]), ("Object", ["ConfigMap"])],
)
def test_rows_of_a_table_hold_what_is_asked_for(ask, maps, include, kinds):
    headers = {"Accept": TABLE.format("v1")}
    found = ask("GET", f"{maps}/c?includeObject={include}", headers=headers)
    (row,) = found.body["rows"]
    assert [row[part]["kind"] for part in row.keys() - {"cells"}] == kinds
    wrong = ask("GET", f"{maps}/c?includeObject=All", headers=headers)
    assert (wrong.status, 'Invalid value: "All"' in wrong.message) == (400, True)


@pytest.mark.parametrize("path", ["/api", "/apis"])
def test_discovery_is_aggregated_in_version_two_only(ask, path):
    both = ",".join([AGGREGATED.format("v2"), AGGREGATED.format("v2beta1"), "application/json"])
    found = ask("GET", path, headers={"Accept": both})
    assert found.body["kind"] == "APIGroupDiscoveryList"
    assert found.media_type == AGGREGATED.format("v2")
    plain = ask("GET", path, headers={"Accept": "application/json"})
    assert plain.body["kind"] in ("APIVersions", "APIGroupList")
