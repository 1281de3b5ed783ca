"""The adapter drives a recorded `linkerd`: both generations of commands."""

import json
import sys
from pathlib import Path

import pytest

from labkit.clients.linkerd import Linkerd
from labkit.clients.linkerd_values import profile_of
from labkit.errors import CommandError, StateError

STUB = """
import json, os, pathlib, sys, time
answers = json.loads(pathlib.Path(__file__).with_name("answers.json").read_text())
arguments = [word for word in sys.argv[1:] if not word.startswith("--context")]
with pathlib.Path(__file__).with_name("calls.jsonl").open("a") as log:
    env = {"KUBECONFIG": os.environ.get("KUBECONFIG"), "stdin": ""}
    if arguments[:2] == ["inject", "-"]:
        env["stdin"] = sys.stdin.read()
    log.write(json.dumps([sys.argv[1:], env]) + "\\n")
for words, answer in answers:
    if arguments[: len(words)] == words:
        sys.stderr.write(answer.get("stderr", ""))
        sys.stdout.write(answer.get("stdout", ""))
        sys.stdout.flush()
        time.sleep(answer.get("then_wait", 0))
        sys.exit(answer.get("code", 0))
sys.stderr.write(f"Error: unknown command {arguments}\\n")
sys.exit(1)
"""


INJECTED = "kind: Deployment\nmetadata: {annotations: {linkerd.io/inject: enabled}}\n"


