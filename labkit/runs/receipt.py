"""The receipt of a run: what it had that has a price, for how long, and what that comes to.

It is made of the lab's meter, whose prices carry their source and the time they were read. The
cloud's own invoice is what counts. Deliberately absent: taxes and traffic.
"""

import json
from typing import Any

from labkit.clouds import Costs
from labkit.runs.folder import RunFolder

SCHEMA = "labkit.receipt/1"
NOT_BILLED = "Nothing of this was billed; the amounts are list prices of the same things."
BILLED = "List price times time; taxes and traffic are not in it, and the cloud's invoice counts."


def build(costs: Costs) -> dict[str, Any]:
    """The receipt for programs; USD as text, because floats are no money."""
    note = BILLED if costs.billed else NOT_BILLED
    return {"schema": SCHEMA, **costs.to_json(), "note": note}


def write(folder: RunFolder, costs: Costs) -> dict[str, Any]:
    """Write receipt.json.

    Returns:
        Its content.
    """
    content = build(costs)
    folder.receipt.write_text(json.dumps(content, indent=1))
    return content


def items(folder: RunFolder) -> list[dict[str, Any]]:
    """What an earlier attempt of the run had; nothing when there was none, or it was killed."""
    try:
        return list(json.loads(folder.receipt.read_text())["items"])
    except (OSError, ValueError, KeyError, TypeError):
        return []


def in_summary(costs: Costs) -> dict[str, Any]:
    """What summary.json says of it."""
    return {
        "billed": costs.billed,
        "usd": float(costs.usd),
        "list_usd": float(costs.list_usd),
    }
