"""Hostile requests at the Kubernetes API of a running lab: an answer to each, and nothing broken.

Requests are drawn from what the server says of itself (discovery and OpenAPI) and then damaged.
`LABKIT_FUZZ_SECONDS=300` is the long form.
"""

import base64
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.support.hostile import st

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

NAMES = ("a", "b", "c", "default")
NAMESPACES = ("default", "default", "fuzz", "kube-system")
GATEWAY_ERRORS = (502, 503, 504)
GENUINE = (
    "does not contain declared merge key",
    "failed to create typed patch object",
    "Too large resource version",
    "failed calling webhook",
    "resourceVersion should not be set on objects to be created",
    "target.name: Required value",
    "target.kind: Unsupported value",
)
"""A genuine API server answers 500 (the third: 504) with these words as well."""
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "FOO", "get")
TYPES = (
    "application/json", "application/json", "application/yaml", "application/json-patch+json",
    "application/merge-patch+json", "application/strategic-merge-patch+json",
    "application/apply-patch+yaml", "application/vnd.kubernetes.protobuf", "text/plain", "",
    "application/json; charset=utf-7", "multipart/form-data", "a/b/c", ";;;", "application/x-www-form-urlencoded",
)  # fmt: skip
PATCH_TYPES = TYPES[3:7]
ACCEPTS = (
    "application/json", "*/*", "application/yaml", "application/vnd.kubernetes.protobuf",
    "application/json;as=Table;g=meta.k8s.io;v=v1", "application/json;as=Table;g=meta.k8s.io;v=v1beta1",
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", "application/json;as=X;g=;v=",
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json", "text/html", "",
    "application/json;stream=watch", ";q=x,,,;", "application/json;q=0",
)  # fmt: skip
QUERIES = (
    "limit=1", "limit=-1", "limit=x", "limit=99999999999999999999", "limit=0&continue=x", "continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ",
    "limit=1&continue=eyJydiI6LTEsInN0YXJ0IjoiLi4vLi4ifQ", "continue=%00", "continue=%ff", "resourceVersion=0", "resourceVersion=x",
    "resourceVersion=-1", "resourceVersion=99999999999999999999", "resourceVersion=1&resourceVersionMatch=Exact",
    "resourceVersionMatch=NotOlderThan", "resourceVersion=1&resourceVersionMatch=Foo", "watch=1&timeoutSeconds=1",
    "watch=true&timeoutSeconds=1&resourceVersion=1", "watch=1&timeoutSeconds=1&allowWatchBookmarks=true&sendInitialEvents=true",
    "watch=1&timeoutSeconds=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan", "watch=&timeoutSeconds=x",
    "watch=1&timeoutSeconds=-5", "watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Da", "labelSelector=a", "labelSelector=%21a",
    "labelSelector=a%20in%20(b,c),d%20notin%20(", "labelSelector=a%3E1", "labelSelector=%00", "labelSelector=%ff", "labelSelector=a%3D%3D%3Db",
    "labelSelector=" + "a%2C" * 500, "labelSelector=" + "(" * 1000, "fieldSelector=metadata.name%3Da", "fieldSelector=status.phase!%3DRunning",
    "fieldSelector=spec.nodeName", "fieldSelector=a%5C%3Db%3Dc", "fieldSelector=%3D", "fieldSelector=metadata.name%3Da%2Cmetadata.name%3Db",
    "dryRun=All", "dryRun=x", "dryRun=", "dryRun=All&dryRun=All", "fieldManager=x", "fieldManager=" + "m" * 129, "fieldManager=%00%ff",
    "fieldManager=x&force=true", "fieldManager=x&force=maybe", "fieldManager=%F0%9F%92%A5&force=true", "fieldValidation=Strict", "fieldValidation=x",
    "propagationPolicy=Foreground", "propagationPolicy=Orphan", "propagationPolicy=x", "orphanDependents=true", "gracePeriodSeconds=0",
    "gracePeriodSeconds=-1", "gracePeriodSeconds=x", "pretty=true", "follow=true&tailLines=-1", "tailLines=x&sinceSeconds=-1", "sinceTime=x",
    "container=..%2F..%2Fx", "container=a&previous=true", "limitBytes=0", "command=id&stdout=1", "ports=x", "ports=80&ports=-1", "&&&=&=", "%", "%zz",
    "a=" + "b" * 6000, "x" * 20, "includeUninitialized=1", "timeout=x", "timeout=0s", "stream=x", "allowWatchBookmarks=x&watch=1&timeoutSeconds=1",
)  # fmt: skip
HEADERS = (
    {}, {}, {}, {"Impersonate-User": "x"}, {"Impersonate-User": "\u00e9"}, {"Impersonate-Group": "x"}, {"Impersonate-Uid": "1"},
    {"Impersonate-Extra-a%2Fb": "x", "Impersonate-User": "u"}, {"Impersonate-User": "system:serviceaccount:a"},
    {"Impersonate-User": "system:serviceaccount::"}, {"Authorization": "Bearer x.y.z"}, {"Authorization": "Bearer " + "a" * 4000},
    {"Authorization": "Basic eA=="}, {"Authorization": "Bearer"}, {"Authorization": "\u00ff"}, {"User-Agent": ""}, {"User-Agent": "\u00ff/\u00ff"},
    {"Accept-Encoding": "gzip, br, x"}, {"Content-Encoding": "gzip"}, {"Content-Encoding": "x"}, {"Connection": "close"}, {"Expect": "100-continue"},
    {"Expect": "x"}, {"If-None-Match": '"x"'}, {"Cookie": "a" * 4000}, {"X-Http-Method-Override": "DELETE"}, {"Range": "bytes=0-1"},
    {"Upgrade": "websocket", "Connection": "Upgrade"}, {"Upgrade": "SPDY/3.1", "Connection": "Upgrade"}, {"Host": "evil.example"}, {"Host": ""},
    {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "x"},
    {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "v5.channel.k8s.io"},
    {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "99", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "\u00ff"},
)  # fmt: skip
ODD_PATHS = (
    "/", "//", "/api", "/api/", "/api//v1", "/api/v1/", "/api/v2/pods", "/apis", "/apis//", "/apis/x/y/z/w", "/api/v1/namespaces//pods", "/../../etc/passwd",
    "/api/v1/../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/api/v1/namespaces/..%2f..%2f..%2ftmp%2ffuzz-escape/pods", "/api/v1/namespaces/%00/pods",
    "/api/v1/namespaces/default/pods/%ff", "/api/v1/watch/pods", "/api/v1/watch/namespaces/default/pods/a?timeoutSeconds=1", "/api/v1/proxy", "/openapi/v2",
    "/openapi/v3/../../x", "/openapi/v3/apis/" + "a" * 3000, "/openapi/v3/api/v1?hash=x", "/healthz/ping", "/healthz/..", "/metrics", "/logs/", "/debug/pprof",
    "/api/v1/nodes/x/proxy/../../..", "/api/v1/namespaces/default/services/https:a:b:c:d/proxy/", "/api/v1/namespaces/default/services/a:999999/proxy",
    "/api/v1/namespaces/default/pods/a:x/proxy/%2e%2e/%00", "/api/v1/namespaces/default/pods/a/exec", "/api/v1/namespaces/default/pods/a/portforward?ports=1",
    "/api/v1/namespaces/default/pods/a/attach", "/api/v1/namespaces/default/pods/a/log?container=..%2f..", "/api/v1/namespaces/default/finalize",
    "/api/v1/namespaces/default/status", "/api/v1/namespaces/default/pods/a/b/c/d/e", "/apis/apps/v1/namespaces/default/deployments/a/scale/x", "*",
    "https://evil.example/api/v1/pods", "/api/v1/pods;x=y", "/api/v1/pods#x", "/api/v1/p\u00f6ds", "/api/v1/namespaces/" + "a/" * 500, "/" + "a" * 7000, "/api/v1/namespaces/a%2Fb/pods/c%2Fd",
)  # fmt: skip

