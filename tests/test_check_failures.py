"""Each check fails for its own reason on a real lab, and what it then shows is kept.

A fault is made in the lab, the checks look once, what they show is compared with
`tests/golden/checks/<id>.txt`, and the fault is mended: by pasting the fix that was shown, where that
mends nothing else than the fault. `LABKIT_GOLDEN=write` writes the files instead of comparing.
"""

import json
import os
import re
import time
from contextlib import contextmanager
from copy import deepcopy
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from labkit import certs
from labkit.chapters import mtls, start_here, trust_anchor
from labkit.checking import run_checks
from labkit.checks import Report
from labkit.inventory import all_checks
from labkit.lab import Lab

GOLDEN = Path(__file__).with_name("golden") / "checks"
IDS = {check.id: check for check in all_checks()}
PATIENCE_S = 90
SIDES = ("west", "east")
slow = pytest.mark.slow

VOLATILE = (
    (r"\b(?:[0-9A-F]{2}:){3}[0-9A-F]{2}…", "<fingerprint>"),
    (r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<id>"),
    (r"\b[0-9a-f]{8}…", "<uid>…"),
    (r"\b(?!192\.0\.2\.)\d{1,3}(?:\.\d{1,3}){3}\b", "<address>"),
    (r"-[0-9a-f]{6,10}-[a-z0-9]{5}\b", "-<pod>"),
    (r"\d{4}-\d\d-\d\d(?: \d\d:\d\d)?", "<date>"),
    (r"Python 3\.\d+\.\d+", "Python <version>"),
    (r"linkerd: [\w.-]+\d", "linkerd: <version>"),
    (r"\d+\.\d+ ms", "<latency> ms"),
    (r"and \d+ more", "and <n> more"),
    (r"(tap|viz) n=\d+", r"\1 n=<n>"),
    (r"^\d+ requests of|\b\d+ requests of", "<n> requests of"),
    (r"of \d+ tapped", "of <n> tapped"),
)
"""What differs from lab to lab → what stands for it."""


class Broken:
    """The lab, and the ways to break it, to look at it, and to mend it."""

    def __init__(self, walk, lab):
        self.home, self.lab, self._walk = walk.home, lab, walk

    def shell(self, line):
        return self._walk.ok(f"set -o pipefail; {line}")

    def look(self, *ids, lab=None):
        return run_checks(lab or self.lab, [IDS[i] for i in ids], wait=False).outcomes

    def show(self, *ids, lab=None):
        """Wait until each of some checks does not hold, and compare what they show."""
        found = self.until(lambda status: status != "pass", *ids, lab=lab)
        for seen in found:
            compare(seen.id, self.normal(str(Report((seen,)))))
        return {seen.id: seen for seen in found}

    def holds(self, *ids):
        """Wait until checks hold, or warn."""
        self.until(lambda status: status != "fail", *ids)

    def until(self, right, *ids, lab=None):
        give_up = time.monotonic() + PATIENCE_S
        while True:
            found = self.look(*ids, lab=lab)
            wrong = [seen for seen in found if not right(seen.status)]
            if not wrong:
                return found
            assert time.monotonic() < give_up, wrong
            time.sleep(0.5)

    def normal(self, text):
        text = text.replace(str(self.lab.folder.root), "~/.labkit/walk")
        for pattern, name in VOLATILE:
            text = re.sub(pattern, name, text)
        return text

    @contextmanager
    def file(self, path):
        """A file of the lab that is put back afterwards."""
        content, mode = path.read_bytes(), path.stat().st_mode
        try:
            yield path
        finally:
            path.write_bytes(content)
            path.chmod(mode)


def compare(name, text):
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("LABKIT_GOLDEN") == "write":
        path.write_text(text + "\n")
    assert path.exists(), f"LABKIT_GOLDEN=write makes {path.name}; read it before you keep it"
    assert path.read_text() == text + "\n"


def test_each_check_has_a_text_of_its_failure():
    found = {path.stem for path in GOLDEN.glob("*.txt")}
    assert found - {"no-clusters"} == set(IDS)


@pytest.mark.parametrize("name", sorted(IDS))
def test_a_failure_is_told_by_a_declared_reason(name):
    """What is shown is one of the check's reasons, filled in, with that reason's fix."""
    lines = (GOLDEN / f"{name}.txt").read_text().splitlines()
    reason, fix = lines[1].strip(), lines[2].strip().removeprefix("fix: ")

    def like(template, text):
        pieces = re.split(r"\{[^{}]+\}", template)
        return re.fullmatch(".+".join(map(re.escape, pieces)), text)

    check = IDS[name]
    assert any(
        like(declared.text, reason) and like(declared.fix or check.fix, fix)
        for declared in check.reasons
    ), (reason, fix)


@pytest.fixture(scope="module")
def broken(walk):
    with walk.here() as lab:
        yield Broken(walk, lab)


# --- this machine, the lab's files, its record --------------------------------------------


@slow
@pytest.mark.timeout(600)
def test_00_python(broken, monkeypatch):
    monkeypatch.setattr(start_here, "MIN_PYTHON", (9, 0))
    broken.show("00.python")


@slow
@pytest.mark.timeout(600)
def test_00_tools(broken):
    with broken.file(broken.lab.folder.commands / "kubectl") as command:
        command.unlink()
        broken.show("00.tools")


@slow
@pytest.mark.timeout(600)
def test_00_cloud_and_what_needs_clusters_before_there_are_any(broken):
    unmade = Lab.of(broken.lab.params.model_copy(update={"lab_name": "unmade"}))
    broken.show("00.cloud", lab=unmade)
    text = str(Report(broken.look("01.nodes-west", lab=unmade)))
    compare("no-clusters", broken.normal(text.replace("/unmade/", "/walk/")))


@slow
@pytest.mark.timeout(600)
def test_01_nodes(broken):
    for side in SIDES:
        name = broken.shell(f"kubectl --context {side} get nodes -o name").split()[0]
        kubectl = f"kubectl --context {side} patch {name} --subresource=status -p"
        condition = '{"status":{"conditions":[{"type":"Ready","status":"%s"}]}}'
        broken.shell(f"{kubectl} '{condition % 'False'}'")
        try:
            broken.show(f"01.nodes-{side}")
        finally:
            broken.shell(f"{kubectl} '{condition % 'True'}'")
        broken.holds(f"01.nodes-{side}")


@slow
@pytest.mark.timeout(600)
def test_01_two_servers(broken):
    with broken.file(broken.lab.folder.kubeconfig) as path:
        content = yaml.safe_load(path.read_text())
        contexts = {item["name"]: item for item in content["contexts"]}
        contexts["east"]["context"] = contexts["west"]["context"]
        path.write_text(yaml.safe_dump(content))
        broken.show("01.two-servers", lab=Lab.of(broken.lab.params))


@slow
@pytest.mark.timeout(600)
def test_01_regions(broken):
    other = broken.lab.params.model_copy(update={"west_region": "ams3"})
    broken.show("01.regions", lab=Lab.of(other))


@slow
@pytest.mark.timeout(600)
def test_02_certificates(broken):
    certificate, key = trust_anchor.files(broken.lab, "root")
    with broken.file(certificate), broken.file(key):
        certs.write_credential(certs.create_root(), certificate, key)
        broken.show("02.chain")
    root = trust_anchor.read(broken.lab, "root")
    certificate, key = trust_anchor.files(broken.lab, "issuer")
    with broken.file(certificate), broken.file(key):
        short = certs.create_issuer(root, valid_for=timedelta(seconds=1))
        certs.write_credential(short, certificate, key)
        give_up = time.monotonic() + PATIENCE_S
        while broken.look("02.validity")[0].status != "fail":
            assert time.monotonic() < give_up
            time.sleep(0.2)
        broken.show("02.validity")
    key.chmod(0o644)
    broken.shell(broken.show("02.private")["02.private"].fix)
    broken.holds("02.chain", "02.validity", "02.private")


@slow
@pytest.mark.timeout(600)
def test_10_figures(broken):
    """The measurement is real; its record is changed to what a broken one would hold."""
    kept = broken.lab.recorded("latency")

    def show(name, change):
        figures = deepcopy(kept)
        change(figures)
        broken.lab.record("latency", figures)
        broken.show(name)

    try:
        show("10.figures", lambda f: f["viz"].update(in_region_mean_ms=None))
        show("10.floor", lambda f: f["viz"].update(west_east_mean_ms=f["rtt"]["floor_ms"] / 2))
        show("10.artefacts", lambda f: f.update(warnings=[]))
        show(
            "10.instruments",
            lambda f: f["tap"].update(mean_ms=f["viz"]["west_east_mean_ms"] + 60),
        )
        show("10.tls", lambda f: f["tap"].update(tls_true_share=0.75))
    finally:
        broken.lab.record("latency", kept)


@slow
@pytest.mark.timeout(600)
def test_08_intruders_that_were_not_sent(broken):
    kept = broken.lab.folder.recall()["intruders"]
    broken.lab.folder.forget("intruders")
    try:
        broken.show("08.intruders")
    finally:
        broken.lab.folder.remember(intruders=kept)
    broken.holds("08.intruders")


@slow
@pytest.mark.timeout(600)
def test_12_a_drill_that_is_open(broken):
    started = broken.home.run("drill", "unmeshed-client", "--lab-name", "walk")
    assert started.returncode == 0, started.stderr
    broken.shell(broken.show("12.healed")["12.healed"].fix)
    broken.holds("12.healed", "05.proxies-west")


@slow
@pytest.mark.timeout(600)
def test_13_a_region_that_was_not_lost_yet(broken):
    kept = broken.lab.folder.recall()["failover"]
    broken.lab.folder.forget("failover")
    try:
        broken.show("13.went-on", "13.came-back")
    finally:
        broken.lab.folder.remember(failover=kept)


@slow
@pytest.mark.timeout(600)
def test_99_a_lab_that_is_up(broken):
    broken.show("99.nothing-billable", "99.no-process")


# --- the clusters -------------------------------------------------------------------------


@slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("side", SIDES)
def test_03_control_plane(broken, side):
    injector = f"kubectl --context {side} -n linkerd scale deploy/linkerd-proxy-injector"
    broken.shell(f"{injector} --replicas 0")
    try:
        seen = broken.show(f"03.control-plane-{side}", f"03.linkerd-check-{side}")
        broken.shell(seen[f"03.control-plane-{side}"].fix)
    finally:
        broken.shell(f"{injector} --replicas 1")
    broken.holds(f"03.control-plane-{side}", f"03.linkerd-check-{side}")


@slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("side", SIDES)
def test_03_viz(broken, side):
    broken.shell(f"kubectl --context {side} -n linkerd-viz scale deploy/web --replicas 0")
    broken.shell(broken.show(f"03.viz-{side}")[f"03.viz-{side}"].fix)
    broken.holds(f"03.viz-{side}")


@slow
@pytest.mark.timeout(600)
def test_03_another_anchor_in_east(broken):
    east, where = broken.lab.kubernetes("east"), ("linkerd-identity-trust-roots", "linkerd")
    before = east.require("v1", "ConfigMap", *where)["data"]
    other = {"ca-bundle.crt": certs.create_root().certificate.decode()}
    east.patch("v1", "ConfigMap", *where, body={"data": other})
    try:
        broken.show("03.same-anchor")
    finally:
        east.patch("v1", "ConfigMap", *where, body={"data": before})
    broken.holds("03.same-anchor")


@slow
@pytest.mark.timeout(600)
def test_04_gateways(broken):
    """Without a gateway the probe dies."""
    kept = broken.lab.folder.recall()["intruders"]
    scale = "kubectl --context {} -n linkerd-multicluster scale deploy/linkerd-gateway --replicas"
    gateways = [f"04.gateway-{side}" for side in SIDES]
    for side in SIDES:
        broken.shell(f"{scale.format(side)} 0")
    try:
        names = (*gateways, "04.probe", "04.multicluster-check")
        seen = broken.show(*names)
        mtls.try_intruders(broken.lab)  # nobody is let in where nobody answers
        (intruders,) = broken.look("08.intruders")
        assert intruders.status == "fail"
        assert "this proves nothing" in intruders.reason
        for name in gateways:
            broken.shell(seen[name].fix)
    finally:
        for side in SIDES:
            broken.shell(f"{scale.format(side)} 1")
        broken.lab.folder.remember(intruders=kept)
    broken.holds(*names, "07.arrives", "08.intruders")


@slow
@pytest.mark.timeout(600)
def test_04_a_link_to_elsewhere(broken):
    """The Link leads elsewhere, so does the mirror, and the gateway is not who it should be."""
    spec = {"gatewayAddress": "192.0.2.1", "gatewayIdentity": "other.example.identity.local"}
    body = json.dumps({"spec": spec})
    broken.shell(
        f"kubectl --context west -n linkerd-multicluster patch link east --type merge -p '{body}'"
    )
    seen = broken.show("04.address", "06.endpoints", "08.identity")
    broken.shell(seen["04.address"].fix)
    broken.holds("04.address", "04.probe", "06.endpoints", "08.identity")


@slow
@pytest.mark.timeout(600)
def test_04_direction(broken):
    broken.shell(
        "linkerd --context west multicluster link-gen --cluster-name west"
        " | kubectl --context east apply -f -"
    )
    broken.shell(broken.show("04.direction")["04.direction"].fix)
    broken.holds("04.direction")


@slow
@pytest.mark.timeout(600)
def test_05_workloads(broken):
    create = "kubectl --context west -n emojivoto create deploy web --image=curlimages/curl:8.11.1"
    broken.shell(create)
    kubectl = "kubectl --context east -n emojivoto"
    manifest = broken.shell(f"{kubectl} get deploy voting -o json")
    broken.shell(f"{kubectl} delete deploy voting")
    try:
        seen = broken.show("05.workloads-west", "05.workloads-east")
        broken.shell(seen["05.workloads-west"].fix)
    finally:
        broken.lab.kubernetes("east").apply([_anew(json.loads(manifest))])
    broken.shell(f"{kubectl} rollout status deploy/voting")
    broken.holds("05.workloads-west", "05.workloads-east", "05.proxies-east")


def _anew(item):
    item.pop("status", None)
    kept = {key: item["metadata"][key] for key in ("name", "namespace", "labels")}
    return {**item, "metadata": kept}


@slow
@pytest.mark.timeout(600)
def test_05_proxies(broken):
    for side in SIDES:
        broken.shell(
            f"kubectl --context {side} -n emojivoto run bare --image=curlimages/curl:8.11.1 "
            "--annotations=linkerd.io/inject=disabled"
        )
    seen = broken.show(*(f"05.proxies-{side}" for side in SIDES))
    for outcome in seen.values():
        broken.shell(outcome.fix)
    broken.holds(*seen)


@slow
@pytest.mark.timeout(600)
def test_06_service(broken):
    broken.shell(
        "kubectl --context east -n emojivoto label svc web-svc mirror.linkerd.io/exported-"
    )
    broken.shell(broken.show("06.service")["06.service"].fix)
    broken.holds("06.service", "06.endpoints")


@slow
@pytest.mark.timeout(600)
def test_07_a_robot_that_asks_elsewhere(broken):
    """What counts begins anew, too: the robot's proxy, the gateway's, and viz of both clusters."""
    kept = broken.lab.folder.recall()["tap"]
    west, east = "kubectl --context west", "kubectl --context east"
    broken.shell(f"{west} -n emojivoto set env deploy/vote-bot WEB_HOST=web-svc.emojivoto:80")
    broken.shell(f"{east} -n linkerd-multicluster rollout restart deploy/linkerd-gateway")
    for kubectl in (west, east):
        broken.shell(f"{kubectl} -n linkerd-viz rollout restart deploy/prometheus")
    broken.shell(f"{west} -n emojivoto rollout status deploy/vote-bot")
    broken.shell(f"{east} -n linkerd-multicluster rollout status deploy/linkerd-gateway")
    for kubectl in (west, east):
        broken.shell(f"{kubectl} -n linkerd-viz rollout status deploy/prometheus")
    try:
        broken.show("09.success", "09.traffic-west", "09.traffic-east")
        mtls.tap(broken.lab)
        names = ("07.web-host", "07.sends", "07.arrives", "08.tls")
        seen = broken.show(*names)
        broken.shell(seen["07.web-host"].fix)
    finally:
        broken.lab.folder.remember(tap=kept)
    broken.holds(*names)
