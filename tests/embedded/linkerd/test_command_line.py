"""Flags, exit codes and streams of the command as a whole."""

import pytest

from labkit.embedded.linkerd.cli import COMMANDS, find_command


def test_the_client_version_needs_no_cluster(linkerd):
    assert linkerd("version", "--client", "--short").stdout == "edge-26.6.3\n"
    assert linkerd("version", "--client").stdout == "Client version: edge-26.6.3\n"


def test_without_a_kubeconfig_the_server_version_is_an_error(linkerd):
    result = linkerd("version")
    assert result.returncode == 1
    assert "no configuration has been provided" in result.stderr


async def test_a_cluster_without_linkerd_has_no_server_version_and_that_is_no_error(
    linkerd_at, kube
):
    result = await linkerd_at("version")
    assert result.stdout == "Client version: edge-26.6.3\nServer version: unavailable\n"
    assert result.returncode == 0
    result = await linkerd_at("version", "--short", "--proxy")
    assert result.stdout == "edge-26.6.3\nunavailable\nunavailable\n"


async def test_versions_of_server_and_proxies_are_told(linkerd_at, control_plane, kubelet):
    await kubelet.pod("emojivoto", "web-1", meshed=True)
    await kubelet.pod("emojivoto", "plain-1")
    result = await linkerd_at("version", "--proxy")
    assert result.stdout.splitlines()[1:] == [
        "Server version: edge-26.6.3",
        "Proxy versions:",
        "\tedge-26.6.3 (1 pods)",
    ]


@pytest.mark.parametrize(
    ("line", "path", "rest"),
    [
        ("check", ("check",), []),
        ("--context=west viz tap deploy/x", ("viz", "tap"), ["--context=west", "deploy/x"]),
        (
            "--context west -n emojivoto viz tap deploy/x -o json",
            ("viz", "tap"),
            ["--context", "west", "-n", "emojivoto", "deploy/x", "-o", "json"],
        ),
        ("mc --context west gateways", ("multicluster", "gateways"), ["--context", "west"]),
        ("--verbose check", ("check",), ["--verbose"]),
        ("viz", ("viz",), []),
        ("", (), []),
        ("nonsense", ("nonsense",), []),
        ("stat deploy", ("viz", "stat"), ["deploy"]),
    ],
)
def test_flags_may_stand_before_and_after_the_words_of_a_command(line, path, rest):
    assert find_command(line.split()) == (path, rest)


def test_a_deprecated_short_form_says_so_on_stderr(linkerd):
    result = linkerd("tap", "deploy/x")
    assert "use instead 'linkerd viz tap'" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("arguments", [["nonsense"], ["viz", "nonsense"], ["inject", "--bogus"]])
def test_what_is_unknown_is_an_error_on_stderr_with_exit_code_1(linkerd, arguments):
    result = linkerd(*arguments)
    assert result.returncode == 1
    assert result.stderr.startswith("Error: ")
    assert result.stdout == ""


@pytest.mark.parametrize("words", sorted(COMMANDS))
def test_every_command_has_help(linkerd, words):
    result = linkerd(*words, "--help")
    assert result.returncode == 0
    assert f"usage: linkerd {' '.join(words)}" in result.stdout


def test_the_commands_are_listed(linkerd):
    assert "multicluster gateways" in linkerd().stdout
    listing = linkerd("viz").stdout
    assert "viz tap" in listing
    assert "multicluster" not in listing


async def test_an_unknown_context_is_told(linkerd_at, kube):
    result = await linkerd_at("--context", "nowhere", "check")
    assert result.returncode == 1
    assert 'context "nowhere" does not exist' in result.stderr


def test_a_cluster_that_is_gone_is_told(linkerd, tmp_path):
    path = tmp_path / "kubeconfig"
    path.write_text(
        '{"clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],'
        '"users": [{"name": "u", "user": {"token": "t0ken"}}], "current-context": "west",'
        '"contexts": [{"name": "west", "context": {"cluster": "c", "user": "u"}}]}'
    )
    result = linkerd("viz", "stat", "deploy", kubeconfig=path)
    assert result.returncode == 1
    assert "error querying the Kubernetes API at https://127.0.0.1:1" in result.stderr
    assert "Traceback" not in result.stderr
