"""What does a lab burn after the whole walk when nobody does anything?

CPU time of every process of the lab. Emojivoto's robot goes on voting once a second, which is the
application's own load; so it is measured with the robot, and again without.
"""

import os
import time

from benchmarks.measuring import Cpu, Home, cpu_by_kind, met, print_table, temporary_home
from benchmarks.raw_client import Server

TARGET_PERCENT = 5.0
KINDS = ("daemon", "envoys", "programs", "relay")
SETTLE_S = 30.0
ROBOT = "/apis/apps/v1/namespaces/emojivoto/deployments/vote-bot/scale"


def run(*, quick: bool) -> None:
    """Print the table: one row a kind of process, and the whole lab."""
    seconds = 20.0 if quick else 60.0
    with temporary_home() as home:
        options = ("measure_seconds=15", "warmup_seconds=10", "load_rate=0")
        flags = [word for option in options for word in ("-p", option)]
        home.labkit("run", *flags, "--keep", "--runs", str(home.folder / "runs"))
        found, load = _measured(home, seconds)
        _stop_robots(home)
        quiet, quiet_load = _measured(home, seconds)
    rows = [
        (kind, found[kind].processes, _share(found, kind), _share(quiet, kind), "")
        for kind in KINDS
    ]
    total = sum(one.percent for one in found.values())
    rest = sum(one.percent for one in quiet.values())
    processes = sum(one.processes for one in found.values())
    rows.append(("whole lab", processes, f"{total:.1f}", f"{rest:.1f}", met(total, TARGET_PERCENT)))
    rows.append(("load of the machine", "", f"{load:.1f}", f"{quiet_load:.1f}", ""))
    columns = ("lab after the walk", "processes", "with emojivoto's robot", "without it", "target")
    print_table(f"Idle: CPU in % of a core, over {seconds:.0f} s", columns, rows)


def _measured(home: Home, seconds: float) -> tuple[dict[str, Cpu], float]:
    time.sleep(SETTLE_S)
    shares = cpu_by_kind(home, seconds)
    return {kind: shares.get(kind, Cpu(0, 0.0)) for kind in KINDS}, os.getloadavg()[0]


def _share(shares: dict[str, Cpu], kind: str) -> str:
    return f"{shares[kind].percent:.2f}"


def _stop_robots(home: Home) -> None:
    kubeconfig = next(home.folder.glob("*/kubeconfig"))
    for context in ("west", "east"):
        connection = Server(kubeconfig, context).connect()
        try:
            scale = connection.ask_json("GET", ROBOT)
        except RuntimeError:  # this cluster has none
            continue
        connection.ask_json("PUT", ROBOT, scale | {"spec": {"replicas": 0}})
