"""What differs between clusters and generations of Linkerd when two clusters are linked."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from labkit.chapters import multicluster_link
from labkit.context import LabContext
from labkit.errors import StateError
from labkit.folder import LabFolder
from labkit.params import Params

OLD, NEW = "stable-2.13.4", "edge-26.6.3"
STUB = Path(__file__).parents[1] / "clients" / "stub_linkerd.py"


def lab_with(item):
    """A lab whose clusters hold one object."""
    cluster = SimpleNamespace(get=lambda *_: item)
    return SimpleNamespace(kubernetes=lambda _: cluster)


def service(**ingress):
    return {"status": {"loadBalancer": {"ingress": [ingress]}}}


def test_a_gateway_with_a_hostname_is_compared_by_its_addresses():
    assert "127.0.0.1" in multicluster_link.gateway_ips(
        lab_with(service(hostname="localhost")), "east"
    )


def test_a_hostname_that_nobody_knows_is_shown_as_it_is():
    found = multicluster_link.gateway_ips(lab_with(service(hostname="no-such.invalid")), "east")
    assert found == ["no-such.invalid"]


@pytest.mark.parametrize(
    ("served", "api"),
    [(["v1alpha1"], "v1alpha1"), (["v1alpha1", "v1alpha2", "v1alpha3"], "v1alpha3")],
    ids=["2.13", "2.20"],
)
def test_links_are_read_in_the_newest_version_that_is_served(served, api):
    versions = [{"name": name, "served": True} for name in served]
    versions.append({"name": "v9", "served": False})
    crd = {"spec": {"versions": versions}}
    assert multicluster_link.link_api(lab_with(crd), "west") == f"multicluster.linkerd.io/{api}"


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """`lab(version, profile)`: a lab with the recorded command of one generation."""
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))

    def made(version, profile):
        program = tmp_path / f"linkerd-{version}"
        program.symlink_to(STUB)
        params = Params(linkerd_profile=profile)
        command = (sys.executable, str(program))
        return LabContext(
            params=params,
            folder=LabFolder.of("demo"),
            cloud=SimpleNamespace(linkerd_command=command),
        )

    return made


@pytest.mark.parametrize(
    ("version", "asked", "taken"),
    [
        (OLD, "auto", "tutorial"),
        (NEW, "auto", "current"),
        (OLD, "tutorial", "tutorial"),
        (NEW, "tutorial", "tutorial"),
        (NEW, "current", "current"),
    ],
)
def test_the_profile_is_what_was_asked_or_what_the_command_can(lab, version, asked, taken):
    assert lab(version, asked).linkerd_profile == taken


def test_what_the_command_does_not_have_is_refused_with_a_way_out(lab):
    with pytest.raises(StateError, match="link-gen") as caught:
        _ = lab(OLD, "current").linkerd_profile
    assert OLD.removeprefix("stable-") in str(caught.value)
    assert "labkit tools install linkerd" in str(caught.value)
