"""`linkerd check`: the engine, and the checks against a cluster in several states."""

import base64
import json
from datetime import timedelta

import pytest

from labkit import certs
from labkit.embedded.linkerd.checking import (
    Category,
    Check,
    Context,
    Skipped,
    as_object,
    problem,
    run_checks,
    seconds,
    succeeded,
)
from labkit.errors import InputError

CONTEXT = Context(cluster=None, namespace="linkerd")


def holds(_: Context) -> None:
    """Nothing is wrong."""


def fails(_: Context) -> None:
    raise problem("it is broken", ["here"])


def absent(_: Context) -> None:
    raise Skipped


def outcomes(*checks: Check, wait_s: float = 0):
    return run_checks([Category("things", checks), Category("more", [Check("z", holds)])], CONTEXT,
                      wait_s)  # fmt: skip


def test_warnings_are_no_failures():
    found = outcomes(Check("a", fails, warning=True), Check("b", holds))
    assert [item.result for item in found] == ["warning", "success", "success"]
    assert found[0].error == "it is broken\n\t* here"
    assert succeeded(found)


def test_a_fatal_failure_ends_everything_and_a_skipped_check_is_absent():
    found = outcomes(Check("a", absent), Check("b", fails, fatal=True), Check("c", holds))
    assert [item.description for item in found] == ["b"]
    assert not succeeded(found)


def test_what_may_still_become_true_is_looked_at_again():
    looks = iter([fails, fails, holds])
    found = outcomes(
        Check(
            "a",
            lambda context: next(looks)(context),  # noqa: PLW0108 - another one each time
            retried=True,
        ),
        wait_s=30,
    )
    assert found[0].result == "success"


def test_the_object_leaves_out_what_is_empty():
    found = outcomes(Check("a", lambda _: "\n\t* east"), Check("b", fails))
    assert as_object(found) == {
        "success": False,
        "categories": [
            {
                "categoryName": "things",
                "checks": [
                    {"description": "a\n\t* east", "result": "success"},
                    {
                        "description": "b",
                        "result": "error",
                        "hint": "https://linkerd.io/2/checks/#things",
                        "error": "it is broken\n\t* here",
                    },
                ],
            },
            {"categoryName": "more", "checks": [{"description": "z", "result": "success"}]},
        ],
    }


@pytest.mark.parametrize(
    ("text", "value"), [("300s", 300), ("1m30s", 90), ("0", 0), ("250ms", 0.25), ("1.5h", 5400)]
)
def test_durations_are_gos(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "5", "five", "5 s"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(InputError):
        seconds(text)


def reports(text: str) -> list[dict]:
    decoder, found = json.JSONDecoder(), []
    while text := text.lstrip():
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:]
    return found


def names(report: dict) -> list[str]:
    return [category["categoryName"] for category in report["categories"]]


async def test_before_an_install(linkerd_at, kube):
    result = await linkerd_at("check", "--pre", "-o", "json")
    (report,) = reports(result.stdout)
    assert names(report) == [
        "kubernetes-api",
        "kubernetes-version",
        "pre-kubernetes-setup",
        "linkerd-version",
    ]
    assert (report["success"], result.returncode) == (True, 0)


async def test_a_cluster_without_linkerd_fails_at_the_first_fatal_check(linkerd_at, kube):
    result = await linkerd_at("check", "--wait", "0", "-o", "json")
    (report,) = reports(result.stdout)
    assert names(report)[-1] == "linkerd-existence"
    (check,) = report["categories"][-1]["checks"]
    assert check["result"] == "error"
    assert "linkerd-config" in check["error"]
    assert result.returncode == 1


async def test_crds_and_the_namespace_afterwards(linkerd_at, control_plane):
    result = await linkerd_at("check", "--crds", "-o", "json")
    assert names(reports(result.stdout)[0])[2] == "linkerd-crd"
    assert result.returncode == 0
    result = await linkerd_at("check", "--pre")
    assert result.returncode == 1
    assert "× control plane namespace does not already exist" in result.stdout
    assert result.stdout.endswith("Status check results are ×\n")


@pytest.fixture
async def running_pods(control_plane, kubelet, kube) -> None:
    """The control plane's pods, ready."""
    namespace = "/api/v1/namespaces/linkerd/serviceaccounts"
    await kube.create(namespace, {"metadata": {"name": "default"}})
    for name in ("identity", "destination", "proxy-injector"):
        labels = {"linkerd.io/control-plane-ns": "linkerd"}
        await kubelet.pod("linkerd", f"linkerd-{name}-1", labels=labels)


