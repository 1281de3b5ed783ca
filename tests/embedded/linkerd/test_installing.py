"""What the installs render is what a cluster takes; and when they refuse."""

from asyncio import to_thread

import pytest

INSTALLS = (
    ("install", "--crds"),
    ("install",),
    ("multicluster", "install", "--set", "controllers[0].link.ref.name=east"),
    ("viz", "install"),
)
TYPED = (
    ("CoreV1Api", "list_namespace"),
    ("CoreV1Api", "list_service_for_all_namespaces"),
    ("CoreV1Api", "list_secret_for_all_namespaces"),
    ("CoreV1Api", "list_config_map_for_all_namespaces"),
    ("CoreV1Api", "list_service_account_for_all_namespaces"),
    ("AppsV1Api", "list_deployment_for_all_namespaces"),
    ("BatchV1Api", "list_cron_job_for_all_namespaces"),
    ("RbacAuthorizationV1Api", "list_cluster_role"),
    ("RbacAuthorizationV1Api", "list_cluster_role_binding"),
    ("RbacAuthorizationV1Api", "list_role_for_all_namespaces"),
    ("RbacAuthorizationV1Api", "list_role_binding_for_all_namespaces"),
    ("AdmissionregistrationV1Api", "list_mutating_webhook_configuration"),
    ("AdmissionregistrationV1Api", "list_validating_webhook_configuration"),
    ("ApiextensionsV1Api", "list_custom_resource_definition"),
    ("ApiregistrationV1Api", "list_api_service"),
)


async def test_every_rendered_document_is_accepted_and_read_by_the_official_client(
    west, kube, gateway_api, install
):
    applied = [name for arguments in INSTALLS for name in await install(*arguments)]
    assert len(applied) == 10 + 42 + 32 + 52

    def read() -> int:
        from kubernetes import client

        api = west._connection.api
        return sum(len(getattr(getattr(client, c)(api), m)().items) for c, m in TYPED)

    assert await to_thread(read) > 100
    for version, kind in (
        ("policy.linkerd.io/v1beta3", "Server"),
        ("policy.linkerd.io/v1alpha1", "AuthorizationPolicy"),
        ("linkerd.io/v1alpha2", "ServiceProfile"),
    ):
        assert await to_thread(west.list, version, kind)


async def test_extensions_may_be_installed_again(west, control_plane, install):
    assert await install("multicluster", "install") == await install("multicluster", "install")
    assert await install("viz", "install") == await install("viz", "install")


@pytest.mark.parametrize("more", [(), ("--crds",)])
async def test_an_installed_control_plane_is_not_installed_again(linkerd_at, control_plane, more):
    result = await linkerd_at("install", *more)
    assert result.returncode == 1
    assert result.stdout == ""
    assert "existing installation" in result.stderr


async def test_without_the_gateway_api_the_crds_are_refused(linkerd_at, kube):
    result = await linkerd_at("install", "--crds")
    assert (result.returncode, result.stdout) == (1, "")
    assert "standard-install.yaml" in result.stderr
    result = await linkerd_at("install", "--crds", "--set", "installGatewayAPI=true")
    assert result.stdout.count("kind: CustomResourceDefinition") == 14


async def test_a_gateway_api_of_somebody_else_is_left_alone(linkerd_at, gateway_api):
    result = await linkerd_at("install", "--crds")
    assert result.returncode == 0
    assert result.stdout.count("kind: CustomResourceDefinition") == 10
    assert "linkerd install | kubectl apply -f -" in result.stderr
    result = await linkerd_at("install", "--crds", "--set", "installGatewayAPI=true")
    assert result.returncode == 1
    assert "external source" in result.stderr


async def test_the_control_plane_wants_its_crds_first(linkerd_at, gateway_api):
    result = await linkerd_at("install")
    assert result.returncode == 1
    assert "--crds" in result.stderr


@pytest.mark.parametrize("extension", ["multicluster", "viz"])
async def test_an_extension_wants_a_control_plane(linkerd_at, kube, extension):
    result = await linkerd_at(extension, "install")
    assert (result.returncode, result.stdout) == (1, "")
    assert "linkerd-config" in result.stderr


def test_identity_files_come_together(linkerd, identity_files):
    result = linkerd("install", "--ignore-cluster", *identity_files[:1])
    assert result.returncode == 1
    assert "--identity-issuer-certificate-file" in result.stderr


def test_an_issuer_of_another_root_is_refused(linkerd, identity_files, tmp_path):
    from labkit.certs import create_root

    (tmp_path / "root.crt").write_bytes(create_root("other").certificate)
    result = linkerd("install", "--ignore-cluster", *identity_files)
    assert (result.returncode, result.stdout) == (1, "")
    assert "failed to verify issuer credentials" in result.stderr


def test_a_key_of_another_issuer_is_refused(linkerd, identity_files, tmp_path):
    (tmp_path / "issuer.key").write_bytes((tmp_path / "root.key").read_bytes())
    assert linkerd("install", "--ignore-cluster", *identity_files).returncode == 1


def test_a_missing_identity_file_is_told(linkerd, identity_files, tmp_path):
    (tmp_path / "issuer.crt").unlink()
    result = linkerd("install", "--ignore-cluster", *identity_files)
    assert "failed to read identity credentials" in result.stderr
