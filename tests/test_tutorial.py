"""The published tutorial, typed line by line into a terminal, from two empty clusters to its end.

A bash on a pseudo-terminal, the real kubectl, the lab's `linkerd`: nothing here calls labkit's
library, and no line is shortened. The lines are quoted from the tutorial's contract, which is no
part of this repository (LABKIT_CONTRACTS names its folder); where it is at hand, the quotation is
compared with it. Creating clusters (line 1) is `labkit up --bare` here, and `step` (line 2) is
labkit's module of certificates.

LABKIT_TRANSCRIPT=FILE keeps what the terminal showed; docs/tutorial-transcript.md is made so.
"""

import os
import re
import shutil
import socket
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

ROOT = Path(__file__).resolve().parents[1]
CONTRACT = (
    Path(os.environ.get("LABKIT_CONTRACTS") or ROOT.parent / "shared" / "contracts") / "tutorial.md"
)
TAPPED = 6

HOST = {
    1: ("labkit up --bare", 'eval "$(labkit env)"'),
    2: (
        """python <<'END'
from pathlib import Path
from labkit.certs import create_issuer, create_root, write_credential
root = create_root("root.linkerd.cluster.local")
issuer = create_issuer(root, "identity.linkerd.cluster.local")
write_credential(root, Path("root.crt"), Path("root.key"))
write_credential(issuer, Path("issuer.crt"), Path("issuer.key"))
END""",
    ),
}
"""What stands in for the lines marked *host*."""

BOTH = "for ctx in west east; do {}; done"
LINES: dict[int, tuple[str, ...]] = {
    3: (
        (
            "linkerd install --crds | tee >(kubectl --context=west apply -f -)"
            " >(kubectl --context=east apply -f -)"
        ),
    ),
    4: (
        (
            "linkerd install --identity-trust-anchors-file root.crt"
            " --identity-issuer-certificate-file issuer.crt --identity-issuer-key-file issuer.key"
            " | tee >(kubectl --context=west apply -f -) >(kubectl --context=east apply -f -)"
        ),
    ),
    5: (
        BOTH.format(
            "linkerd --context=${ctx} multicluster install | kubectl --context=${ctx} apply -f -"
        ),
    ),
    6: (BOTH.format("linkerd --context=${ctx} viz install | kubectl --context=${ctx} apply -f -"),),
    7: (
        (
            "linkerd --context=east multicluster link --cluster-name east"
            " | kubectl --context=west apply -f -"
        ),
    ),
    8: (
        BOTH.format(
            "kubectl config use-context ${ctx};"
            " linkerd inject <emojivoto manifest> | kubectl apply -f -"
        ),
    ),
    9: (
        "kubectl --context=west -n emojivoto delete deploy voting web emoji",
        "kubectl --context=west -n emojivoto delete svc voting-svc web-svc emoji-svc",
        "kubectl --context=east -n emojivoto delete deploy vote-bot",
    ),
    10: ("kubectl --context=east label svc -n emojivoto web-svc mirror.linkerd.io/exported=true",),
    11: (
        (
            "kubectl --context=west -n emojivoto get endpoints web-svc-east"
            " -o 'custom-columns=ENDPOINT_IP:.subsets[*].addresses[*].ip'"
        ),
        (
            "kubectl --context=east -n linkerd-multicluster get svc linkerd-gateway"
            ' -o "custom-columns=GATEWAY_IP:.status.loadBalancer.ingress[*].ip"'
        ),
    ),
    12: ("linkerd --context=west -n emojivoto viz tap deploy/vote-bot | grep <gateway ip>",),
    13: (
        "kubectl --context=west -n emojivoto get svc web-svc-east -o=jsonpath='{.spec.clusterIP}'",
        "kubectl set env deployment/vote-bot -n emojivoto WEB_HOST=<clusterIP>:80 --context west",
    ),
    14: (
        "linkerd viz dashboard --context west --port 50750",
        "linkerd viz dashboard --context east --port 50760",
    ),
}
"""The tutorial's lines, with its placeholders."""

