"""Prices and charges of DigitalOcean's wire: what `/v2/sizes` asks, and what a lab has there.

Deliberately absent: what to do about it.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

from labkit.clients.digitalocean import DigitalOcean
from labkit.clients.digitalocean_values import Cluster, Size
from labkit.clouds.costs import Charge, Line, Price, Quote, load_balancer_price, now_text
from labkit.errors import InputError

CLUSTERS = 2
LOAD_BALANCERS_PER_CLUSTER = 1
"""Of its gateway."""


def size_prices(sizes: Iterable[Size], *, endpoint: str) -> dict[str, Price]:
    """Size slug → price, as the API has just said."""
    seen = now_text()
    return {
        size.slug: Price(
            # the shortest text of the float is the number that the API wrote
            Decimal(str(size.price_hourly_usd)),
            Decimal(str(size.price_monthly_usd)),
            source=f"{endpoint}/v2/sizes",
            seen=seen,
        )
        for size in sizes
    }


def quote(client: DigitalOcean, *, node_size: str, node_count: int, billed: bool) -> Quote:
    """What two clusters of such nodes and their gateways' load balancers would cost.

    Raises:
        InputError: no such size is offered.
    """
    prices = size_prices(client.sizes(), endpoint=client.endpoint)
    node = prices.get(node_size)
    if node is None:
        raise InputError(
            "Parameters do not fit the cloud",
            problems=[f"node_size: `{node_size}` is not offered"],
            fix=f"choose one of {', '.join(sorted(prices)[:8])} …",
        )
    balancer = load_balancer_price()
    balancers = CLUSTERS * LOAD_BALANCERS_PER_CLUSTER
    text = (
        f"{CLUSTERS} clusters x {node_count} nodes {node_size} at {node.usd_per_hour} USD/h "
        f"+ {balancers} load balancers at {balancer.usd_per_hour} USD/h"
    )
    lines = (
        Line(f"nodes {node_size}", CLUSTERS * node_count, node),
        Line("load balancers", balancers, balancer),
    )
    return Quote(lines, billed=billed, text=text)


def charges(
    client: DigitalOcean, clusters: Iterable[Cluster], *, node_count: int
) -> tuple[Charge, ...]:
    """What the account is charged for these clusters now, their load balancers included.

    Args:
        client: the account.
        clusters: the lab's.
        node_count: of a cluster that does not list its nodes yet.
    """
    own = tuple(clusters)
    if not own:
        return ()
    prices = size_prices(client.sizes(), endpoint=client.endpoint)
    created = {item.id: item.created_at for item in client.resources.load_balancers()}
    found = []
    for cluster in own:
        if cluster.node_size in prices:
            found.append(
                Charge(
                    cluster.id,
                    f"{cluster.name}: nodes {cluster.node_size} in {cluster.region}",
                    len(cluster.node_names) or node_count,
                    prices[cluster.node_size],
                    _time(cluster.created_at),
                )
            )
        found += [
            Charge(
                balancer,
                f"{cluster.name}: load balancer in {cluster.region}",
                1,
                load_balancer_price(),
                _time(created.get(balancer, "")),
            )
            for balancer in client.associated_resources(cluster.id).load_balancers
        ]
    return tuple(found)


def _time(text: str) -> datetime:
    """A time of the API; now when it does not say one."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return datetime.now(UTC)
