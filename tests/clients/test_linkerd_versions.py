"""The adapter and two real generations of `linkerd`, as recorded: 2.13 and 2.20."""

import sys
from pathlib import Path

import pytest

from labkit.clients.linkerd import Linkerd
from labkit.clients.linkerd_values import is_installed_already, tells_gateways_as_json
from labkit.clients.manifests import parse
from labkit.errors import CommandError, StateError

OLD, NEW = "stable-2.13.4", "edge-26.6.3"
both = pytest.mark.parametrize("version", [OLD, NEW])


@pytest.fixture
def linkerd(tmp_path, monkeypatch):
    """`linkerd(version, "links", …)`: the recorded command, and what its cluster holds."""

    def made(version, *cluster):
        monkeypatch.setenv("STUB_CLUSTER", ",".join(cluster))
        program = tmp_path / f"linkerd-{version}"
        if not program.exists():
            program.symlink_to(Path(__file__).with_name("stub_linkerd.py"))
        return Linkerd(
            (sys.executable, str(program)), kubeconfig=tmp_path / "kubeconfig", context="west"
        )

    return made


@pytest.mark.parametrize(("version", "profile"), [(OLD, "tutorial"), (NEW, "current")])
def test_the_profile_is_that_of_the_version(linkerd, version, profile):
    found = linkerd(version)
    assert (found.version(), found.profile) == (version, profile)


@pytest.mark.parametrize(
    ("version", "kinds"),
    [
        (OLD, ["Secret", "Link", "ServiceAccount", "Deployment", "Service"]),
        (NEW, ["Secret", "Secret", "Link"]),
    ],
)
def test_linking_brings_what_the_version_has(linkerd, version, kinds):
    text = linkerd(version, "address", "token").link("east")
    assert [item["kind"] for item in parse(text)] == kinds


def test_the_deprecated_link_still_works_in_the_new_one_and_its_hint_is_not_yaml(linkerd):
    text = linkerd(NEW, "address", "token").link("east", profile="tutorial")
    assert "Deployment" in {item["kind"] for item in parse(text)}
    assert "deprecated" not in text


@both
@pytest.mark.parametrize(
    ("cluster", "words"),
    [(("token",), "no ingress addresses"), (("address",), "could not find the token data")],
)
def test_a_link_that_comes_too_early_is_an_error_with_its_words(linkerd, version, cluster, words):
    with pytest.raises(CommandError, match=words):
        linkerd(version, *cluster).link("east")


@both
def test_gateways_are_the_same_values_from_a_table_and_from_json(linkerd, version):
    east, north = linkerd(version, "links").gateways()
    assert (east.cluster_name, east.alive, east.services, east.latency_ms) == ("east", True, 2, 148)
    assert (north.alive, north.latency_ms) == (False, 0)


@both
def test_without_links_there_are_no_gateways_though_one_says_null(linkerd, version):
    assert linkerd(version).gateways() == ()


def test_json_of_gateways_came_between_the_generations():
    assert not tells_gateways_as_json("edge-23.4.3")
    assert tells_gateways_as_json("edge-23.5.1")
    assert tells_gateways_as_json("stable-2.14.10")


@both
def test_a_check_is_several_objects_one_after_the_other(linkerd, version):
    found = linkerd(version, "linkerd").check(wait_s=1)
    assert [item.category for item in found.checks] == [
        "linkerd-version",
        "linkerd-multicluster",
        "linkerd-viz",
    ]
    assert found.success
    assert len(found.warnings) == 1


@both
def test_a_check_without_linkerd_stops_early_and_is_a_failed_report(linkerd, version):
    found = linkerd(version).check(wait_s=1)
    assert not found.success
    assert [item.category for item in found.errors] == ["linkerd-existence"]


@both
def test_a_missing_extension_is_text_and_no_json(linkerd, version):
    with pytest.raises(CommandError, match="could not find extension multicluster"):
        linkerd(version, "linkerd").check(extension="multicluster", wait_s=1)


@both
def test_an_installation_that_is_there_already_is_recognised(linkerd, version):
    with pytest.raises(CommandError) as caught:
        linkerd(version, "linkerd").install_crds()
    assert is_installed_already(caught.value.stderr)


def test_without_the_gateway_api_the_new_one_refuses_and_can_bring_it(linkerd):
    with pytest.raises(CommandError, match="Gateway API CRDs must be installed") as caught:
        linkerd(NEW).install_crds()
    assert not is_installed_already(caught.value.stderr)
    assert "CustomResourceDefinition" in linkerd(NEW).install_crds(install_gateway_api=True)
    assert "CustomResourceDefinition" in linkerd(NEW, "gateway-api").install_crds()


def test_the_old_one_knows_nothing_of_the_gateway_api(linkerd):
    assert "CustomResourceDefinition" in linkerd(OLD).install_crds()


@both
def test_a_report_on_standard_error_is_not_part_of_the_manifest(linkerd, version):
    text = linkerd(version).inject("kind: Deployment\n")
    assert "linkerd.io/inject: enabled" in text
    assert "injected" not in text


@both
def test_an_injection_of_nothing_is_an_error_though_the_command_ends_with_0(linkerd, version):
    with pytest.raises(StateError, match="injected nothing") as caught:
        linkerd(version).inject("kind: Service\n")
    assert "no supported objects found" in caught.value.seen