class Recorded:
    """A `linkerd` with recorded answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "linkerd.py").write_text(STUB)
        self.answers: list = []
        self.answer("version", "--client", "--short", stdout="edge-26.6.3\n")
        self.lines: list[str] = []
        self.linkerd = Linkerd(
            (sys.executable, str(folder / "linkerd.py")),
            kubeconfig=folder / "kubeconfig",
            context="west",
            record=self.lines.append,
        )

    def answer(self, *words: str, **answer) -> None:
        self.answers.insert(0, [list(words), answer])
        (self.folder / "answers.json").write_text(json.dumps(self.answers))

    @property
    def calls(self) -> list:
        text = (self.folder / "calls.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def recorded(tmp_path) -> Recorded:
    return Recorded(tmp_path)


def report(name: str, *results: str, **more: str) -> str:
    checks = [{"description": f"check {i}", "result": r, **more} for i, r in enumerate(results)]
    value = {
        "success": "error" not in results,
        "categories": [{"categoryName": name, "checks": checks}],
    }
    return json.dumps(value, indent=2) + "\n"


@pytest.mark.parametrize(
    ("version", "profile"),
    [
        ("edge-26.6.3", "current"),
        ("edge-25.3.4", "current"),
        ("edge-25.3.3", "tutorial"),
        ("stable-2.13.4", "tutorial"),
        ("stable-2.14.10", "tutorial"),
        ("version-2.20", "current"),
        ("enterprise-2.18.1", "current"),
        ("unavailable", "tutorial"),
    ],
)
def test_the_version_decides_the_profile(version, profile):
    assert profile_of(version) == profile


def test_the_version_is_asked_once_and_every_call_is_pointed_at_the_cluster(recorded):
    assert recorded.linkerd.version() == "edge-26.6.3"
    assert recorded.linkerd.profile == "current"
    recorded.answer("multicluster", "gateways", stdout="null\n")
    recorded.linkerd.gateways()
    assert [call[0][0] for call in recorded.calls] == ["version", "--context=west"]
    assert recorded.calls[1][1]["KUBECONFIG"] == str(recorded.folder / "kubeconfig")
    assert recorded.lines == ["linkerd --context=west multicluster gateways --output=json"]


def test_a_check_is_one_report_of_all_concatenated_objects(recorded):
    text = report("kubernetes-api", "success") + report("linkerd-viz", "warning", error="old")
    recorded.answer("check", stdout=text)
    found = recorded.linkerd.check()
    assert found.success
    assert [item.category for item in found.checks] == ["kubernetes-api", "linkerd-viz"]
    assert [item.error for item in found.warnings] == ["old"]
    assert found.errors == ()


def test_a_failed_check_is_a_report_and_no_exception(recorded):
    recorded.answer("check", stdout=report("linkerd-identity", "error", error="expired"), code=1)
    found = recorded.linkerd.check()
    assert not found.success
    assert found.errors[0].error == "expired"


def test_a_check_without_a_report_is_an_error_with_its_words(recorded):
    words = "could not find extension multicluster"
    recorded.answer("multicluster", "check", stderr=words, code=1)
    with pytest.raises(CommandError, match=words):
        recorded.linkerd.check(extension="multicluster")


def test_modes_and_waits_are_passed_on(recorded):
    recorded.answer("check", stdout=report("linkerd-crd", "success"))
    recorded.linkerd.check("crds", wait_s=7)
    assert recorded.calls[-1][0][1:] == ["check", "--crds", "--output=json", "--wait=7s"]


def test_no_gateways_are_null(recorded):
    recorded.answer("multicluster", "gateways", stdout="null\n")
    assert recorded.linkerd.gateways() == ()


def test_gateways_are_values(recorded):
    row = {"clusterName": "east", "alive": True, "numberOfServices": 2, "latency": 148}
    recorded.answer("multicluster", "gateways", stdout=json.dumps([row]))
    (found,) = recorded.linkerd.gateways()
    assert (found.cluster_name, found.alive, found.services, found.latency_ms) == (
        "east",
        True,
        2,
        148,
    )


def test_manifests_come_back_as_text_with_hints_left_out(recorded, tmp_path):
    recorded.answer("install", stdout="kind: Namespace\n", stderr="Rendering...\n")
    text = recorded.linkerd.install(
        anchors=tmp_path / "root.crt",
        issuer=tmp_path / "issuer.crt",
        issuer_key=tmp_path / "issuer.key",
    )
    assert text == "kind: Namespace\n"
    assert f"--identity-issuer-key-file={tmp_path}/issuer.key" in recorded.calls[-1][0]
    recorded.linkerd.install_crds(install_gateway_api=True)
    assert recorded.calls[-1][0][1:] == ["install", "--crds", "--set=installGatewayAPI=true"]


def test_what_is_installed_already_is_an_error_with_its_words(recorded, tmp_path):
    words = "It appears that there is an existing installation"
    recorded.answer("install", stderr=words, code=1)
    with pytest.raises(CommandError, match=words):
        recorded.linkerd.install_crds()


def test_controllers_are_numbered_values(recorded):
    recorded.answer("multicluster", "install", stdout="kind: Namespace\n")
    recorded.linkerd.multicluster_install(controllers=["east", "north"], gateway=False)
    assert recorded.calls[-1][0][3:] == [
        "--gateway=false",
        "--set=controllers[0].link.ref.name=east",
        "--set=controllers[1].link.ref.name=north",
    ]


@pytest.mark.parametrize(
    ("version", "profile", "command"),
    [
        ("edge-26.6.3", None, "link-gen"),
        ("edge-26.6.3", "current", "link-gen"),
        ("edge-26.6.3", "tutorial", "link"),
        ("stable-2.13.4", None, "link"),
        ("stable-2.13.4", "current", "link"),
    ],
)
def test_linking_follows_version_and_profile(recorded, version, profile, command):
    recorded.answer("version", "--client", "--short", stdout=version + "\n")
    recorded.answer("multicluster", stdout="kind: Link\n")
    recorded.linkerd.link("east", profile=profile, api_server_address="https://10.0.0.1:6443")
    assert recorded.calls[-1][0][1:] == [
        "multicluster",
        command,
        "--cluster-name=east",
        "--api-server-address=https://10.0.0.1:6443",
    ]


def test_a_link_without_an_address_tells_where_to_look(recorded):
    recorded.answer("multicluster", stderr="Gateway has no ingress addresses\n", code=1)
    with pytest.raises(CommandError, match="no ingress addresses") as caught:
        recorded.linkerd.link("east")
    assert "get svc linkerd-gateway" in caught.value.fix


def test_a_manifest_is_injected_by_standard_input(recorded):
    recorded.answer("inject", "-", stdout=INJECTED, stderr='deployment "web" injected')
    assert recorded.linkerd.inject("kind: Deployment\n") == INJECTED
    assert recorded.calls[-1][1]["stdin"] == "kind: Deployment\n"


def test_edges_and_stats_are_values_and_no_traffic_is_none(recorded):
    edge = {
        "src": "web",
        "src_namespace": "emojivoto",
        "dst": "voting",
        "dst_namespace": "emojivoto",
        "client_id": "web.emojivoto",
        "server_id": "voting.emojivoto",
        "no_tls_reason": "",
    }
    row = {
        "namespace": "emojivoto",
        "kind": "deployment",
        "name": "web",
        "success": None,
        "rps": None,
        "latency_ms_p50": None,
        "latency_ms_p95": None,
        "latency_ms_p99": None,
    }
    recorded.answer("viz", "edges", stdout=json.dumps([edge]))
    recorded.answer("viz", "stat", stdout=json.dumps([row, {**row, "name": "bot", "success": 0.5}]))
    (found,) = recorded.linkerd.edges("deploy", "emojivoto")
    assert (found.source, found.target, found.no_tls_reason) == ("web", "voting", "")
    web, bot = recorded.linkerd.stat("deploy", "emojivoto", window_s=30)
    assert (web.success, bot.success) == (None, 0.5)
    assert "--time-window=30s" in recorded.calls[-1][0]


def test_metrics_that_are_only_errors_are_an_error(recorded):
    recorded.answer("diagnostics", stdout="#\n# POD web-1 (1 of 1)\n#\n# ERROR: refused\n")
    with pytest.raises(StateError, match="emojivoto/deploy/web"):
        recorded.linkerd.proxy_metrics("deploy/web", "emojivoto")
    recorded.answer("diagnostics", stdout="# POD\nrequest_total{} 1\n")
    assert "request_total" in recorded.linkerd.proxy_metrics("deploy/web", "emojivoto")


def tap_events(count: int) -> str:
    values = []
    for stream in range(count):
        common = {
            "source": {"ip": "10.244.0.6", "port": 1, "metadata": None},
            "destination": {"ip": "198.51.100.10", "port": 4143, "metadata": {"tls": "true"}},
            "proxyDirection": "OUTBOUND",
        }
        number = {"id": {"base": 0, "stream": stream}}
        values += [
            {**common, "requestInitEvent": {**number, "method": "GET", "path": "/"}},
            {**common, "responseEndEvent": {**number, "sinceRequestInit": {"nanos": 2000}}},
        ]
    return "\n".join(json.dumps(value, indent=2) for value in values) + "\n"


def test_a_tap_ends_when_enough_requests_are_complete(recorded):
    recorded.answer("viz", "tap", stdout=tap_events(5), then_wait=60)
    found = recorded.linkerd.tap("deploy/vote-bot", "emojivoto", n=3, duration_s=30, path="/api")
    assert len(found) == 3
    assert recorded.calls[-1][0][1:] == [
        "viz",
        "tap",
        "deploy/vote-bot",
        "--namespace=emojivoto",
        "--output=json",
        "--path=/api",
    ]


def test_a_tap_ends_when_its_time_is_over(recorded):
    recorded.answer("viz", "tap", stdout=tap_events(2), then_wait=60)
    assert len(recorded.linkerd.tap("deploy/vote-bot", "emojivoto", duration_s=1)) == 2


def test_a_tap_that_is_refused_tells_to_restart_the_pods(recorded):
    recorded.answer("viz", "tap", stderr="tap not enabled", code=1)
    with pytest.raises(CommandError, match="tap not enabled") as caught:
        recorded.linkerd.tap("deploy/vote-bot", "emojivoto", duration_s=30)
    assert "rollout restart" in caught.value.fix
