"""How long does `labkit up` take from nothing, until two clusters run with all nodes Ready?

Each round starts in an empty LABKIT_HOME. That the nodes are Ready is proved by chapter 01's own
checks, outside the measured time.
"""

import statistics

from benchmarks.measuring import median, met, print_table, temporary_home

TARGET_S = 5.0


def run(*, quick: bool) -> None:
    """Print the table."""
    rounds = 2 if quick else 5
    up, again, down = [], [], []
    for _ in range(rounds):
        with temporary_home() as home:
            up.append(home.seconds("up"))
            home.labkit("check", "01")
            again.append(home.seconds("up"))
            down.append(home.seconds("down"))
    rows = [
        (
            "`labkit up`, nothing there before",
            median(up),
            rounds,
            met(statistics.median(up), TARGET_S),
        ),
        ("`labkit up`, already up", median(again), rounds, "-"),
        ("`labkit down`", median(down), rounds, "-"),
    ]
    print_table("Up and down", ("command", "s, median (range)", "n", "target, s"), rows)
