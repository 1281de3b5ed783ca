"""What does a lab burn after the whole walk when nobody does anything?

CPU time of every process of the lab. Emojivoto's robot goes on voting once a second, which is the
application's own load; so it is measured with the robot, and again without.
"""

import time

from benchmarks.measuring import Home, cpu_by_kind, met, print_table, temporary_home
from benchmarks.raw_client import Server

TARGET_PERCENT = 5.0
SETTLE_S = 30.0
ROBOT = "/apis/apps/v1/namespaces/emojivoto/deployments/vote-bot/scale"


def run(*, quick: bool) -> None:
    """Print the table."""
    seconds = 20.0 if quick else 60.0
    with temporary_home() as home:
        options = ("measure_seconds=15", "warmup_seconds=10", "load_rate=0")
        flags = [word for option in options for word in ("-p", option)]
        home.labkit("run", *flags, "--keep", "--runs", str(home.folder / "runs"))
        rows = [_row(home, "with emojivoto's robot", seconds)]
        _stop_robots(home)
        rows.append(_row(home, "without it", seconds))
    columns = ("lab after the walk", "CPU, % of a core", "daemon", "Envoys", "programs", "relay")
    print_table(f"Idle, over {seconds:.0f} s", (*columns, "target"), rows)


def _row(home: Home, title: str, seconds: float) -> tuple[object, ...]:
    time.sleep(SETTLE_S)
    shares = cpu_by_kind(home, seconds)
    parts = [f"{shares.get(kind, 0.0):.1f}" for kind in ("daemon", "envoys", "programs", "relay")]
    total = sum(shares.values())
    return (title, f"{total:.1f}", *parts, met(total, TARGET_PERCENT))


def _stop_robots(home: Home) -> None:
    kubeconfig = next(home.folder.glob("*/kubeconfig"))
    for context in ("west", "east"):
        connection = Server(kubeconfig, context).connect()
        try:
            scale = connection.ask_json("GET", ROBOT)
        except RuntimeError:  # this cluster has none
            continue
        connection.ask_json("PUT", ROBOT, scale | {"spec": {"replicas": 0}})