_EAST = "kubectl --context=east -n linkerd-multicluster"
_WEST = "kubectl --context=west -n emojivoto"
WAITS: dict[int, tuple[str, ...]] = {
    7: (
        (
            f"{_EAST} wait svc/linkerd-gateway --for=jsonpath='{{.status.loadBalancer.ingress}}'"
            " --timeout=120s"
        ),
    ),
    11: (
        f"{_WEST} wait endpoints/web-svc-east --for=create --timeout=120s",
        (
            f"{_WEST} wait endpoints/web-svc-east"
            " --for=jsonpath='{.subsets[*].addresses[*].ip}' --timeout=120s"
        ),
    ),
    12: (f"{_WEST} rollout status deploy/vote-bot --timeout=120s",),
}
"""What a patient reader types before a line that needs something the cloud is still making."""

ORDER = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 12, 14)
"""12 before 13 is the tutorial's own mistake: nothing reaches the gateway before 13."""


# --- the walk through the tutorial --------------------------------------------------------


@dataclass(frozen=True)
class Typed:
    """One line as it was typed and what came of it; `added` if the tutorial has no such line."""

    number: int
    line: str
    code: int
    output: str
    added: bool = False


@dataclass
class Tutorial:
    """Everything that was typed and seen."""

    typed: list[Typed] = field(default_factory=list)
    pages: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    gateway: str = "no-address"
    cluster_ip: str = "no-address"

    def of(self, number: int) -> list[Typed]:
        """The tutorial's own lines with a number."""
        return [item for item in self.typed if item.number == number and not item.added]

    def output(self, number: int) -> str:
        return "\n".join(item.output for item in self.of(number))

    def fill(self, line: str) -> str:
        """The line with what a reader puts in place of the placeholders."""
        line = line.replace("<emojivoto manifest>", "emojivoto.yml")
        line = line.replace("<gateway ip>", self.gateway).replace("<clusterIP>", self.cluster_ip)
        for context, port in self.ports.items():
            line = re.sub(rf"(--context {context} --port) \d+", rf"\1 {port}", line)
        return line


def walk(terminal: Any, more: Callable[[], Any], ports: dict[str, int]) -> Tutorial:
    """Type the whole tutorial; what fails is found by the tests."""
    found = Tutorial(ports=ports)
    for number in ORDER:
        for line in WAITS.get(number, ()):
            found.typed.append(Typed(number, line, *terminal.type(line), added=True))
        for template in (HOST | LINES)[number]:
            line = found.fill(template)
            if number == 12:
                until = rf"dst={re.escape(found.gateway)}:4143 tls=true"
                text = terminal.watch(line, until=until, times=TAPPED)
                terminal.interrupt()
                found.typed.append(Typed(number, line, 0, text))
            elif number == 14:
                found.typed.append(_dashboard(found, more(), line))
            else:
                found.typed.append(Typed(number, line, *terminal.type(line)))
            if "GATEWAY_IP" in line:
                found.gateway = found.typed[-1].output.split()[-1]
            elif "jsonpath='{.spec.clusterIP}'" in line:
                found.cluster_ip = found.typed[-1].output.strip()
    return found


def _dashboard(found: Tutorial, window: Any, line: str) -> Typed:
    """Open a dashboard in a window of its own, look at its page, and leave it."""
    text = window.watch(line, until=r"available at:\s+http://\S+\s")
    address = re.search(r"http://\S+", text)
    context = re.search(r"--context (\w+)", line)[1]
    if address:
        with urllib.request.urlopen(address[0], timeout=30) as answer:
            found.pages[context] = answer.read().decode()
    window.interrupt()
    window.close()
    return Typed(14, line, 0, text)


