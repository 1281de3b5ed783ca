"""Random ups and downs of a lab in a nasty account, each from a seed of its own.

A run switches random faults on, starts `up` (sometimes twice), lets its clusters make load
balancers, starts `down`, and kills any of these commands at a random request. Then the faults are
off, `down` runs to its end, and `audit` has to find nothing. The tests run a few of them, the
benchmark 200.
"""

import random
from dataclasses import dataclass

from tests.support import nasty_account as nasty

FAULTS = (
    {"name": "latency", "seconds": 0.05, "times": 20},
    {"name": "too_many_requests", "seconds": 1, "times": 1},
    {"name": "server_error", "times": 2},
    {"name": "server_error", "method": "POST", "times": 1, "executed": True},
    {"name": "bad_gateway", "method": "DELETE", "times": 1, "executed": True},
    {"name": "unavailable", "method": "POST", "times": 1},
    {"name": "dropped", "method": "POST", "times": 1, "executed": True},
    {"name": "dropped", "times": 2},
    {"name": "stale_lists", "seconds": 1.5},
    {"name": "quota", "times": 1},
    {"name": "slow_provisioning", "seconds": 1},
    {"name": "provisioning_error", "times": 1},
    {"name": "kubeconfig_not_ready", "times": 2},
    {"name": "cluster_volumes"},
    {"name": "slow_deletion", "seconds": 1},
    {"name": "survivor", "times": 1},
)
_KILLED = 0.55
_LAST_DOWNS = 3


@dataclass(frozen=True)
class Outcome:
    """How a run ended: everything but `kills` must be nothing."""

    seed: int
    kills: int
    left: list[str]
    harmed: list[str]
    duplicates: int
    audit: str
    story: str


def run(account, seed: int) -> Outcome:
    """One run in an account that has its decoys."""
    dice = random.Random(seed)
    kills = account.killed
    duplicates = account.duplicates()
    story = []

    def step(command, *faults):
        account.server.faults("same_names", *faults)
        story.append(", ".join(item["name"] for item in faults))
        kill = None
        if dice.random() < _KILLED:
            kill = nasty.Trigger(dice.randint(1, 24), executed=dice.random() < 0.5)
        done = command(kill=kill)
        last = (done.err.strip().splitlines() or [""])[-1]
        story.append(f"{done.argv[0]} {kill or ''} → {done.code} {last[:160]}")

    for _ in range(1 + (dice.random() < 0.3)):
        step(account.up, *_some(dice))
    account.make_load_balancers()
    step(account.down, *_some(dice))
    account.server.faults()
    for _ in range(_LAST_DOWNS):
        done = account.down()
        story.append(f"down → {done.code} {done.err.strip().splitlines()[-1][:160]}")
        if done.code == 0:
            break
    audit = account.audit()
    account.requests += len(account.server.exchanges)
    account.server.exchanges.clear()  # hundreds of runs would be checked for hours
    return Outcome(
        seed,
        account.killed - kills,
        account.left(),
        account.harmed(),
        account.duplicates() - duplicates,
        "" if audit.code in (0, 3) and "STILL" not in done.out else audit.out + done.err,
        "\n  ".join(story),
    )


def _some(dice: random.Random) -> list[dict]:
    return dice.sample(FAULTS, dice.randint(0, 3))


def problems(outcome: Outcome) -> list[str]:
    """What is wrong with a run, in words that say how to repeat it."""
    wrong = [
        f"{name}: {value}"
        for name in ("left", "harmed", "duplicates", "audit")
        if (value := getattr(outcome, name))
    ]
    return [f"seed {outcome.seed}: {'; '.join(wrong)}\n  {outcome.story}"] if wrong else []
