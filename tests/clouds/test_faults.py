"""Each fault of the account, while a lab comes up and while it goes down."""

import re
from pathlib import Path

import pytest

from labkit.embedded.digitalocean.faults import FAULTS
from tests.support import fault_scenarios as scenarios
from tests.support.nasty_account import nasty_account

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "faults.md"


PLAYED = [(s, command) for s in scenarios.SCENARIOS for command in scenarios.COMMANDS]


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    """One account for all: it must be as before after each scenario."""
    with nasty_account(tmp_path_factory.mktemp("account")) as found:
        found.add_decoys()
        yield found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scenario", "command"), PLAYED, ids=lambda value: getattr(value, "title", value)
)
def test_a_fault_is_told_and_nothing_is_left_or_doubled(account, scenario, command):
    row = scenarios.play(account, scenario, command)
    assert row.code == scenario.code.get(command, 0), row.err
    assert scenario.sees.get(command, "") in row.err
    assert "Traceback" not in row.err
    assert (row.left, row.duplicates, row.harmed) == ([], 0, [])


def test_every_switch_has_a_scenario_and_a_line_in_the_documentation():
    played = {scenario.fault["name"] for scenario in scenarios.SCENARIOS}
    assert played == set(FAULTS)
    page = PAGE.read_text()
    for name in FAULTS:
        assert re.search(rf"^\| `{name}` \|", page, re.MULTILINE), name


@pytest.mark.parametrize(
    ("scenario", "command"), PLAYED, ids=lambda value: getattr(value, "title", value)
)
def test_every_scenario_has_a_row_with_nothing_left_and_nothing_doubled(scenario, command):
    rows = [line.split(" | ") for line in PAGE.read_text().splitlines()]
    found = [row for row in rows if row[0] == f"| {scenario.title}" and row[2] == f"`{command}`"]
    assert len(found) == 1
    assert found[0][-2:] == ["0", "0 |"]
