"""Warning headers: old versions, and things that are accepted and hardly meant."""

import copy

import pytest

ENDPOINTS = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"
CONTAINER = {"name": "c", "image": "x"}


def test_whoever_touches_endpoints_is_told_of_slices(ask, space):
    path = f"/api/v1/namespaces/{space}/endpoints"
    made = {"metadata": {"name": "e"}, "subsets": []}
    for method, where, body in (
        ("POST", path, made),
        ("GET", path, None),
        ("GET", f"{path}?watch=1&timeoutSeconds=1", None),
        ("PUT", f"{path}/e", made),
        ("DELETE", f"{path}/e", None),
        ("GET", f"{path}/e", None),
    ):
        assert ask(method, where, json=body).warnings == [ENDPOINTS], (method, where)
    assert ask("GET", f"/apis/discovery.k8s.io/v1/namespaces/{space}/endpointslices").warnings == []


def test_component_statuses_are_deprecated(ask):
    found = ask("GET", "/api/v1/componentstatuses")
    assert (found.status, found.warnings) == (200, ["v1 ComponentStatus is deprecated in v1.19+"])


def test_a_deprecated_version_of_a_definition_names_a_better_one(ask, space):
    shape = {"openAPIV3Schema": {"type": "object"}}
    version = {"served": True, "storage": False, "schema": shape}
    versions = [
        {**version, "name": "v1", "storage": True},
        {**version, "name": "v1beta1", "deprecated": True},
        {**version, "name": "v1alpha1", "deprecated": True, "deprecationWarning": "go away"},
    ]
    names = {"plural": "olds", "singular": "old", "kind": "Old", "listKind": "OldList"}
    spec = {"group": "old.example.com", "scope": "Namespaced", "names": names}
    body = {"metadata": {"name": "olds.old.example.com"}, "spec": {**spec, "versions": versions}}
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    assert ask("POST", definitions, json=body).status == 201
    told = "old.example.com/v1beta1 Old is deprecated; use old.example.com/v1 Old"
    for name, texts in (("v1", []), ("v1beta1", [told]), ("v1alpha1", ["go away"])):
        path = f"/apis/old.example.com/{name}/namespaces/{space}/olds"
        assert ask("GET", path).warnings == texts, name
    ask("DELETE", f"{definitions}/olds.old.example.com")


PODS = [
    (
        {"containers": [{**CONTAINER, "env": [{"name": "A", "value": "1"}, {"name": "A"}]}]},
        [
            (
                'spec.containers[0].env[1]: hides previous definition of "A", which may be dropped'
                " when using apply"
            )
        ],
    ),
    (
        {
            "containers": [
                {
                    **CONTAINER,
                    "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}],
                }
            ]
        },
        [],
    ),
    (
        {
            "containers": [
                {**CONTAINER, "ports": [{"containerPort": 80}]},
                {"name": "d", "image": "x", "ports": [{"containerPort": 80}]},
            ]
        },
        ["spec.containers[1].ports[0]: duplicate port definition with spec.containers[0].ports[0]"],
    ),
    (
        {
            "containers": [
                {
                    **CONTAINER,
                    "ports": [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 80}],
                }
            ]
        },
        [
            (
                "spec.containers[0].ports[1]: overlapping port definition with"
                " spec.containers[0].ports[0]"
            )
        ],
    ),
    (
        {
            "containers": [
                {
                    **CONTAINER,
                    "resources": {
                        "limits": {"memory": "100m", "cpu": "100m"},
                        "requests": {"memory": "100m"},
                    },
                }
            ]
        },
        [
            (
                'spec.containers[0].resources.limits[memory]: fractional byte value "100m" is invalid,'
                " must be an integer"
            ),
            (
                'spec.containers[0].resources.requests[memory]: fractional byte value "100m" is'
                " invalid, must be an integer"
            ),
        ],
    ),
    (
        {"nodeSelector": {"beta.kubernetes.io/os": "linux"}},
        [
            (
                "spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use"
                ' "kubernetes.io/os" instead'
            )
        ],
    ),
    (
        {
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "failure-domain.beta.kubernetes.io/zone",
                    "whenUnsatisfiable": "ScheduleAnyway",
                }
            ]
        },
        [
            (
                "spec.topologySpreadConstraints[0].topologyKey: failure-domain.beta.kubernetes.io/zone"
                ' is deprecated since v1.17; use "topology.kubernetes.io/zone" instead'
            ),
            (
                "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in"
                " matching no pod"
            ),
        ],
    ),
    (
        {"imagePullSecrets": [{"name": "s"}, {"name": "s"}]},
        ['spec.imagePullSecrets[1].name: duplicate name "s"'],
    ),
    (
        {"hostAliases": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.1"}]},
        ['spec.hostAliases[1].ip: duplicate ip "10.0.0.1"'],
    ),
    (
        {"terminationGracePeriodSeconds": -1},
        [
            (
                "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and"
                " will be treated as 1"
            )
        ],
    ),
    (
        {
            "affinity": {
                "podAntiAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "a"}]
                }
            }
        },
        [
            (
                "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0]"
                ".labelSelector: a null labelSelector results in matching no pod"
            )
        ],
    ),
]