def free_port(wanted: int) -> int:
    """The tutorial's port, or another one if it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    pytest.fail("no free port")


@pytest.fixture(scope="module")
def tutorial(module_home, open_terminal) -> Iterator[Tutorial]:
    folder = module_home.root / "reader"
    folder.mkdir()
    shutil.copy(ROOT / "labkit" / "data" / "emojivoto.yml", folder)
    here = str(Path(sys.executable).parent)
    environment = {
        **module_home.environment,
        "PATH": f"{here}{os.pathsep}{os.environ['PATH']}",
        "BROWSER": shutil.which("false") or "false",
    }
    environment.pop("KUBECONFIG", None)

    def window() -> Any:
        """A second terminal, in which a reader prepares the lab's commands again."""
        terminal = open_terminal(environment, folder)
        terminal.type(HOST[1][1])
        return terminal

    first = open_terminal(environment, folder)
    try:
        found = walk(first, window, {"west": free_port(50750), "east": free_port(50760)})
        keep = Path(os.environ.get("LABKIT_TRANSCRIPT") or module_home.root / "transcript.md")
        keep.write_text(transcript(found))
        yield found
    finally:
        code, text = first.type("labkit down")
        first.close()
    assert code == 0, text
    assert "processes left: 0" in text
    assert module_home.processes() == []


# --- the transcript -----------------------------------------------------------------------

_HEAD = """# The tutorial as typed: a transcript

Every line of the published tutorial, typed into a terminal on the embedded cloud with the real
`kubectl` and the lab's `linkerd`, and what was shown. `tests/test_tutorial.py` made this page and
checks each line; to repeat it:

```sh
LABKIT_TRANSCRIPT=docs/tutorial-transcript.md .venv/bin/python -m pytest tests/test_tutorial.py
```

The numbers are the tutorial's. Lines 1 and 2 create clusters and certificates there with `doctl`
and `step`; here labkit does both. 13 comes before 12, because nothing reaches the gateway before
it. Lines marked *(wait)* are no part of the tutorial: they wait for what a cloud needs a moment
for. `tee` shows the whole manifest a second time; it is left out. `emojivoto.yml` is
`labkit/data/emojivoto.yml`. Line 14 is typed in a window of its own for each cluster.
"""
_APPLIED = re.compile(r"([\w.]+/[\w.-]+ (?:created|configured|unchanged))$")


def transcript(found: Tutorial) -> str:
    """What was typed and seen, as a page."""
    parts = [_HEAD]
    number = 0
    for item in found.typed:
        if item.number != number:
            number = item.number
            parts.append(f"\n## Line {number}\n")
        note = "*(wait)*\n\n" if item.added else ""
        failed = f"\n[exit code {item.code}]" if item.code else ""
        parts.append(f"{note}```console\n$ {item.line}\n{_shown(item)}{failed}\n```\n")
    return "\n".join(parts).replace("\n\n\n", "\n\n")


def _shown(item: Typed) -> str:
    lines = item.output.replace("\r", "").strip("\n").split("\n")
    if "| tee " in item.line:
        applied = [match[1] for match in map(_APPLIED.search, lines) if match]
        return "\n".join([f"… the manifest, {len(lines) - len(applied)} lines …", *applied])
    return "\n".join(lines)


# --- what a reader expects ----------------------------------------------------------------


def test_the_lines_are_the_tutorials():
    if not CONTRACT.exists():
        pytest.skip(f"no {CONTRACT}; set LABKIT_CONTRACTS to its folder")
    wanted, host = {}, set()
    for number, text in re.findall(r"^(\d+)\. (.*)$", CONTRACT.read_text(), re.MULTILINE):
        typed = [c for c in re.findall(r"`([^`]+)`", text) if c.startswith(("linkerd", "kubectl"))]
        if text.startswith("*host*"):
            host.add(int(number))
        elif text.startswith("for each ctx:"):
            wanted[int(number)] = (BOTH.format("; ".join(typed)),)
        else:
            wanted[int(number)] = tuple(typed)
    assert wanted == LINES
    assert host == set(HOST)


@pytest.mark.parametrize("number", ORDER)
def test_every_line_of_a_step_succeeds(tutorial, number):
    lines = [item for item in tutorial.typed if item.number == number]
    assert len(lines) == len((HOST | LINES)[number]) + len(WAITS.get(number, ()))
    for item in lines:
        assert item.code == 0, f"{item.line}\n{item.output}"
        assert not re.search(r"(?im)^(error|exception|traceback)", item.output), item.output


