"""Quotes and charges: hand-computed examples, from the prices that the emulated API asks."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from labkit.clients.digitalocean import DigitalOcean
from labkit.clients.digitalocean_values import ClusterSpec
from labkit.clients.lab_tags import lab_tags
from labkit.clouds import charges
from labkit.clouds.costs import HOURS_PER_MONTH, Line, Price, Quote, load_balancer_price, usd


@pytest.fixture
def client(digitalocean):
    found = DigitalOcean(
        digitalocean.token, endpoint=digitalocean.endpoint, ca_file=digitalocean.ca_file
    )
    yield found
    found.close()


# nodes per cluster, size, USD an hour, USD for four hours, USD a month; computed by hand from
# 0.03571 (24 a month), 0.14286 (96) and 0.02679 (18) a node, 0.01786 (12) a load balancer
EXAMPLES = [
    (3, "s-2vcpu-4gb", "0.24998", "0.99992", 168),
    (3, "s-8vcpu-16gb", "0.89288", "3.57152", 600),
    (1, "s-2vcpu-2gb", "0.0893", "0.3572", 60),
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example[1])
def test_a_quote_is_what_one_computes_by_hand(client, example):
    nodes, size, hour, run, month = example
    quote = charges.quote(client, node_size=size, node_count=nodes, billed=True)
    assert quote.usd_per_hour == Decimal(hour)
    assert quote.usd_for(4.0) == Decimal(run)
    assert quote.usd_per_month == month
    assert [line.count for line in quote.lines] == [2 * nodes, 2]


def test_a_quote_names_source_and_time_of_its_prices(client):
    node, balancer = charges.quote(client, node_size="s-2vcpu-4gb", node_count=3, billed=True).lines
    assert node.price.source == f"{client.endpoint}/v2/sizes"
    read = datetime.fromisoformat(node.price.seen)
    assert abs((datetime.now(UTC) - read).total_seconds()) < 60
    assert "list-prices.yaml" in balancer.price.source


def test_a_month_costs_no_more_than_its_monthly_price():
    price = Price(Decimal("0.03571"), Decimal(24), source="a test", seen="2026-11-25")
    assert price.usd_for(Decimal(100)) == Decimal("3.571")
    assert price.usd_for(Decimal(HOURS_PER_MONTH)) == 24  # not 26.07
    assert price.usd_for(Decimal(HOURS_PER_MONTH + 1)) == Decimal("26.10401")  # below two months
    assert price.usd_for(Decimal(2 * HOURS_PER_MONTH)) == 48


def test_decimals_do_not_drift_as_floats_would():
    price = Price(Decimal("0.1"), Decimal(1000), source="a test", seen="2026-11-25")
    quote = Quote((Line("things", 3, price),), billed=True, text="")
    assert str(quote.usd_per_hour) == "0.3"
    assert str(quote.usd_for(0.1)) == "0.03"


def test_amounts_for_people_are_cents_and_never_hide_that_something_costs():
    assert [usd(Decimal(text)) for text in ("0", "0.004", "0.006", "12.345")] == [
        "0.00",
        "< 0.01",
        "0.01",
        "12.34",
    ]


def test_the_monthly_price_of_a_load_balancer_is_672_of_its_hours():
    price = load_balancer_price()
    assert abs(price.usd_per_hour * 672 - price.usd_per_month) < Decimal("0.01")


def test_a_lab_is_charged_for_what_it_has_since_it_was_created(client):
    for name, region in (("demo-west", "sfo3"), ("demo-east", "syd1")):
        tags = lab_tags("demo", cluster=name, nonce="00ff", ttl_hours=4)
        client.create_cluster(
            ClusterSpec(name, region, "1.36.2-do.0", "s-2vcpu-4gb", node_count=3, tags=tags)
        )
    found = charges.charges(client, client.clusters(), node_count=3)
    assert {charge.what for charge in found} == {
        "demo-west: nodes s-2vcpu-4gb in sfo3",
        "demo-east: nodes s-2vcpu-4gb in syd1",
    }
    for charge in found:
        assert charge.count == 3
        assert charge.price.usd_per_hour == Decimal("0.03571")
        assert abs((datetime.now(UTC) - charge.since).total_seconds()) < 60


def test_without_clusters_nothing_is_charged_and_no_price_is_asked(client, digitalocean):
    assert charges.charges(client, (), node_count=3) == ()
    assert digitalocean.exchanges == []
