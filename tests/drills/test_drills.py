"""Every drill on a real lab: it shows, it is mended by hand, it heals, and all is well after.

The lab is that of the walk.
"""

import json
import os
import sys

import pytest

from labkit import catch_up
from labkit.drill_log import DrillLog
from labkit.drills import DRILLS, cure_open

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

KUBECTL = "kubectl --context"
INJECT = '{"spec":{"template":{"metadata":{"annotations":{"linkerd.io/inject":"enabled"}}}}}'
SELECT = '{"spec":{"selector":{"app":"linkerd-gateway"}}}'

REPAIRS = {
    "unmeshed-client": [f"{KUBECTL} west -n emojivoto patch deploy vote-bot -p '{INJECT}'"],
    "mirror-label-missing": [
        f"{KUBECTL} east -n emojivoto label svc web-svc mirror.linkerd.io/exported=true"
    ],
    "gateway-unreachable": [
        (
            f"{KUBECTL} east -n linkerd-multicluster patch svc linkerd-gateway --type merge"
            f" -p '{SELECT}'"
        )
    ],
    "wan-black-hole": ["labkit wan set --no-blackhole"],
    "proxy-killed": [],
    "policy-deny": [f"kubectl {DRILLS['policy-deny'].hints[2].partition('kubectl ')[2]}"],
    "link-direction": [DRILLS["link-direction"].hints[2]],
    "wrong-trust-anchor": [f"for {DRILLS['wrong-trust-anchor'].hints[2].partition(': for ')[2]}"],
    "expired-issuer": [
        (
            'cd "$(dirname "$KUBECONFIG")/certs"; kubectl --context west -n linkerd create secret'
            " generic linkerd-identity-issuer --from-file=crt.pem=issuer.crt"
            " --from-file=key.pem=issuer.key --dry-run=client -o yaml | kubectl --context west apply"
            " --server-side --force-conflicts -f -"
        ),
        "kubectl --context west -n linkerd rollout restart deploy linkerd-identity",
        "kubectl --context west -n linkerd rollout status deploy linkerd-identity",
        "kubectl --context west -n emojivoto rollout restart deploy vote-bot",
    ],
}
"""What a learner types in the end."""

IN_LONG_RUNS_ONLY = {"wan-black-hole", "wrong-trust-anchor", "link-direction", "expired-issuer"}
"""Slow; continuous integration has no time for them."""


class OpenLab:
    """The lab of the walk, in this process and as commands."""

    def __init__(self, walk, lab):
        self.home, self.lab, self.shell = walk.home, lab, walk.ok

    def checks(self):
        """Every check up to chapter 07 that does not hold, with its reason."""
        report = self.lab.run_checks(["01", "02", "03", "04", "05", "06", "07"])
        return [f"{one.id}: {one.reason}" for one in report.failures]


@pytest.fixture(scope="module")
def opened(walk):
    with walk.here() as lab:
        yield OpenLab(walk, lab)


@pytest.fixture(autouse=True)
def _nothing_is_open(opened):
    """What a test that failed has left must not fail the next one."""
    cure_open(opened.lab)


def test_every_drill_has_a_repair_here():
    assert set(REPAIRS) == set(DRILLS)


@pytest.mark.parametrize("name", list(DRILLS))
def test_a_drill_shows_is_mended_by_hand_and_heals(opened, name, wait):
    if name in IN_LONG_RUNS_ONLY and not os.environ.get("LABKIT_LONG_TESTS"):
        pytest.skip("set LABKIT_LONG_TESTS=1")
    drill, lab = DRILLS[name], opened.lab
    step = lab.drill(name)
    seen = step.facts["seen_s"]
    assert list(seen) == [symptom.where for symptom in drill.symptoms]
    assert drill.title not in str(step)
    assert lab.status()["open_drills"] == [name]
    assert [lab.drill(name, "hint").facts["text"] for _ in range(4)] == [
        *drill.hints,
        drill.hints[2],
    ]
    if name != "proxy-killed":
        assert lab.verify_drill(name).status == "fail"
    for line in REPAIRS[name]:
        opened.shell(line)
    wait(lambda: lab.verify_drill(name).status == "pass", "the repair to hold", timeout_s=120)
    step = lab.drill(name, "heal")
    shown = ", ".join(f"{where} {seconds:.1f} s" for where, seconds in seen.items())
    sys.stderr.write(f"{name}: {shown}; healed in {step.facts['seconds']:.1f} s\n")
    assert step.facts["state"] == "healed"
    assert drill.breaks in str(step)
    assert lab.drill(name, "heal").facts["state"] == "closed"
    wait(lambda: not opened.checks(), "all checks to pass", timeout_s=60)
    record = [one for one in DrillLog(lab.folder).records() if one.name == name][-1]
    assert record.hints == 3
    assert record.verified


def test_a_drill_that_was_killed_heals_by_the_command_line(opened, wait):
    """Killed after the fault, and before the record could tell more."""
    drill, lab, home = DRILLS["mirror-label-missing"], opened.lab, opened.home
    record = DrillLog(lab.folder).begin(drill.name, drill.look(lab))
    drill.inject(lab, record.before)
    refused = home.run("drill", "unmeshed-client", "--lab-name", "walk")
    assert refused.returncode == 1
    assert "mirror-label-missing is open" in refused.stderr
    assert "the drill mirror-label-missing is open" in home.run("status").stdout
    wrong = home.run("drill", "--verify")
    assert wrong.returncode == 1
    assert "not mended yet" in wrong.stdout
    checked = home.run("check", "06")
    assert checked.returncode == 1
    assert "labkit drill mirror-label-missing --heal" in checked.stderr
    healed = home.run("drill", "--heal")
    assert healed.returncode == 0, healed.stderr
    assert "mirror.linkerd.io/exported" in healed.stdout
    wait(lambda: not opened.checks(), "all checks to pass", timeout_s=60)


def test_a_drill_that_was_killed_before_its_fault_heals(opened):
    drill, lab = DRILLS["unmeshed-client"], opened.lab
    DrillLog(lab.folder).begin(drill.name, drill.look(lab))
    assert json.loads(opened.home.run("drill", "--heal", "--json").stdout)["state"] == "healed"
    assert opened.checks() == []


def test_a_lab_that_is_not_in_order_is_not_broken_further(opened, wait):
    lab = opened.lab
    label = "kubectl --context east -n emojivoto label svc web-svc mirror.linkerd.io/exported"
    opened.shell(f"{label}-")
    wait(
        lambda: lab.kubernetes("west").get("v1", "Service", "web-svc-east", "emojivoto") is None,
        "the mirror to go",
    )
    done = opened.home.run("drill", "unmeshed-client")
    assert done.returncode == 1
    assert "not in order, and nothing was broken" in done.stderr
    assert lab.open_drills() == []
    opened.shell(f"{label}=true")
    wait(lambda: not opened.checks(), "all checks to pass", timeout_s=60)


def test_catching_up_heals_first(opened):
    opened.lab.drill("unmeshed-client")
    opened.lab.reset(catch_up.LAST)
    assert opened.lab.open_drills() == []
    assert opened.checks() == []