def test_both_clusters_get_linkerds_definitions(tutorial):
    created = re.findall(r"customresourcedefinition\S+/(\S+) created", tutorial.output(3))
    assert len(created) == 2 * len(set(created))
    assert {"servers.policy.linkerd.io", "serviceprofiles.linkerd.io"} <= set(created)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (4, ["deployment.apps/linkerd-destination", "secret/linkerd-identity-issuer"]),
        (5, ["deployment.apps/linkerd-gateway", "service/linkerd-gateway"]),
        (6, ["deployment.apps/tap", "deployment.apps/web", "service/prometheus"]),
        (8, ["deployment.apps/vote-bot", "deployment.apps/web", "service/web-svc"]),
    ],
)
def test_what_is_installed_twice_is_created_in_both_clusters(tutorial, number, expected):
    for name in expected:
        assert tutorial.output(number).count(f"{name} created") == 2, name


def test_the_link_brings_a_service_mirror(tutorial):
    for name in (
        "link.multicluster.linkerd.io/east",
        "deployment.apps/linkerd-service-mirror-east",
    ):
        assert f"{name} created" in tutorial.output(7)


def test_each_context_is_chosen_and_the_workloads_are_injected(tutorial):
    text = tutorial.output(8)
    for context in ("west", "east"):
        assert f'Switched to context "{context}".' in text
    assert text.count('deployment "vote-bot" injected') == 2


def test_what_is_deleted_is_named(tutorial):
    for kind, names in (
        ("deployment.apps", ("voting", "web", "emoji", "vote-bot")),
        ("service", ("voting-svc", "web-svc", "emoji-svc")),
    ):
        for name in names:
            assert f'{kind} "{name}" deleted from emojivoto namespace' in tutorial.output(9)


def test_the_label_is_set(tutorial):
    assert tutorial.output(10).strip() == "service/web-svc labeled"


def test_the_mirrors_endpoint_is_the_gateways_address(tutorial):
    endpoint, gateway = tutorial.of(11)
    assert re.search(r"^ENDPOINT_IP\n198\.51\.100\.\d+$", endpoint.output.strip(), re.MULTILINE)
    assert endpoint.output.split()[-1] == gateway.output.split()[-1]
    assert gateway.output.split()[0] == "GATEWAY_IP"


def test_the_robot_is_sent_to_the_mirror(tutorial):
    address, change = tutorial.of(13)
    assert re.fullmatch(r"10\.96\.\d+\.\d+", address.output)
    assert change.output.strip() == "deployment.apps/vote-bot env updated"


def test_tap_shows_mutual_tls_to_the_gateway(tutorial):
    lines = re.findall(r"^(?:req|rsp|end) .*$", tutorial.output(12), re.MULTILINE)
    assert len(lines) >= TAPPED
    for line in lines:
        assert "proxy=out src=10.244." in line
        assert f"dst={tutorial.gateway}:4143 tls=true" in line
    assert any(":authority=web-svc.emojivoto.svc.cluster.local" in line for line in lines)


@pytest.mark.parametrize("context", ["west", "east"])
def test_each_dashboard_is_a_live_page_of_its_cluster(tutorial, context):
    page = tutorial.pages[context]
    assert re.search(rf"<title>Linkerd viz: \S*{context}</title>", page)
    deployments = {"west": {"vote-bot"}, "east": {"emoji", "voting", "web"}}[context]
    for name in deployments:
        assert re.search(rf"<td>emojivoto</td><td>{name}</td><td class=n>1/1</td>", page), name


def test_the_transcript_tells_no_secret_and_no_path_of_this_machine(tutorial, module_home):
    page = transcript(tutorial)
    assert "```console\n$ labkit up --bare\n" in page
    assert "PRIVATE KEY" not in page
    assert str(module_home.root) not in page
    assert not re.search(r"(?:[A-Za-z0-9+/]{60}|eyJ[\w-]{8,})", page)
