"""Whatever fails and whoever is killed: after `down` nothing of the lab is left, and only that.

`LABKIT_RANDOM_TEARDOWNS=200` runs as many; `python -m benchmarks teardown` does it with figures.
"""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

RUNS = int(os.environ.get("LABKIT_RANDOM_TEARDOWNS", "6"))
FIRST_SEED = 20_230_711


def load(name):
    if name not in sys.modules:
        path = Path(__file__).parents[1] / f"{name}.py"
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.mark.slow
@pytest.mark.timeout(120 + 30 * RUNS)
def test_after_down_nothing_is_left_and_nothing_else_was_touched(tmp_path):
    nasty, random_teardowns = load("nasty_account"), load("random_teardowns")
    wrong, kills = [], 0
    with nasty.nasty_account(tmp_path) as account:
        account.add_decoys()
        for seed in range(FIRST_SEED, FIRST_SEED + RUNS):
            outcome = random_teardowns.run(account, seed)
            wrong += random_teardowns.problems(outcome)
            kills += outcome.kills
    assert wrong == []
    assert kills > 0
