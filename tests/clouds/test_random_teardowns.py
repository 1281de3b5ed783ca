"""Whatever fails and whoever is killed: after `down` nothing of the lab is left, and only that.

`LABKIT_RANDOM_TEARDOWNS=200` runs as many; `python -m benchmarks teardown` does it with figures.
"""

import os

import pytest

from tests.support import nasty_account as nasty
from tests.support import random_teardowns

RUNS = int(os.environ.get("LABKIT_RANDOM_TEARDOWNS", "6"))
FIRST_SEED = 20_230_711


@pytest.mark.slow
@pytest.mark.timeout(120 + 30 * RUNS)
def test_after_down_nothing_is_left_and_nothing_else_was_touched(tmp_path):
    wrong, kills = [], 0
    with nasty.nasty_account(tmp_path) as account:
        account.add_decoys()
        for seed in range(FIRST_SEED, FIRST_SEED + RUNS):
            outcome = random_teardowns.run(account, seed)
            wrong += random_teardowns.problems(outcome)
            kills += outcome.kills
    assert wrong == []
    assert kills > 0
