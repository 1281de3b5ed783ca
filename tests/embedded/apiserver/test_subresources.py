"""Scales and bindings: what they change, and what they are refused for."""

import json

import pytest

MERGE = {"Content-Type": "application/merge-patch+json"}
CONTAINER = {"name": "c", "image": "x"}


@pytest.fixture
def deployment(ask, space) -> str:
    """The path of a new Deployment of one pod."""
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [CONTAINER]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    path = f"/apis/apps/v1/namespaces/{space}/deployments"
    made = ask("POST", path, json={"metadata": {"generateName": "d-"}, "spec": spec})
    return f"{path}/{made.body['metadata']['name']}"


@pytest.fixture
def pod(ask, space) -> str:
    """The path of a new pod."""
    path = f"/api/v1/namespaces/{space}/pods"
    body = {"metadata": {"generateName": "p-"}, "spec": {"containers": [CONTAINER]}}
    return f"{path}/{ask('POST', path, json=body).body['metadata']['name']}"


def test_a_scale_shows_and_sets_the_number_of_pods(ask, deployment):
    scale = ask("GET", f"{deployment}/scale").body
    assert (scale["apiVersion"], scale["kind"]) == ("autoscaling/v1", "Scale")
    assert scale["spec"] == {"replicas": 1}
    assert scale["status"] == {"replicas": 0, "selector": "a=b"}
    scale["spec"]["replicas"] = 3
    assert ask("PUT", f"{deployment}/scale", json=scale).body["spec"] == {"replicas": 3}
    patch = {"spec": {"replicas": 2}}
    assert ask("PATCH", f"{deployment}/scale", json=patch, headers=MERGE).status == 200
    assert ask("GET", deployment).body["spec"]["replicas"] == 2


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        ({"spec": {"replicas": -1}}, 422, "must be greater than or equal to 0"),
        ({"metadata": {"resourceVersion": "1"}}, 409, "the object has been modified"),
        ({"spec": {"replicas": "two"}}, 400, "cannot unmarshal"),
    ],
)
def test_a_scale_is_refused_for(ask, deployment, change, status, text):
    scale = ask("GET", f"{deployment}/scale").body
    for part, fields in change.items():
        scale[part].update(fields)
    found = ask("PUT", f"{deployment}/scale", json=scale)
    assert (found.status, text in found.message) == (status, True), found.body


def test_a_pod_is_bound_once_and_is_scheduled_then(ask, pod):
    target = {"apiVersion": "v1", "kind": "Node", "name": "n"}
    annotations = {"seen": "yes"}
    name = pod.rpartition("/")[2]
    body = {"metadata": {"name": name, "annotations": annotations}, "target": target}
    dry = ask("POST", f"{pod}/binding?dryRun=All", json=body)
    assert (dry.status, "nodeName" in ask("GET", pod).body["spec"]) == (201, False)
    bound = ask("POST", f"{pod}/binding", json=body)
    assert (bound.status, bound.body["status"]) == (201, "Success")
    found = ask("GET", pod).body
    assert found["spec"]["nodeName"] == "n"
    assert found["metadata"]["annotations"] == annotations
    (condition,) = [c for c in found["status"]["conditions"] if c["type"] == "PodScheduled"]
    assert condition["status"] == "True"
    again = ask("POST", f"{pod}/binding", json=body)
    assert (again.status, again.body["reason"]) == (409, "Conflict")
    assert again.message.endswith(f'pod {name} is already assigned to node "n"')


def test_a_pod_that_goes_is_not_bound(ask, space):
    path = f"/api/v1/namespaces/{space}/pods"
    metadata = {"name": "goes", "finalizers": ["example.com/wait"]}
    ask("POST", path, json={"metadata": metadata, "spec": {"containers": [CONTAINER]}})
    ask("DELETE", f"{path}/goes")
    found = ask("POST", f"{path}/goes/binding", json={"target": {"name": "n"}})
    assert (found.status, "pod goes is being deleted" in found.message) == (409, True)


def test_a_binding_is_of_the_pod_that_it_names(ask, pod):
    body = {"metadata": {"name": "other"}, "target": {"name": "n"}}
    found = ask("POST", f"{pod}/binding", json=body)
    assert (found.status, found.message) == (
        400,
        "name in URL does not match name in Binding object",
    )


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/livez/ping", "/readyz/etcd"])
def test_health_is_told_in_words(ask, path):
    found = ask("GET", path)
    assert (found.status, found.body) == (200, "ok")
    if path.count("/") == 1:
        assert ask("GET", f"{path}?verbose").body.endswith(f"\n{path[1:]} check passed\n")
        assert ask("GET", f"{path}/nothing").status == 404


def test_paths_of_the_server_are_read_only(ask):
    assert ask("POST", "/version", json={}).status == 405
    assert "/apis" in ask("GET", "/").body["paths"]
    assert ask("GET", "/apis/apps/v9").status == 404
    assert ask("GET", "/apis/nothing.example.com").body == "404 page not found\n"


def test_openapi_comes_once_for_a_tag(ask):
    index = json.loads(ask("GET", "/openapi/v3").body)["paths"]
    assert {"api/v1", "apis/apps/v1"} <= index.keys()
    assert ask("GET", "/openapi/v3/apis/nothing/v1").status == 404
    assert ask("GET", "/openapi/v3/nothing").status == 404
    document = ask("GET", "/openapi/v3/apis/events.k8s.io/v1").body
    assert document["openapi"].startswith("3.")
    assert "io.k8s.api.events.v1.Event" in document["components"]["schemas"]


def test_what_no_definition_serves_is_no_page(ask):
    names = {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"}
    version = {"name": "v1", "served": True, "storage": True}
    schema = {"openAPIV3Schema": {"type": "object"}}
    spec = {"group": "paths.example.com", "scope": "Cluster", "names": names}
    body = {
        "metadata": {"name": "things.paths.example.com"},
        "spec": {**spec, "versions": [{**version, "schema": schema}]},
    }
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    assert ask("POST", definitions, json=body).status == 201
    assert ask("GET", "/apis/paths.example.com/v1/things").status == 200
    for path in ("v2", "v2/things", "v1/others"):
        found = ask("GET", f"/apis/paths.example.com/{path}")
        assert (found.status, found.body) == (404, "404 page not found\n"), path
    for path in ("/apis/apps/v9", "/apis/apps/v9/things", "/apis/apps/v1/things"):
        found = ask("GET", path)
        assert (found.status, found.body["reason"]) == (404, "NotFound"), path
    ask("DELETE", f"{definitions}/things.paths.example.com")
