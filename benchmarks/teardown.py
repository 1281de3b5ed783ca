"""Does a random lab in a nasty account ever leave anything behind? 200 runs, each from its seed.

The account is emulated, with decoys of look-alike names and tags, random faults, and commands that
are killed at a random request (tests/support/random_teardowns.py). Not a measurement of time.
"""

import os
import tempfile
import time
from pathlib import Path

from benchmarks.measuring import print_table
from tests.support import random_teardowns as teardowns

RUNS, QUICK_RUNS = 200, 20
FIRST_SEED = int(os.environ.get("LABKIT_FIRST_SEED", "1"))


def run(*, quick: bool) -> None:
    """Print the table, and every run that went wrong with its story.

    Raises:
        RuntimeError: something was left, doubled or harmed.
    """
    runs = int(os.environ.get("LABKIT_RANDOM_TEARDOWNS") or (QUICK_RUNS if quick else RUNS))
    outcomes, wrong = [], []
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="labkit-bench-") as folder,
        teardowns.nasty.nasty_account(Path(folder)) as account,
    ):
        account.add_decoys()
        for seed in range(FIRST_SEED, FIRST_SEED + runs):
            outcomes.append(teardowns.run(account, seed))
            told = teardowns.problems(outcomes[-1])
            wrong += told
            for text in told:
                print(text, flush=True)
        requests = account.requests
    rows = [
        ("runs (up, down, each with random faults)", len(outcomes)),
        ("commands killed at a random request", sum(item.kills for item in outcomes)),
        ("requests that the account has answered", requests),
        ("runs that left something after `down`", sum(bool(item.left) for item in outcomes)),
        ("runs whose `audit` found something", sum(bool(item.audit) for item in outcomes)),
        ("clusters created twice", sum(item.duplicates for item in outcomes)),
        ("decoys touched", sum(len(item.harmed) for item in outcomes)),
        ("minutes", f"{(time.monotonic() - started) / 60:.1f}"),
    ]
    seeds = f"seeds {FIRST_SEED} to {FIRST_SEED + runs - 1}"
    print_table(f"Random teardowns ({seeds})", ("what", "n"), rows)
    if wrong:
        raise RuntimeError(f"{len(wrong)} of {runs} runs went wrong")
