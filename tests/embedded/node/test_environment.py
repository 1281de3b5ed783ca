import pytest

from labkit.embedded.node.environment import (
    ConfigProblem,
    EnvironmentResolver,
    command_line,
    expand,
    field_value,
    resource_value,
)

POD = {
    "metadata": {
        "name": "web-1",
        "namespace": "emojivoto",
        "uid": "u",
        "labels": {"app": "web", "tier": 'a"b'},
        "annotations": {"linkerd.io/inject": "enabled"},
    },
    "spec": {"nodeName": "n", "serviceAccountName": "web", "containers": []},
    "status": {"podIP": "10.244.0.5", "hostIP": "10.124.0.2"},
}


async def nothing(kind, name):
    return None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)", "1"),
        ("x$(A)$(B)y", "x12y"),
        ("$$(A)", "$(A)"),
        ("$(MISSING)", "$(MISSING)"),
        ("$A $", "$A $"),
        ("$$", "$"),
    ],
)
def test_variables_are_expanded_as_the_kubelet_does(text, expected):
    assert expand(text, {"A": "1", "B": "2"}) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("metadata.name", "web-1"),
        ("metadata.labels['app']", "web"),
        ("metadata.annotations['linkerd.io/inject']", "enabled"),
        ("metadata.annotations['none']", ""),
        ("metadata.labels", 'app="web"\ntier="a\\"b"'),
        ("spec.nodeName", "n"),
        ("spec.serviceAccountName", "web"),
        ("status.podIP", "10.244.0.5"),
        ("status.podIPs", "10.244.0.5"),
        ("status.hostIP", "10.124.0.2"),
    ],
)
def test_fields_of_the_pod_are_readable(path, expected):
    assert field_value(POD, path) == expected


def test_an_unknown_field_is_a_problem():
    with pytest.raises(ConfigProblem, match=r"unsupported fieldPath: spec\.secret"):
        field_value(POD, "spec.secret")


def test_command_and_args_become_one_command_line():
    container = {"command": ["emojivoto-vote-bot"], "args": ["--host", "$(WEB)"]}
    assert command_line(container, {"WEB": "web"}) == ("emojivoto-vote-bot", "--host", "web")


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ({"resource": "limits.cpu"}, "1"),
        ({"resource": "limits.cpu", "divisor": "1m"}, "500"),
        ({"resource": "limits.memory", "divisor": "1Mi"}, "4096"),
        ({"resource": "requests.memory", "divisor": "1Mi"}, "64"),
    ],
)
def test_resources_are_rounded_up_and_default_to_the_node(reference, expected):
    containers = [
        {"name": "a", "resources": {"limits": {"cpu": "500m"}, "requests": {"memory": "64Mi"}}}
    ]
    capacity = {"cpu": 2, "memory": 4 * 2**30}
    assert resource_value(containers, "a", reference, capacity) == expected


async def test_whole_objects_can_be_taken_over_with_a_prefix():
    async def read(kind, name):
        return {"data": {"A": "1"}} if (kind, name) == ("configmaps", "c") else None

    resolver = EnvironmentResolver(POD, read, capacity={})
    source = [
        {"prefix": "X_", "configMapRef": {"name": "c"}},
        {"secretRef": {"name": "none", "optional": True}},
    ]
    env = await resolver.resolve({"name": "a", "envFrom": source})
    assert env["X_A"] == "1"
    with pytest.raises(ConfigProblem, match='secret "none" not found'):
        await resolver.resolve({"name": "a", "envFrom": [{"secretRef": {"name": "none"}}]})


async def test_a_missing_key_is_named():
    async def read(kind, name):
        return {"data": {}}

    resolver = EnvironmentResolver(POD, read, capacity={})
    env = [{"name": "K", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]
    with pytest.raises(ConfigProblem, match="couldn't find key k in ConfigMap emojivoto/c"):
        await resolver.resolve({"name": "a", "env": env})


async def test_the_api_servers_address_is_always_there():
    env = await EnvironmentResolver(POD, nothing, capacity={}).resolve({"name": "a"})
    assert env["KUBERNETES_SERVICE_HOST"] == "10.96.0.1"