@pytest.mark.parametrize(("spec", "texts"), PODS)
def test_a_pod_is_warned_of_and_so_is_its_template(ask, space, spec, texts):
    spec = {"containers": [CONTAINER], **spec}
    pod = {"metadata": {"generateName": "p-"}, "spec": spec}
    found = ask("POST", f"/api/v1/namespaces/{space}/pods", json=pod)
    assert (found.status, found.warnings) == (201, texts), found.body
    template = {"metadata": {"labels": {"a": "b"}}, "spec": spec}
    made = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    deployments = f"/apis/apps/v1/namespaces/{space}/deployments"
    body = {"metadata": {"generateName": "d-"}, "spec": made}
    found = ask("POST", deployments, json=body)
    inner = [text.replace("spec.", "spec.template.spec.") for text in texts]
    assert (found.status, found.warnings) == (201, inner)


def test_annotations_without_effect_are_named(ask, space):
    annotations = {
        "scheduler.alpha.kubernetes.io/critical-pod": "",
        "seccomp.security.alpha.kubernetes.io/pod": "runtime/default",
        "container.seccomp.security.alpha.kubernetes.io/c": "runtime/default",
    }
    body = {
        "metadata": {"name": "a", "annotations": annotations},
        "spec": {"containers": [CONTAINER]},
    }
    found = ask("POST", f"/api/v1/namespaces/{space}/pods", json=body)
    assert [text.partition(": ")[0] for text in found.warnings] == [
        f"metadata.annotations[{key}]" for key in annotations
    ]


def test_a_name_with_dots_is_no_good_name_for_pods(ask, space):
    body = {"metadata": {"name": "a.b"}, "spec": {"containers": [CONTAINER]}}
    found = ask("POST", f"/api/v1/namespaces/{space}/pods", json=body)
    assert found.warnings == [
        (
            "metadata.name: this is used in the Pod's hostname, which can result in surprising"
            " behavior; a DNS label is recommended: [must not contain dots]"
        )
    ]


def test_a_template_is_warned_of_again_only_when_it_changes(ask, space):
    container = {**CONTAINER, "env": [{"name": "A"}, {"name": "A"}]}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    path = f"/apis/apps/v1/namespaces/{space}/deployments"
    made = ask("POST", path, json={"metadata": {"name": "again"}, "spec": spec})
    assert len(made.warnings) == 1
    merge = {"Content-Type": "application/merge-patch+json"}
    labels = ask("PATCH", f"{path}/again", json={"metadata": {"labels": {"x": "y"}}}, headers=merge)
    assert (labels.status, labels.warnings) == (200, [])
    scaled = ask("PATCH", f"{path}/again", json={"spec": {"replicas": 0}}, headers=merge)
    assert scaled.warnings == made.warnings


@pytest.mark.parametrize(
    ("spec", "texts"),
    [
        ({"trafficDistribution": "PreferSameZone"}, []),
        (
            {"trafficDistribution": "PreferClose"},
            ['spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'],
        ),
        (
            {"clusterIP": "None", "sessionAffinity": "ClientIP"},
            ["spec.SessionAffinity is ignored for headless services"],
        ),
        (
            {"externalName": "a.example.com"},
            ['spec.externalName is ignored when spec.type is not "ExternalName"'],
        ),
        (
            {"externalIPs": ["203.0.113.1"]},
            ["spec.externalIPs is deprecated and may no longer be implemented in some clusters"],
        ),
    ],
)
def test_a_service_is_warned_of(ask, space, spec, texts):
    spec = {"ports": [{"port": 80}], **copy.deepcopy(spec)}
    body = {"metadata": {"generateName": "s-"}, "spec": spec}
    found = ask("POST", f"/api/v1/namespaces/{space}/services", json=body)
    assert (found.status, found.warnings) == (201, texts), found.body
