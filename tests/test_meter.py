"""The meter: creation times and prices, kept beside the lab, corrected by each reading."""

import json
import stat
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from labkit.clouds import Costs, Meter
from labkit.clouds.costs import Charge, Price
from labkit.clouds.meter import Entry
from labkit.folder import LabFolder
from labkit.lab import Lab
from labkit.params import Params
from labkit.runs import receipt, report, summary
from labkit.runs.folder import RunFolder

NODE = Price(Decimal("0.03571"), Decimal(24), source="https://api/v2/sizes", seen="2026-11-25")
START = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def charge(name, *, since=START, count=3, price=NODE):
    return Charge(name, f"{name}: nodes", count, price, since)


def costs(*entries, hours, billed=True):
    return Costs("digitalocean", billed, entries, START + timedelta(hours=hours))


def test_cost_so_far_is_count_times_price_times_hours():
    found = costs(Entry(charge("west")), Entry(charge("east")), hours=1.5)
    assert found.usd == Decimal("0.32139")  # 6 x 0.03571 x 1.5
    assert found.usd_per_hour == Decimal("0.21426")
    assert str(found) == (
        "Cost so far: 0.32 USD since 2026-11-25 12:00 UTC, now 0.21 USD an hour "
        "(list prices of digitalocean)"
    )


def test_what_has_ended_costs_nothing_more():
    entry = Entry(charge("west"), until=START + timedelta(hours=1))
    assert costs(entry, hours=1).usd == costs(entry, hours=100).usd == Decimal("0.10713")
    assert costs(entry, hours=100).usd_per_hour == 0


def test_a_forgotten_node_costs_its_monthly_price_and_no_more():
    assert costs(Entry(charge("west", count=1)), hours=730).usd == 24


def test_the_same_path_shows_0_where_nothing_is_billed():
    found = costs(Entry(charge("west")), hours=1, billed=False)
    assert str(found) == "Cost so far: 0.00 USD (nothing is billed on digitalocean)"
    assert (found.usd, found.list_usd) == (0, Decimal("0.10713"))


@pytest.fixture
def meter(tmp_path):
    return Meter(tmp_path / "costs.json", "digitalocean", bills=True)


def test_a_reading_ends_what_is_gone_and_keeps_when_it_began(meter):
    meter.update([charge("west"), charge("east")])
    found = meter.update([charge("east")])
    until = {entry.charge.id: entry.until for entry in found.entries}
    assert until["east"] is None
    assert abs(datetime.now(UTC) - until["west"]) < timedelta(seconds=60)
    assert all(entry.charge.since == START for entry in found.entries)
    first = until["west"]
    assert {e.charge.id: e.until for e in meter.update([]).entries}["west"] == first
    assert stat.S_IMODE(meter.path.stat().st_mode) == 0o600


def test_without_a_reading_nothing_is_known_and_nothing_is_written(meter):
    assert meter.read().entries == ()
    assert str(meter.read()) == (
        "Cost so far: 0.00 USD (nothing of this lab exists on digitalocean)"
    )
    meter.update([])
    assert not meter.path.exists()


@pytest.mark.parametrize("text", ["{", "[{}]", ""])
def test_a_damaged_meter_is_made_anew_by_the_next_reading(meter, text):
    meter.path.write_text(text)
    assert meter.read().entries == ()
    assert len(meter.update([charge("west")]).entries) == 1


def test_a_cloud_that_does_not_answer_leaves_the_meter_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    for name in ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    lab = Lab.of(Params(cloud="digitalocean"))
    LabFolder.of("demo").prepare()
    lab.meter.update([charge("west")])
    assert [entry.until for entry in lab.read_meter().entries] == [None]


def test_a_receipt_tells_what_for_how_long_at_which_price(tmp_path):
    found = costs(Entry(charge("west"), until=START + timedelta(minutes=30)), hours=2)
    folder = RunFolder.create(tmp_path, Params())
    content = receipt.write(folder, found)
    assert json.loads(folder.receipt.read_text()) == content
    assert (content["schema"], content["usd"]) == ("labkit.receipt/1", "0.05356")  # 0.053565
    (item,) = content["items"]
    assert (item["hours"], item["usd_per_hour"], item["source"]) == (
        "0.5000",
        "0.03571",
        "https://api/v2/sizes",
    )
    assert item["since"] == "2026-11-25T12:00:00Z"
    assert receipt.in_summary(found) == {"billed": True, "usd": 0.053565, "list_usd": 0.053565}


def test_the_report_shows_the_receipt_with_source_and_time_of_its_prices(tmp_path):
    folder = RunFolder.create(tmp_path, Params())
    content = summary.build(folder, Params(), timings={}, teardown={}, error=None)
    folder.summary.write_text(json.dumps(content))
    receipt.write(folder, costs(Entry(charge("west")), hours=2))
    page = report.write(folder, content).read_text()
    for text in ("west: nodes", "0.21426 USD billed", "https://api/v2/sizes", "2026-11-25"):
        assert text in page
    receipt.write(folder, costs(hours=0, billed=False))
    assert "0.00000 USD billed" in report.write(folder, content).read_text()


def test_the_command_shows_what_is_known_and_asks_nothing_of_a_lab_that_is_down(home):
    folder = LabFolder(home.root / "demo")
    folder.write_params(Params())
    done = home.run("cost")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Cost so far: 0.00 USD (nothing is billed on embedded)\n"
    assert home.json("cost")["usd"] == "0.00000"
    done = home.run("cost", "-p", "node_count=1")
    assert done.returncode == 2
    assert "give --quote too" in done.stderr


@pytest.mark.slow
def test_a_quote_leaves_nothing_running_and_no_lab(home):
    found = home.json("cost", "--quote", "-p", "node_count=2")
    assert (found["usd_per_hour"], found["usd_per_ttl"]) == ("0.17856", "0.714240")
    assert found["billed"] is False
    assert list(home.root.iterdir()) == []
    assert home.processes() == []
