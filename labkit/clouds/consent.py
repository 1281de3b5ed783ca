"""Nobody pays for what he has not agreed to: a cap and a consent before anything is created.

Both matter on clouds that bill; elsewhere nothing is asked. Deliberately absent: how consent is
asked for (the command line does that), and keeping it: it is given anew for every lab.
"""

from decimal import Decimal

from labkit.clouds.costs import Quote, usd
from labkit.clouds.interface import Cloud
from labkit.errors import StateError
from labkit.params import Params


def affordable(cloud: Cloud, params: Params) -> Quote:
    """The quote, if the lab's time to live costs no more than the cap.

    Raises:
        StateError: above `max_cost_usd`.
    """
    quote = cloud.quote()
    due = quote.usd_for(params.ttl_hours)
    cap = params.max_cost_usd
    if quote.billed and cap is not None and due > Decimal(str(cap)):
        raise StateError(
            f"The lab would cost {usd(due)} USD in its {params.ttl_hours:g} hours, above "
            f"max_cost_usd {cap:g}; nothing was created",
            seen=quote.text,
            fix="fewer or smaller nodes (node_count, node_size), a shorter ttl_hours, or a "
            "higher max_cost_usd",
        )
    return quote


def require_consent(cloud: Cloud, params: Params) -> None:
    """Let pass what costs nothing, and what is within the cap and agreed to.

    Raises:
        StateError: above the cap, or nobody has agreed; nothing was created.
    """
    if not cloud.bills:
        return
    quote = affordable(cloud, params)
    if params.approve_cost:
        return
    raise StateError(
        f"The lab would cost {usd(quote.usd_for(params.ttl_hours))} USD in its "
        f"{params.ttl_hours:g} hours, and nobody has agreed to that; nothing was created",
        seen=f"{quote.text}; {usd(quote.usd_per_hour)} USD an hour, "
        f"{usd(quote.usd_per_month)} USD a month",
        fix="`labkit up --yes` or `labkit run --yes`; in a params file approve_cost: true; in a "
        "notebook open_lab(…, approve_cost=True)",
    )
