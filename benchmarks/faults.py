"""What does a user see when the account is nasty? One row for each fault and command.

Not a measurement of time: docs/faults.md holds this table, and tests play the same scenarios.
"""

import tempfile
from pathlib import Path

from tests.support import fault_scenarios as scenarios


def run(*, quick: bool) -> None:
    """Print the table; `quick` makes no difference."""
    del quick
    with (
        tempfile.TemporaryDirectory(prefix="labkit-bench-") as folder,
        scenarios.nasty.nasty_account(Path(folder)) as account,
    ):
        account.add_decoys()
        rows = [
            scenarios.play(account, scenario, command)
            for scenario in scenarios.SCENARIOS
            for command in scenarios.COMMANDS
        ]
        print(f"\n{scenarios.markdown(rows)}", flush=True)
