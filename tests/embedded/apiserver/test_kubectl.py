"""Real kubectl against the server alone: everything that needs no controller and no node."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

KUBECTL = Path(sys.executable).with_name("kubectl")
TIMEOUT_S = 30


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


Kubectl = Callable[..., Awaitable[Result]]


@pytest.fixture
def kubectl(apiserver, tmp_path: Path) -> Kubectl:
    """Runs kubectl with words of a command line; `stdin` may be an object."""
    environment = {
        "KUBECONFIG": str(apiserver.kubeconfig),
        "HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
    }

    async def run(line: str, *more: str, stdin: Any = None) -> Result:
        process = await asyncio.create_subprocess_exec(
            KUBECTL,
            *line.split(),
            *more,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
        )
        text = yaml.safe_dump_all(stdin if isinstance(stdin, list) else [stdin]) if stdin else ""
        out, err = await asyncio.wait_for(process.communicate(text.encode()), TIMEOUT_S)
        return Result(process.returncode or 0, out.decode(), err.decode())

    return run


def config_map(name: str = "settings", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "lab.local/web:1"}]},
        },
    },
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web-svc", "labels": {"app": "web"}},
    "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80}]},
}
LINK_CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "links.lab.example.com"},
    "spec": {
        "group": "lab.example.com",
        "scope": "Namespaced",
        "names": {"plural": "links", "singular": "link", "kind": "Link", "shortNames": ["lk"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "additionalPrinterColumns": [
                    {"name": "Target", "type": "string", "jsonPath": ".spec.target"}
                ],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["target"],
                                "properties": {
                                    "target": {
                                        "type": "string",
                                        "description": "the other cluster",
                                    },
                                    "weight": {"type": "integer", "maximum": 10},
                                },
                            }
                        },
                    }
                },
            }
        ],
    },
}
LINK = {
    "apiVersion": "lab.example.com/v1",
    "kind": "Link",
    "metadata": {"name": "east"},
    "spec": {"target": "east"},
}


async def test_apply_creates_leaves_alone_and_configures(kubectl: Kubectl) -> None:
    first = await kubectl("apply -f -", stdin=[DEPLOYMENT, SERVICE, config_map(color="red")])
    assert first == Result(
        0, "deployment.apps/web created\nservice/web-svc created\nconfigmap/settings created\n", ""
    )
    again = await kubectl("apply -f -", stdin=[DEPLOYMENT, SERVICE])
    assert again.out == "deployment.apps/web unchanged\nservice/web-svc unchanged\n"
    dry = await kubectl("apply --dry-run=server -f -", stdin=config_map(color="blue"))
    assert dry.out == "configmap/settings configured (server dry run)\n"
    changed = await kubectl("apply -f -", stdin=config_map(size="3"))
    assert changed.out == "configmap/settings configured\n"
    data = await kubectl("get cm settings -o jsonpath={.data}")
    assert json.loads(data.out) == {"size": "3"}


async def test_diff_shows_what_apply_would_change(kubectl: Kubectl) -> None:
    await kubectl("apply -f -", stdin=config_map(color="red"))
    same = await kubectl("diff -f -", stdin=config_map(color="red"))
    assert (same.code, same.out) == (0, "")
    other = await kubectl("diff -f -", stdin=config_map(color="darkred"))
    assert other.code == 1
    assert "-  color: red\n+  color: darkred\n" in other.out


async def test_unknown_fields_and_bad_names_are_refused_in_kubernetes_words(
    kubectl: Kubectl,
) -> None:
    spec = {"ports": [{"port": 80, "bogus": 1}]}
    bad = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "Bad_Name"}, "spec": spec}
    strict = await kubectl("apply -f -", stdin=bad)
    assert strict.code == 1
    assert 'strict decoding error: unknown field "spec.ports[0].bogus"' in strict.err
    loose = await kubectl("apply --validate=false -f -", stdin=bad)
    assert loose.err.startswith('The Service "Bad_Name" is invalid: metadata.name: Invalid value')


async def test_server_side_apply_conflicts_and_can_be_forced(kubectl: Kubectl) -> None:
    mine = await kubectl("apply --server-side -f -", stdin=config_map(a="1", b="2"))
    assert mine.out == "configmap/settings serverside-applied\n"
    command = "apply --server-side --field-manager=other -f -"
    clash = await kubectl(command, stdin=config_map(a="100"))
    assert clash.code == 1
    assert 'Apply failed with 1 conflict: conflict with "kubectl": .data.a' in clash.err
    forced = await kubectl(f"{command} --force-conflicts", stdin=config_map(a="100"))
    assert forced.code == 0
    shown = await kubectl("get cm settings -o json --show-managed-fields")
    fields = {
        e["manager"]: e["fieldsV1"] for e in json.loads(shown.out)["metadata"]["managedFields"]
    }
    assert fields == {"kubectl": {"f:data": {"f:b": {}}}, "other": {"f:data": {"f:a": {}}}}


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("namespace emojivoto", "namespace/emojivoto"),
        ("configmap cfg --from-literal=a=1", "configmap/cfg"),
        ("secret generic creds --from-literal=password=s3cret", "secret/creds"),
        ("serviceaccount robot", "serviceaccount/robot"),
        ("deployment voting --image=lab.local/voting:1 --replicas=0", "deployment.apps/voting"),
        ("service clusterip voting --tcp=80:8080", "service/voting"),
        ("service externalname far --external-name=example.com", "service/far"),
        ("role viewer --verb=get,list --resource=pods", "role.rbac.authorization.k8s.io/viewer"),
        (
            "rolebinding viewer --role=viewer --user=alice",
            "rolebinding.rbac.authorization.k8s.io/viewer",
        ),
        (
            "clusterrole raw --verb=get --non-resource-url=/metrics",
            "clusterrole.rbac.authorization.k8s.io/raw",
        ),
        ("job once --image=lab.local/job:1", "job.batch/once"),
        ("ingress web --rule=example.com/=web:80", "ingress.networking.k8s.io/web"),
        ("quota small --hard=pods=2", "resourcequota/small"),
        ("pdb web --selector=app=web --min-available=0", "poddisruptionbudget.policy/web"),
        ("priorityclass high --value=1000", "priorityclass.scheduling.k8s.io/high"),
    ],
)
async def test_create_makes_an_object_once(kubectl: Kubectl, command: str, name: str) -> None:
    """`kubectl create` sends protobuf."""
    assert await kubectl(f"create {command}") == Result(0, f"{name} created\n", "")
    again = await kubectl(f"create {command}")
    assert again.code == 1
    assert "already exists" in again.err


async def test_created_objects_hold_what_the_command_said(kubectl: Kubectl) -> None:
    await kubectl("create deployment voting --image=lab.local/voting:1 --replicas=0 --port=8080")
    spec = json.loads((await kubectl("get deploy voting -o json")).out)["spec"]
    container = spec["template"]["spec"]["containers"][0]
    assert spec["replicas"] == 0
    assert (container["image"], container["ports"][0]["containerPort"]) == (
        "lab.local/voting:1",
        8080,
    )
    await kubectl(
        "expose deployment voting --name=lb --port=80 --target-port=http --type=LoadBalancer"
    )
    ports = json.loads((await kubectl("get svc lb -o json")).out)["spec"]["ports"]
    assert (ports[0]["port"], ports[0]["targetPort"]) == (80, "http")


async def test_get_prints_the_columns_of_each_kind(kubectl: Kubectl) -> None:
    await kubectl("apply -f -", stdin=[DEPLOYMENT, SERVICE, config_map(a="1")])
    deployments = (await kubectl("get deploy -o wide")).out.splitlines()
    assert deployments[0].split() == [
        "NAME",
        "READY",
        "UP-TO-DATE",
        "AVAILABLE",
        "AGE",
        "CONTAINERS",
        "IMAGES",
        "SELECTOR",
    ]
    words = deployments[1].split()
    assert words[:4] == ["web", "0/2", "0", "0"]
    assert words[-3:] == ["web", "lab.local/web:1", "app=web"]
    services = (await kubectl("get svc web-svc")).out.splitlines()
    assert services[0].split() == ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"]
    assert services[1].split()[1] == "ClusterIP"
    several = (await kubectl("get deploy/web svc/web-svc")).out
    assert "deployment.apps/web" in several
    assert "service/web-svc" in several
    nothing = await kubectl("get pods")
    assert nothing == Result(0, "", "No resources found in default namespace.\n")
    missing = await kubectl("get ns ghost")
    assert missing == Result(1, "", 'Error from server (NotFound): namespaces "ghost" not found\n')


async def test_get_selects_sorts_and_formats(kubectl: Kubectl) -> None:
    labelled = [config_map(name, rank=str(rank)) for rank, name in enumerate(["b", "c", "a"])]
    for obj in labelled[:2]:
        obj["metadata"]["labels"] = {"tier": "front"}
    await kubectl("apply -f -", stdin=labelled)
    front = await kubectl("get cm -o name -l", "tier in (front,back)")
    assert front.out == "configmap/b\nconfigmap/c\n"
    one = await kubectl("get cm -o name --field-selector=metadata.name=a")
    assert one.out == "configmap/a\n"
    ordered = await kubectl(
        "get cm a b c --sort-by=.data.rank -o custom-columns=R:.data.rank --no-headers"
    )
    assert ordered.out.split() == ["0", "1", "2"]


async def test_label_annotate_patch_and_scale(kubectl: Kubectl) -> None:
    await kubectl("apply -f -", stdin=[DEPLOYMENT, SERVICE, config_map(color="red")])
    assert (await kubectl("label deploy web tier=front")).out == "deployment.apps/web labeled\n"
    assert (await kubectl("label deploy web tier=back")).code == 1
    assert (await kubectl("label deploy web tier=back --overwrite")).code == 0
    assert (await kubectl("label deploy web tier-")).out == "deployment.apps/web unlabeled\n"
    assert (await kubectl("annotate ns default x.io/y=1")).out == "namespace/default annotated\n"
    patch = '{"spec":{"ports":[{"port":80,"name":"web"}]}}'
    assert (await kubectl("patch svc web-svc -p", patch)).out == "service/web-svc patched\n"
    merge = await kubectl("patch cm settings --type=merge -p", '{"data":{"color":null,"new":"1"}}')
    assert merge.out == "configmap/settings patched\n"
    again = await kubectl("patch cm settings --type=merge -p", '{"data":{"new":"1"}}')
    assert again.out == "configmap/settings patched (no change)\n"
    test = '[{"op":"test","path":"/data/new","value":"9"}]'
    refused = await kubectl("patch cm settings --type=json -p", test)
    assert "the server rejected our request due to an error in our request" in refused.err
    moved = await kubectl("patch svc web-svc --type=merge -p", '{"spec":{"clusterIP":"10.96.1.1"}}')
    assert 'spec.clusterIPs[0]: Invalid value: ["10.96.1.1"]: may not change once set' in moved.err
    assert (await kubectl("scale deploy/web --replicas=3")).out == "deployment.apps/web scaled\n"
    wrong = await kubectl("scale deploy/web --current-replicas=9 --replicas=1")
    assert wrong.err == "error: Expected replicas to be 9, was 3\n"


async def test_set_env_and_set_image_change_the_template(kubectl: Kubectl) -> None:
    await kubectl("apply -f -", stdin=DEPLOYMENT)
    assert (
        await kubectl("set env deploy/web MODE=fast")
    ).out == "deployment.apps/web env updated\n"
    listed = await kubectl("set env deploy/web --list")
    assert listed.out == "# Deployment web, container web\nMODE=fast\n"
    image = await kubectl("set image deploy/web web=lab.local/web:2")
    assert image.out == "deployment.apps/web image updated\n"
    ghost = await kubectl("set image deploy/web ghost=x:1")
    assert ghost.err == 'error: unable to find container named "ghost"\n'
    path = "{.spec.template.spec.containers[0].image} {.metadata.generation}"
    shown = await kubectl("get deploy web -o", f"jsonpath={path}")
    assert shown.out == "lab.local/web:2 3"


async def test_replace_wait_and_delete(kubectl: Kubectl) -> None:
    await kubectl("apply -f -", stdin=config_map(a="1"))
    live = json.loads((await kubectl("get cm settings -o json")).out)
    live["data"]["a"] = "two"
    assert (await kubectl("replace -f -", stdin=live)).out == "configmap/settings replaced\n"
    waited = await kubectl("wait cm/settings --timeout=10s --for", "jsonpath={.data.a}=two")
    assert waited.out == "configmap/settings condition met\n"
    deleted = await kubectl("delete cm settings")
    assert deleted.out.startswith('configmap "settings" deleted')
    gone = await kubectl("wait --for=delete cm/settings --timeout=10s")
    assert gone.code == 0
    assert (await kubectl("delete cm settings")).code == 1


async def test_custom_resources_are_printed_validated_and_explained(kubectl: Kubectl) -> None:
    assert (await kubectl("apply -f -", stdin=LINK_CRD)).code == 0
    wait = "wait --for=condition=Established crd/links.lab.example.com --timeout=20s"
    assert (await kubectl(wait)).code == 0
    assert (await kubectl("apply -f -", stdin=LINK)).out == "link.lab.example.com/east created\n"
    assert (await kubectl("get lk")).out.split() == ["NAME", "TARGET", "east", "east"]
    invalid = await kubectl("apply -f -", stdin={**LINK, "spec": {"weight": 99}})
    assert "spec.weight in body should be less than or equal to 10" in invalid.err
    assert "spec.target: Required value" in invalid.err
    unknown = await kubectl("apply -f -", stdin={**LINK, "spec": {"target": "x", "colour": "red"}})
    assert 'unknown field \\"spec.colour\\"' in unknown.err or "spec.colour" in unknown.err
    explained = (await kubectl("explain link.spec")).out
    assert "target\t<string> -required-\n    the other cluster" in explained


async def test_explain_and_api_resources_know_the_built_in_kinds(kubectl: Kubectl) -> None:
    explained = (await kubectl("explain svc.spec.type")).out
    head = "KIND:       Service\nVERSION:    v1\n\nFIELD: type <string>\nENUM:\n    ClusterIP\n"
    assert explained.startswith(head)
    deep = (await kubectl("explain deployment.spec.template.spec.containers.ports")).out
    assert "FIELD: ports <[]ContainerPort>" in deep
    assert "containerPort\t<integer> -required-" in deep
    resources = (await kubectl("api-resources --api-group=apps -o name")).out.split()
    assert "deployments.apps" in resources
    unknown = await kubectl("explain gizmo")
    assert unknown.code == 1


async def test_access_reviews_answer_kubectl_auth(kubectl: Kubectl) -> None:
    assert (await kubectl("auth can-i create deployments")).out == "yes\n"
    before = await kubectl("auth can-i list pods --as=alice")
    assert (before.code, before.out) == (1, "no\n")
    await kubectl("create role viewer --verb=get,list --resource=pods")
    await kubectl("create rolebinding viewer --role=viewer --user=alice")
    assert (await kubectl("auth can-i list pods --as=alice")).out == "yes\n"
    assert "west-admin" in (await kubectl("auth whoami")).out
    everything = [line.split() for line in (await kubectl("auth can-i --list")).out.splitlines()]
    assert everything.count(["*.*", "[]", "[]", "[*]"]) == 1
    assert everything.count(["[*]", "[]", "[*]"]) == 1
    described = (await kubectl("describe role viewer")).out
    assert described.split()[-4:] == ["[]", "[]", "[get", "list]"]


async def test_describe_tells_about_a_service(kubectl: Kubectl) -> None:
    await kubectl("apply -f -", stdin=SERVICE)
    lines = (await kubectl("describe svc web-svc")).out.splitlines()
    values = dict(line.split(":", 1) for line in lines if ":" in line)
    assert values["Selector"].strip() == "app=web"
    assert values["Port"].split() == ["http", "80/TCP"]
    assert values["Type"].strip() == "ClusterIP"
    missing = await kubectl("describe svc ghost")
    assert missing.err == 'Error from server (NotFound): services "ghost" not found\n'


async def test_certificates_are_approved_and_denied(kubectl: Kubectl) -> None:
    for name in ("good", "bad"):
        request = {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": name},
            "spec": {"signerName": "example.com/x", "usages": ["client auth"], "request": "eA=="},
        }
        await kubectl("apply -f -", stdin=request)
    assert (await kubectl("certificate approve good")).code == 0
    assert (await kubectl("certificate deny bad")).code == 0
    for name, verdict in (("good", "Approved"), ("bad", "Denied")):
        shown = await kubectl(f"get csr {name} -o jsonpath={{.status.conditions[*].type}}")
        assert shown.out == verdict