async def test_a_sound_control_plane(linkerd_at, running_pods, kubelet):
    result = await linkerd_at("check", "--wait", "0", "-o", "json")
    (report,) = reports(result.stdout)
    assert result.returncode == 0, result.stdout
    assert names(report) == [
        "kubernetes-api",
        "kubernetes-version",
        "linkerd-existence",
        "linkerd-config",
        "linkerd-identity",
        "linkerd-webhooks-and-apisvc-tls",
        "linkerd-version",
        "control-plane-version",
        "linkerd-control-plane-proxy",
        "linkerd-extension-checks",
    ]
    await kubelet.pod("emojivoto", "web-1", meshed=True)
    result = await linkerd_at("check", "--proxy", "--wait", "0", "-o", "json")
    assert names(reports(result.stdout)[0])[5:] == [
        "linkerd-webhooks-and-apisvc-tls",
        "linkerd-identity-data-plane",
        "linkerd-version",
        "linkerd-control-plane-proxy",
        "linkerd-data-plane",
    ]
    assert result.returncode == 0


async def test_extensions_are_further_objects_and_the_exit_code_is_of_all(
    linkerd_at, running_pods, install, kube
):
    await install("multicluster", "install")
    await kube.create("/api/v1/namespaces", {"metadata": {"name": "x", "labels": {
        "linkerd.io/extension": "unheard-of"}}})  # fmt: skip
    result = await linkerd_at("check", "--wait", "0", "-o", "json")
    core, multicluster, unknown = reports(result.stdout)
    assert core["success"]
    assert names(multicluster) == ["linkerd-multicluster"]
    assert names(unknown) == ["unheard-of"]
    assert unknown["categories"][0]["checks"][0]["result"] == "warning"
    assert result.returncode == 0
    await install("viz", "install")
    result = await linkerd_at("check", "--wait", "0", "-o", "json")
    assert [report["success"] for report in reports(result.stdout)] == [True, True, True, False]
    assert result.returncode == 1


async def test_without_links_most_of_multicluster_is_absent_and_it_succeeds(
    linkerd_at, control_plane, install
):
    await install("multicluster", "install")
    result = await linkerd_at("multicluster", "check", "-o", "json")
    (report,) = reports(result.stdout)
    described = [check["description"] for check in report["categories"][0]["checks"]]
    assert described[0] == "Link CRD exists"
    assert "Link resources are valid" not in described
    assert "clusters share trust anchors" not in described
    assert result.returncode == 0


@pytest.mark.parametrize("extension", ["multicluster", "viz"])
async def test_an_extension_that_is_missing_has_no_report(linkerd_at, kube, extension):
    result = await linkerd_at(extension, "check", "-o", "json")
    assert (result.stdout, result.returncode) == ("", 1)
    assert f"could not find extension {extension}" in result.stderr


async def replace_issuer(kube, issuer: certs.Credential) -> None:
    data = {"crt.pem": issuer.certificate, "key.pem": issuer.key}
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    path = "/api/v1/namespaces/linkerd/secrets/linkerd-identity-issuer"
    await kube.patch(path, {"data": encoded})


@pytest.mark.parametrize(
    ("issuer", "description", "result"),
    [
        (
            lambda: certs.create_issuer(certs.create_root()),
            "issuer cert is issued by the trust anchor",
            "error",
        ),
        (
            lambda: certs.create_issuer(certs.create_root(), valid_for=timedelta(days=10)),
            "issuer cert is valid for at least 60 days",
            "warning",
        ),
        (
            lambda: certs.create_issuer(certs.create_root(), valid_for=timedelta(seconds=-5)),
            "issuer cert is within its validity period",
            "error",
        ),
    ],
)
@pytest.mark.usefixtures("running_pods")
async def test_what_is_wrong_with_an_issuer_is_told(linkerd_at, kube, issuer, description, result):
    await replace_issuer(kube, issuer())
    (report,) = reports((await linkerd_at("check", "--wait", "0", "-o", "json")).stdout)
    found = {
        check["description"]: check["result"]
        for category in report["categories"]
        for check in category["checks"]
    }
    assert found[description] == result


async def test_a_short_report_shows_only_what_is_wrong(linkerd_at, kube):
    result = await linkerd_at("check", "--wait", "0", "-o", "short")
    assert "√ can query" not in result.stdout
    assert "× 'linkerd-config' config map exists" in result.stdout
