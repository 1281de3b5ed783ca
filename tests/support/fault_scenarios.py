"""Every switch of the emulated account, for `up` and for `down`: what the user sees, what is left.

A scenario is data. `play` runs it in an account and answers with one row; docs/faults.md shows the
rows, `python -m benchmarks faults` prints them.
"""

import re
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Scenario:
    """One way of being nasty.

    Attributes:
        title: for people.
        fault: the switch while the command runs.
        before: switches while the lab comes up, for `down`.
        also: more switches while the command runs.
        sees: what the command says, in words that the test looks for; by command.
        code: exit code, by command.
    """

    title: str
    fault: dict
    before: tuple[dict, ...] = ()
    also: tuple[dict, ...] = ()
    sees: dict[str, str] = field(default_factory=dict)
    code: dict[str, int] = field(default_factory=dict)


def _on(name: str, **fields) -> dict:
    return {"name": name, **fields}


_CLUSTERS = "/v2/kubernetes/clusters"

SCENARIOS = (
    Scenario("answers late by 0.1 s", _on("latency", seconds=0.1)),
    Scenario(
        "429, Retry-After 1 s, twice",
        _on("too_many_requests", seconds=1, times=2),
        sees={"up": "429; trying again in 1.0 s", "down": "429; trying again in 1.0 s"},
    ),
    Scenario(
        "429 with Retry-After of an hour",
        _on("too_many_requests", seconds=3600, path=_CLUSTERS),
        sees={"up": "wait 3600 s", "down": "wait 3600 s"},
        code={"up": 1, "down": 1},
    ),
    Scenario(
        "500 three times",
        _on("server_error", times=3),
        sees={"up": "500; trying again", "down": "500; trying again"},
    ),
    Scenario(
        "500 for ever",
        _on("server_error", path=_CLUSTERS),
        sees={"up": "tried 6 times", "down": "tried 6 times"},
        code={"up": 1, "down": 1},
    ),
    Scenario(
        "500 after the create or delete was executed",
        _on("server_error", method="POST", executed=True, times=1),
    ),
    Scenario(
        "502 after it was executed", _on("bad_gateway", method="DELETE", executed=True, times=1)
    ),
    Scenario(
        "503 to the first create or delete",
        _on("unavailable", times=1),
        sees={"up": "503; trying again", "down": "503; trying again"},
    ),
    Scenario(
        "no answer, and the create was executed",
        _on("dropped", method="POST", executed=True, times=1),
    ),
    Scenario(
        "no answer, and the delete was executed",
        _on("dropped", method="DELETE", executed=True, times=1),
        sees={"down": "no answer; trying again"},
    ),
    Scenario("lists lag behind by 1.5 s", _on("stale_lists", seconds=1.5)),
    Scenario(
        "no answer, executed, and names need not be unique",
        _on("same_names"),
        also=(_on("dropped", method="POST", executed=True, times=1), _on("stale_lists", seconds=1)),
    ),
    Scenario(
        "limit of Droplets for the second cluster",
        _on("quota", skip=1, times=1),
        sees={"up": "exceed your droplet limit"},
        code={"up": 1},
    ),
    Scenario(
        "clusters need 2 s more",
        _on("slow_provisioning", seconds=2),
        sees={"up": "takes 4 to 8 min"},
    ),
    Scenario(
        "a cluster ends in `error`",
        _on("provisioning_error", times=1),
        sees={"up": "will not run"},
        code={"up": 1},
    ),
    Scenario(
        "no kubeconfig at first",
        _on("kubeconfig_not_ready", times=3),
        sees={"up": "no kubeconfig yet"},
    ),
    Scenario(
        "clusters make volumes and snapshots",
        _on("cluster_volumes"),
        before=(_on("cluster_volumes"),),
    ),
    Scenario(
        "clusters take 1.5 s to go",
        _on("slow_deletion", seconds=1.5),
        sees={"down": "west: deleting"},
    ),
    Scenario(
        "a load balancer, volume and snapshot survive their cluster",
        _on("survivor", times=3),
        before=(_on("cluster_volumes", times=1),),
        sees={"down": "which its cluster left"},
    ),
)
COMMANDS = ("up", "down")


@dataclass(frozen=True)
class Row:
    """What came of a scenario."""

    title: str
    fault: str
    command: str
    code: int
    sees: str
    again: str
    left: list[str]
    duplicates: int
    harmed: list[str]
    err: str


def play(account, scenario: Scenario, command: str) -> Row:
    """Run a scenario: the command under the fault, then everything down without it."""
    twice = account.duplicates()
    if command == "up":
        account.server.faults(scenario.fault, *scenario.also)
        done = account.up()
        account.server.faults()
        account.make_load_balancers()
        again = "" if done.code == 0 else "`down`"
    else:
        account.server.faults(*scenario.before)
        account.up()
        account.make_load_balancers()
        account.server.faults(scenario.fault, *scenario.also)
        done = account.down()
        account.server.faults()
        again = "" if done.code == 0 else "`down` again"
    last = account.down()
    audit = account.audit()
    if last.code != 0 or audit.code not in (0, 3):
        raise AssertionError(f"{scenario.title}: {last.err}{audit.out}")
    return Row(
        scenario.title,
        scenario.fault["name"],
        command,
        done.code,
        _seen(done),
        again,
        account.left(),
        account.duplicates() - twice,
        account.harmed(),
        done.err,
    )


_TOLD = r"trying again|no kubeconfig yet|: account: |takes 4 to 8 min|deleting"


def _seen(done) -> str:
    """The line that tells the fault: the error, else the last wait, else the last of the progress."""
    lines = done.err.strip().splitlines()
    told = [line for line in lines if re.search(_TOLD, line)]
    line = lines[-1] if done.code else (told[-1] if told else "")
    line = re.sub(r" \(\d+\.\d s\)$", "", line.removeprefix("… ").removeprefix("✘ "))
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "…", line)


def markdown(rows: list[Row]) -> str:
    """The table of docs/faults.md."""
    lines = [
        "| Fault | Switch | Command | Exit code | What the user sees | Then | Left | Doubled |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        sees = row.sees.replace("|", "\\|") or "as without the fault"
        lines.append(
            f"| {row.title} | `{row.fault}` | `{row.command}` | {row.code} | {sees} "
            f"| {row.again or '-'} | {len(row.left)} | {row.duplicates} |"
        )
    return "\n".join(lines)