POD = {
    "metadata": {"name": "a", "labels": {"app": "a"}, "annotations": {"linkerd.io/inject": "enabled"}, "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "b", "uid": "u"}], "finalizers": ["x/y"]},
    "spec": {
        "containers": [{"name": "a", "image": "curlimages/curl", "command": ["true"], "args": ["x"], "ports": [{"containerPort": 80, "name": "http"}], "env": [{"name": "A", "value": "$(B)"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}], "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}, "volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "x"}], "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1}}],
        "initContainers": [{"name": "i", "image": "x", "restartPolicy": "Always"}],
        "volumes": [{"name": "v", "configMap": {"name": "a", "items": [{"key": "k", "path": "p"}]}}, {"name": "w", "emptyDir": {}}, {"name": "d", "downwardAPI": {"items": [{"path": "x", "fieldRef": {"fieldPath": "metadata.labels['a']"}}]}}],
        "restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "nodeName": "", "nodeSelector": {"a": "b"}, "tolerations": [{"operator": "Exists"}],
    },
}  # fmt: skip
TEMPLATE = {
    "metadata": {"labels": {"app": "a"}},
    "spec": {"containers": [{"name": "a", "image": "nothing:1"}]},
}
DEPLOYMENT = {"metadata": {"name": "a"}, "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "a"}, "matchExpressions": [{"key": "app", "operator": "In", "values": ["a"]}]}, "template": TEMPLATE, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}}, "revisionHistoryLimit": 1}}  # fmt: skip
RULES = [
    {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get"], "resourceNames": ["a"]}
]
REF = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
SUBJECTS = [{"kind": "User", "name": "x", "apiGroup": "rbac.authorization.k8s.io"}]
CRD = {"metadata": {"name": "as.fuzz.dev"}, "spec": {"group": "fuzz.dev", "scope": "Namespaced", "names": {"plural": "as", "singular": "a", "kind": "A", "shortNames": ["x"]}, "versions": [{"name": "v1", "served": True, "storage": True, "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"}}, "additionalPrinterColumns": [{"name": "N", "type": "integer", "jsonPath": ".spec.n"}], "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {"n": {"type": "integer", "default": 1}, "t": {"type": "string", "pattern": "^a+$"}, "l": {"type": "array", "items": {"type": "object", "properties": {"k": {"type": "string"}}}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}}}, "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}}}]}}  # fmt: skip
OBJECTS: dict[str, Any] = {
    "pods": POD, "deployments": DEPLOYMENT, "customresourcedefinitions": CRD,
    "replicasets": {"metadata": {"name": "a"}, "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "a"}}, "template": TEMPLATE}},
    "services": {"metadata": {"name": "a"}, "spec": {"type": "LoadBalancer", "selector": {"app": "a"}, "clusterIP": "", "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP", "nodePort": 0}]}},
    "endpoints": {"metadata": {"name": "a"}, "subsets": [{"addresses": [{"ip": "10.1.1.1", "targetRef": {"kind": "Pod", "name": "a"}}], "notReadyAddresses": [], "ports": [{"port": 80, "name": "http"}]}]},
    "endpointslices": {"metadata": {"name": "a", "labels": {"kubernetes.io/service-name": "a"}}, "addressType": "IPv4", "endpoints": [{"addresses": ["10.1.1.1"], "conditions": {"ready": True}}], "ports": [{"port": 80}]},
    "jobs": {"metadata": {"name": "a"}, "spec": {"completions": 1, "parallelism": 1, "backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "x"}]}}}},
    "configmaps": {"metadata": {"name": "a"}, "data": {"k": "v"}, "binaryData": {"b": "AA=="}, "immutable": False},
    "secrets": {"metadata": {"name": "a", "annotations": {"kubernetes.io/service-account.name": "default"}}, "type": "kubernetes.io/service-account-token", "data": {"k": "AA=="}, "stringData": {"s": "x"}},
    "serviceaccounts": {"metadata": {"name": "a"}, "secrets": [{"name": "a"}], "imagePullSecrets": [{"name": "a"}]},
    "roles": {"metadata": {"name": "a"}, "rules": RULES}, "rolebindings": {"metadata": {"name": "a"}, "roleRef": REF, "subjects": SUBJECTS},
    "clusterroles": {"metadata": {"name": "a"}, "rules": RULES, "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "a", "operator": "Exists"}]}]}},
    "clusterrolebindings": {"metadata": {"name": "a"}, "roleRef": REF, "subjects": SUBJECTS},
    "namespaces": {"metadata": {"name": "fuzz", "labels": {"a": "b"}}, "spec": {"finalizers": ["kubernetes"]}},
    "events": {"metadata": {"name": "a"}, "involvedObject": {"kind": "Pod", "name": "a", "namespace": "default"}, "reason": "x", "type": "Normal"},
    "leases": {"metadata": {"name": "a"}, "spec": {"holderIdentity": "x", "leaseDurationSeconds": 1, "renewTime": "2026-01-01T00:00:00.000000Z"}},
    "nodes": {"metadata": {"name": "a"}, "spec": {"podCIDR": "10.1.0.0/24", "taints": [{"key": "a", "effect": "NoSchedule"}]}, "status": {"capacity": {"pods": "10"}, "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}},
    "bindings": {"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "x"}},
    "tokenreviews": {"spec": {"token": "a.b.c", "audiences": ["x"]}}, "selfsubjectrulesreviews": {"spec": {"namespace": "default"}}, "selfsubjectreviews": {},
    "subjectaccessreviews": {"spec": {"user": "x", "groups": ["y"], "resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "a"}}},
    "selfsubjectaccessreviews": {"spec": {"nonResourceAttributes": {"verb": "get", "path": "/"}}},
    "localsubjectaccessreviews": {"metadata": {"namespace": "default"}, "spec": {"user": "x", "resourceAttributes": {"namespace": "default", "verb": "get"}}},
}  # fmt: skip
SUBBODIES: dict[str, Any] = {
    "scale": {"metadata": {"name": "a"}, "spec": {"replicas": 1}}, "eviction": {"metadata": {"name": "a"}, "deleteOptions": {"gracePeriodSeconds": 0, "preconditions": {"uid": "x"}}},
    "binding": {"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "x"}}, "token": {"spec": {"audiences": ["x"], "expirationSeconds": 600, "boundObjectRef": {"kind": "Pod", "name": "a"}}},
}  # fmt: skip
DELETE = {"propagationPolicy": "Background", "gracePeriodSeconds": 0, "preconditions": {"uid": "x", "resourceVersion": "1"}, "dryRun": []}  # fmt: skip
PATTERNS = (
    "(a+)+$", "^(([a-z])+.)+[A-Z]([a-z])+$", "(a|a)*$", "(", "(?P<", "[a-", "\\", "x{1000}{1000}", "(?:(?:x{99}){99}){99}", "(?=a)b", "(?<!a)b", r"(a)\1", "(.*)*=", "\\p{L}", "a" * 5000, "(?i)é", "[[:alpha:]]+", "\\z", "**",
)  # fmt: skip


@pytest.fixture(scope="module")
def cloud(module_home, hostile) -> Iterator[Any]:
    """A lab with one node a cluster, and the process that holds it."""
    done = module_home.run("up", "--bare", "--nodes", "1", "--lab-name", "fuzzed")
    assert done.returncode == 0, done.stderr
    state = module_home.root / "fuzzed" / "cloud"
    pid = next(p["pid"] for p in module_home.json("status", "--lab-name", "fuzzed")["processes"] if p["name"] == "daemon")  # fmt: skip
    yield hostile.Daemon(state, pid)
    done = module_home.run("down", "--lab-name", "fuzzed")
    assert done.returncode == 0, done.stderr
    assert "processes left: 0" in done.stdout


@pytest.fixture(scope="module")
def client(module_home, cloud, hostile, tmp_path_factory) -> Iterator[Any]:
    """A connection to the API server of west, as the administrator."""
    config = yaml.safe_load((module_home.root / "fuzzed" / "kubeconfig").read_text())
    cluster = next(c["cluster"] for c in config["clusters"] if c["name"] == "west")
    user = next(u["user"] for u in config["users"] if u["name"].startswith("west"))
    ca_file = tmp_path_factory.mktemp("fuzz") / "ca.crt"
    ca_file.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    client = hostile.Client(cluster["server"], ca_file, user["token"])
    yield client
    client.close()


class Server:
    """What a fuzzed API server says of itself, and the judge of its answers."""

    def __init__(self, hostile, client) -> None:
        self._hostile, self.client = hostile, client
        self.findings = hostile.Findings()
        self.resources = list(self._discover())
        self._sent = 0

    def get(self, target: str) -> Any:
        answer = self.client.send(self._hostile.Request("GET", target))
        assert answer.status == 200, (target, answer)
        return answer.json()

    def _discover(self) -> Iterator[dict[str, Any]]:
        groups = self.get("/apis")["groups"]
        versions = ["api/v1", *(f"apis/{v['groupVersion']}" for g in groups for v in g["versions"])]
        for version in versions:
            for found in self.get(f"/{version}")["resources"]:
                yield {**found, "prefix": f"/{version}", "api_version": version.split("/", 1)[1]}

    def one(self, request: Any) -> None:
        """Send a request, judge the answer, and ask a well-known question now and then."""
        self.findings.judge(self.client, request, problem_of)
        self._sent += 1
        if self._sent % 100 == 0:
            self.canary()

    def canary(self) -> None:
        """Something that must always work."""
        path = "/api/v1/namespaces/default/configmaps"
        body = json.dumps({"metadata": {"name": "canary"}}).encode()
        headers = {"Content-Type": "application/json"}
        for method, target, data in (("POST", path, body), ("GET", f"{path}/canary", b""), ("DELETE", f"{path}/canary", b"")):  # fmt: skip
            answer = self.client.send(self._hostile.Request(method, target, headers, data))
            if answer.status not in (200, 201):
                self.findings.add(f"the canary got {answer.status}", answer.body[:500])

    def tidy(self) -> None:
        """Delete what was made, so that only what is never given back can grow."""
        for resource in self.resources:
            if (
                resource["namespaced"]
                and "deletecollection" in resource.get("verbs", ())
                and "/" not in resource["name"]
            ):
                for namespace in ("default", "fuzz"):
                    target = f"{resource['prefix']}/namespaces/{namespace}/{resource['name']}?gracePeriodSeconds=0"
                    self.client.send(self._hostile.Request("DELETE", target))
        for target in ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "/apis/rbac.authorization.k8s.io/v1/clusterroles/a", "/api/v1/nodes/a", "/api/v1/nodes/b", "/api/v1/nodes/c"):  # fmt: skip
            self.client.send(self._hostile.Request("DELETE", target))


def problem_of(request: Any, answer: Any) -> str:
    """Why an answer is none that this API may give; empty when it is fine."""
    text = answer.body.decode(errors="replace")
    proxied = "/proxy" in request.target
    if answer.status >= 500 and answer.status != 501:
        silent = request.method == "HEAD" and answer.status == 504  # its words are not sent
        genuine = silent or any(words in text for words in GENUINE)
        if not genuine and not (proxied and answer.status in GATEWAY_ERRORS):
            return f"{answer.status}: {text}"
    if answer.status < 400 or request.method == "HEAD" or proxied or not answer.complete:
        return ""
    kind = answer.headers.get("content-type", "")
    if kind.startswith("text/plain") and answer.status in (400, 404):
        return ""  # broken HTTP, and paths that are no API, as in Kubernetes
    if "/openapi/" in request.target and answer.status == 404:
        return ""
    if kind.startswith("application/json"):
        try:
            found = json.loads(answer.body)
        except ValueError:
            return f"an error that is no JSON: {text}"
    elif kind.startswith("application/yaml"):
        found = yaml.safe_load(answer.body)
    elif kind.startswith("application/vnd.kubernetes.protobuf"):
        return "" if answer.body.startswith(b"k8s\x00") else f"an error that is no protobuf: {text}"
    else:
        return f"{answer.status} of type {kind}: {text}"
    wanted = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": answer.status}
    wrong = {k: found.get(k) for k, v in wanted.items() if found.get(k) != v}
    if wrong or not isinstance(found.get("message"), str):
        return f"an error that is no Status ({wrong}): {text}"
    return ""


@pytest.fixture(scope="module")
def server(hostile, client) -> Server:
    return Server(hostile, client)


def requests_to(hostile, server: Server) -> Any:
    """Requests near to good ones, and requests that are nothing of the kind."""
    resources = [r for r in server.resources if "webhookconfigurations" not in r["name"]]
    documents = {
        path: server.get(path)["components"]["schemas"]
        for path in sorted({f"/openapi/v3{r['prefix']}" for r in resources})
    }

    def schemas(resource: dict[str, Any]) -> Any:
        return documents[f"/openapi/v3{resource['prefix']}"]

    known = [r for r in resources if r["name"].partition("/")[0] in OBJECTS]
    all_of, known_of = st.sampled_from(resources), st.sampled_from(known)

    @st.composite
    def near(draw: Any) -> Any:
        resource = draw(st.one_of(all_of, known_of))
        plural, _, sub = resource["name"].partition("/")
        names = st.one_of(st.sampled_from(NAMES), st.sampled_from(NAMES), hostile.texts)
        verb = draw(st.sampled_from(("create", "get", "list", "update", "patch", "delete", "odd")))
        path = resource["prefix"]
        if resource["namespaced"]:
            namespace = draw(st.one_of(st.sampled_from(NAMESPACES), hostile.texts) if draw(st.integers(0, 5)) == 0 else st.sampled_from(NAMESPACES))  # fmt: skip
            path += f"/namespaces/{hostile.segment(namespace)}"
        path += f"/{plural}"
        if sub or verb in ("get", "update", "patch", "delete"):
            path += f"/{hostile.segment(draw(names))}" + (f"/{sub}" if sub else "")
        method = {"create": "POST", "get": "GET", "list": "GET", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}.get(verb) or draw(st.sampled_from(METHODS))  # fmt: skip
        if sub in ("exec", "attach", "portforward", "token", "eviction", "binding"):
            method = draw(st.sampled_from(("POST", "GET")))
        value = draw(_object(hostile, resource, schemas))
        if verb == "patch":
            value = draw(_patch(hostile, value))
        elif verb == "delete":
            value = draw(hostile.mutated(DELETE))
        queries = draw(
            st.lists(st.sampled_from(QUERIES), max_size=2)
            if draw(st.integers(0, 2)) == 0
            else st.just([])
        )
        if verb == "patch" and draw(st.booleans()):
            queries.append("fieldManager=fuzz")
        content = draw(st.sampled_from(PATCH_TYPES if verb == "patch" else TYPES[:3]))
        headers = {"Content-Type": content, "Accept": draw(st.sampled_from(ACCEPTS[:6]))}
        return hostile.Request(method, path + ("?" + "&".join(queries) if queries else ""), headers, draw(hostile.bodies(value)) if method not in ("GET", "HEAD") else b"")  # fmt: skip

    @st.composite
    def far(draw: Any) -> Any:
        path = draw(st.sampled_from(ODD_PATHS))
        if draw(st.booleans()):
            resource = draw(st.sampled_from(resources))
            path = f"{resource['prefix']}/namespaces/default/{resource['name'].replace('/', '/a/')}"
        if draw(st.booleans()):
            path += ("&" if "?" in path else "?") + draw(st.sampled_from(QUERIES))
        headers = {"Content-Type": draw(st.sampled_from(TYPES)), "Accept": draw(st.sampled_from(ACCEPTS)), **draw(st.sampled_from(HEADERS))}  # fmt: skip
        body = draw(st.one_of(st.sampled_from(hostile.BODIES), st.binary(max_size=30)))
        return hostile.Request(draw(st.sampled_from(METHODS)), path, headers, body)

    @st.composite
    def instances(draw: Any) -> Any:
        path = "/apis/fuzz.dev/v1/namespaces/default/as"
        value = {"apiVersion": "fuzz.dev/v1", "kind": "A", "metadata": {"name": "a"}, "spec": {"n": 1, "t": "a" * 40 + "!", "l": [{"k": "x"}]}, "status": {"n": 1}}  # fmt: skip
        method = draw(st.sampled_from(("POST", "PATCH", "PUT", "GET", "DELETE")))
        tail = (
            ""
            if method == "POST"
            else draw(st.sampled_from(("/a", "/a", "/a/status", "/a/scale", "")))
        )
        headers = {"Content-Type": draw(st.sampled_from(PATCH_TYPES)) if method == "PATCH" else "application/json", "Accept": draw(st.sampled_from(ACCEPTS[:6]))}  # fmt: skip
        value = draw(hostile.mutated(value))
        body = b"" if method == "GET" else hostile.encoded(value)
        return hostile.Request(method, f"{path}{tail}?fieldManager=x", headers, body)

    @st.composite
    def definitions(draw: Any) -> Any:
        value = json.loads(json.dumps(CRD))
        spec = value["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"][
            "properties"
        ]
        spec["t"]["pattern"] = draw(st.sampled_from(PATTERNS))
        if draw(st.booleans()):
            spec["x"] = draw(st.sampled_from(({"$ref": "#/x"}, {"type": "x"}, {"properties": hostile.deep(40, "map")}, {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": True}}, {"not": {"not": {"not": {}}}}, {"enum": [1, None, {}, "a"]}, {"type": "integer", "multipleOf": 0}, {"type": "string", "format": "uuid", "maxLength": -1}, {"type": "array", "items": [{}, {}]}, {"type": "object", "x-kubernetes-embedded-resource": True}, {"x-kubernetes-int-or-string": True, "type": "string"}, {"type": "array", "x-kubernetes-list-type": "map"}, {"type": "object", "required": "x"}, {"type": "array", "default": {}}, {"type": "object", "x-kubernetes-validations": [{"rule": "self.x("}]})))  # fmt: skip
        if draw(st.booleans()):
            value["spec"]["versions"][0]["additionalPrinterColumns"][0]["jsonPath"] = draw(st.sampled_from((".spec[?(@.n>1)].t", "..", ".[", "{.x}", ".spec.l[*].k", ".metadata.creationTimestamp", "." + "a." * 400)))  # fmt: skip
        value = draw(hostile.mutated(value, 2)) if draw(st.integers(0, 2)) == 0 else value
        method = draw(st.sampled_from(("POST", "PUT", "DELETE")))
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions" + (
            "" if method == "POST" else "/as.fuzz.dev"
        )
        return hostile.Request(
            method, path, {"Content-Type": "application/json"}, hostile.encoded(value)
        )

    return st.one_of(near(), near(), near(), far(), definitions(), instances())


@st.composite
def _object(draw: Any, hostile, resource, schemas) -> Any:
    """A body for a resource: a good one damaged, or one drawn from the served schema."""
    plural, _, sub = resource["name"].partition("/")
    base = SUBBODIES.get(sub) or OBJECTS.get(plural)
    if base is None or draw(st.integers(0, 3)) == 0:
        names = schemas(resource)
        wanted = {"group": resource.get("group", resource["api_version"].rpartition("/")[0]), "version": resource.get("version", resource["api_version"].rpartition("/")[2]), "kind": resource["kind"]}  # fmt: skip
        found = [
            s for s in names.values() if wanted in s.get("x-kubernetes-group-version-kind", ())
        ]
        base = draw(_of_schema(hostile, found[0], names, 0)) if found else {}
        if isinstance(base, dict) and draw(st.booleans()):
            base["metadata"] = {"name": draw(st.sampled_from(NAMES))}
    if isinstance(base, dict):
        base = {"apiVersion": resource["api_version"], "kind": resource["kind"], **base}
    return draw(hostile.mutated(base))


@st.composite
def _of_schema(draw: Any, hostile, schema: Any, names: Any, depth: int) -> Any:
    """A value after a schema, with something wrong in it now and then."""
    for _ in range(5):  # schemas of hostile resources may lead round in circles, or be none
        if not isinstance(schema, dict):
            return draw(hostile.leaves)
        reference = schema.get("$ref") or (schema.get("allOf") or [{}])[0].get("$ref")
        if not reference:
            break
        schema = names.get(str(reference).rpartition("/")[2])
    if not isinstance(schema, dict) or depth > 5 or draw(st.integers(0, 9)) == 0:
        return draw(hostile.leaves)
    match schema.get("type"):
        case "object":
            properties = schema.get("properties") or {}
            chosen = (
                draw(st.lists(st.sampled_from(sorted(properties)), max_size=4))
                if properties
                else []
            )
            chosen = {*chosen, *(schema.get("required") or ())} & properties.keys()
            found = {
                k: draw(_of_schema(hostile, properties[k], names, depth + 1))
                for k in sorted(chosen)
            }
            extra = schema.get("additionalProperties")
            if isinstance(extra, dict):
                found[draw(hostile.texts)] = draw(_of_schema(hostile, extra, names, depth + 1))
            return found
        case "array":
            return [
                draw(_of_schema(hostile, schema.get("items") or {}, names, depth + 1))
                for _ in range(draw(st.integers(0, 2)))
            ]
        case "integer" | "number":
            return draw(hostile.numbers)
        case "boolean":
            return draw(st.booleans())
        case "string":
            return draw(
                st.one_of(
                    st.sampled_from(NAMES),
                    hostile.texts,
                    st.sampled_from(schema.get("enum") or ["a"]),
                )
            )
    return draw(hostile.values)


@st.composite
def _patch(draw: Any, hostile, value: Any) -> Any:
    """A merge-like patch (any object is one), or a list of JSON patch operations."""
    if draw(st.booleans()):
        return value
    pointers = ["/" + "/".join(str(p).replace("~", "~0").replace("/", "~1") for p in path) for path in itertools.islice(hostile.paths_in(value), 40)]  # fmt: skip
    pointer = st.one_of(st.sampled_from([*pointers, "", "/", "//", "/~", "/~2", "/metadata/labels/-", "/spec/containers/-1", "/spec/containers/99", "/metadata/name", "x", "/" * 500]), hostile.leaves)  # fmt: skip
    operations = []
    for _ in range(draw(st.integers(0, 4))):
        operation = {
            "op": draw(
                st.sampled_from(("add", "remove", "replace", "move", "copy", "test", "x", None))
            )
        }
        operation |= {"path": draw(pointer), "from": draw(pointer), "value": draw(hostile.leaves)}
        operations.append({k: v for k, v in operation.items() if draw(st.integers(0, 9))})
    return operations


def test_whatever_is_asked_is_answered(hostile, server, cloud):
    seconds = hostile.SECONDS

    def between() -> None:
        cloud.look()
        server.tidy()

    hostile.fuzz(
        requests_to(hostile, server), server.one, server.findings, seconds=seconds, between=between
    )
    if not server.findings.hangs:
        server.tidy()
        server.canary()
    server.findings.tell("Kubernetes API", cloud)
    assert not server.findings.wrong, server.findings.report()
    assert not (problems := cloud.problems()), "\n".join(problems)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n" * 50,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /version HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"POST /api/v1/pods HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /api/v1/pods HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"POST /api/v1/pods HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n{",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"b" * 100_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x00" * 1000,
    ],
    ids=lambda data: repr(data[:24]),
)
def test_broken_http_harms_nobody(server, client, cloud, data):
    answer = client.raw(data, linger_s=0.5)
    assert not answer.startswith(b"HTTP/1.1 5"), answer[:200]
    server.canary()
    assert not server.findings.wrong, server.findings.report()
    assert not (problems := cloud.problems()), "\n".join(problems)


def test_half_sent_requests_and_idle_watches_keep_nobody_waiting(server, client, cloud):
    """A hundred clients that begin and do not go on, and a hundred watches that nobody reads."""
    auth = f"Host: x\r\nAuthorization: Bearer {client.token}\r\n".encode()
    half = b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\n" + auth
    half += b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    watch = b"GET /api/v1/configmaps?watch=1 HTTP/1.1\r\n" + auth + b"\r\n"
    open_ones = []
    try:
        for data in [half, watch] * 50:
            open_ones.append(client.connect())
            open_ones[-1].sendall(data)
        for _ in range(20):
            server.canary()
    finally:
        for connection in open_ones:
            connection.close()
    assert not server.findings.wrong, server.findings.report()
    assert not (problems := cloud.problems()), "\n".join(problems)


def test_nobody_but_the_administrator_may_do_everything(hostile, client, cloud):
    """Components and nodes have tokens too; none of them can give itself more."""
    facts = next(
        found
        for path in (cloud.state / "clusters").glob("*/cluster.json")
        if (found := json.loads(path.read_text()))["port"] == client.port
    )
    reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    rbac = "rbac.authorization.k8s.io"
    questions = [
        {"group": "*", "resource": "*", "verb": "*"},
        {"group": rbac, "resource": "clusterrolebindings", "verb": "create"},
        {"group": rbac, "resource": "clusterroles", "verb": "escalate"},
        {"group": rbac, "resource": "clusterroles", "verb": "bind"},
        {"group": "", "resource": "users", "verb": "impersonate"},
        {"group": "", "resource": "pods", "subresource": "exec", "verb": "create"},
    ]
    assert len(facts["tokens"]) >= 3
    for name, token in facts["tokens"].items():
        for question in questions:
            body = hostile.encoded({"spec": {"resourceAttributes": question}})
            headers = {
                "Authorization": f"Bearer {token}",
                "Content-Type": "application/json",
            }
            answer = client.send(hostile.Request("POST", reviews, headers, body)).json()
            assert answer["status"]["allowed"] is (name == "admin"), (name, question)
