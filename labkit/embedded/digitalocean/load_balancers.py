"""Load balancers of the account: what a request may ask, addresses, how one is shown.

Addresses come from the documentation ranges, one range per region in the order of first use, so
that a capture shows at a glance which side an address belongs to. Bytes are moved elsewhere.
"""

import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from labkit.embedded.digitalocean import catalog
from labkit.embedded.digitalocean.clusters import now_text
from labkit.embedded.digitalocean.errors import not_found, unprocessable
from labkit.embedded.digitalocean.faults import Faults
from labkit.embedded.digitalocean.progression import Progression
from labkit.embedded.digitalocean.store import Store

_KIND = "load_balancer"
_REGION = "region"

_RANGES = ("203.0.113.", "198.51.100.", "192.0.2.")
_FIRST_HOST, _LAST_HOST = 10, 254
_RULE_FIELDS = ("entry_protocol", "entry_port", "target_protocol", "target_port")
_DEFAULTS: dict[str, Any] = {
    "size_unit": 1,
    "algorithm": "round_robin",
    "redirect_http_to_https": False,
    "enable_proxy_protocol": False,
    "enable_backend_keepalive": False,
    "http_idle_timeout_seconds": 60,
    "disable_lets_encrypt_dns_records": False,
    "network": "EXTERNAL",
    "network_stack": "IPV4",
    "type": "REGIONAL",
}
_HEALTH_CHECK = {
    "protocol": "tcp",
    "port": 80,
    "path": "",
    "check_interval_seconds": 10,
    "response_timeout_seconds": 5,
    "unhealthy_threshold": 5,
    "healthy_threshold": 3,
}


class LoadBalancers:
    """The load balancers of an account.

    Args:
        store: where they are kept.
        progression: when a new one becomes active.
        leaving: returns the clusters that are being deleted.
        faults: the account's switches.
    """

    def __init__(
        self,
        store: Store,
        *,
        progression: Progression,
        leaving: Callable[[], list[dict[str, Any]]],
        faults: Faults,
    ) -> None:
        self._store = store
        self._progression = progression
        self._leaving = leaving
        self._faults = faults

    def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create a load balancer.

        Raises:
            ApiError: 422.
        """
        existing = [document["record"] for document in self._store.list(_KIND)]
        index = self.claim_region(region_of(body))
        address = free_address(index, (other["ip"] for other in existing))
        record = new_load_balancer(body, existing, address=address)
        if any(belongs(record, cluster) for cluster in self._leaving()):
            # Its controller may still run for a moment; what it makes now nobody would remove.
            raise unprocessable("the droplets are being destroyed")
        slow = self._faults.take("slow_provisioning")
        document = {
            "id": record["id"],
            "record": record,
            "created": time.time(),
            "not_before_s": slow.seconds if slow else 0.0,
            "reads": 0,
        }
        self._store.put(_KIND, record["id"], document)
        return shown(record)

    def list(self) -> list[dict[str, Any]]:
        """Return all as the API shows them."""
        return [self._view(document) for document in self._store.list(_KIND)]

    def get(self, balancer_id: str) -> dict[str, Any]:
        """Return one as the API shows it.

        Raises:
            ApiError: 404.
        """
        return self._view(self._document(balancer_id))

    def update(self, balancer_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Replace the settings of one; its address stays.

        Raises:
            ApiError: 404, 422.
        """
        document = self._document(balancer_id)
        record = document["record"]
        record.update(settings(body))
        record["name"] = str(body.get("name") or record["name"])
        self._store.put(_KIND, balancer_id, document)
        return self._view(document)

    def delete(self, balancer_id: str) -> None:
        """Delete one.

        Raises:
            ApiError: 404.
        """
        if not self._store.delete(_KIND, balancer_id):
            raise not_found()

    def claim_region(self, region: str) -> int:
        """Return the place of a region in the order of first use, and remember it."""
        used = [document["slug"] for document in self._store.list(_REGION)]
        if region not in used:
            self._store.put(_REGION, region, {"slug": region})
            used.append(region)
        return used.index(region)

    def _document(self, balancer_id: str) -> dict[str, Any]:
        document = self._store.get(_KIND, balancer_id)
        if document is None:
            raise not_found()
        return document

    def _view(self, document: dict[str, Any]) -> dict[str, Any]:
        """Count a read and move it on when it is due."""
        record = document["record"]
        if record["status"] == "new":
            age, reads = time.time() - document["created"], document["reads"]
            due = self._progression.is_due(age_s=age, reads=reads)
            if due and age >= document["not_before_s"]:
                record["status"] = "active"
            document["reads"] = reads + 1
            self._store.put(_KIND, document["id"], document)
        return shown(record)


def belongs(balancer: Mapping[str, Any], cluster: Mapping[str, Any]) -> bool:
    """Whether a load balancer sends to a cluster's nodes: by its tag, or by their ids."""
    droplets = {int(node["droplet_id"]) for pool in cluster["node_pools"] for node in pool["nodes"]}
    by_tag = balancer["tag"] == f"k8s:{cluster['id']}"
    return by_tag or bool(droplets.intersection(balancer["droplet_ids"]))


def new_load_balancer(
    body: Mapping[str, Any], existing: Iterable[Mapping[str, Any]], *, address: str
) -> dict[str, Any]:
    """Make the API's view of a new load balancer, still `new`.

    Raises:
        ApiError: 422, what does not fit.
    """
    name = str(body.get("name", ""))
    if not name or any(other["name"] == name for other in existing):
        raise unprocessable("load balancer name is missing or already in use")
    return {
        "id": str(uuid.uuid4()),
        "name": name,
        "ip": address,
        "status": "new",
        "created_at": now_text(),
        "region": catalog.region(region_of(body)),
        "vpc_uuid": body.get("vpc_uuid") or str(uuid.uuid4()),
        **settings(body),
    }


def region_of(body: Mapping[str, Any]) -> str:
    """Return the region that a request names.

    Raises:
        ApiError: 422, there is no such region.
    """
    region = body.get("region")
    if isinstance(region, dict):  # a view sent back, as clients do on update
        region = region.get("slug")
    if not isinstance(region, str) or region not in catalog.REGION_NAMES:
        raise unprocessable("region is invalid")
    return region


def settings(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a view that a request decides, defaults filled in.

    Raises:
        ApiError: 422, what does not fit.
    """
    rules = body.get("forwarding_rules")
    if not isinstance(rules, list) or not rules:
        raise unprocessable("forwarding_rules must have at least one entry")
    for rule in rules:
        if not isinstance(rule, dict) or any(field not in rule for field in _RULE_FIELDS):
            raise unprocessable(f"a forwarding rule needs {', '.join(_RULE_FIELDS)}")
        if not all(_is_port(rule[field]) for field in ("entry_port", "target_port")):
            raise unprocessable("ports of a forwarding rule must be between 1 and 65535")
    if body.get("tag") and body.get("droplet_ids"):
        raise unprocessable("only one of tag and droplet_ids can be set")
    return {
        **{key: body.get(key, default) for key, default in _DEFAULTS.items()},
        "forwarding_rules": [dict(rule) for rule in rules],
        "health_check": _HEALTH_CHECK | dict(body.get("health_check") or {}),
        "sticky_sessions": dict(body.get("sticky_sessions") or {"type": "none"}),
        "tag": str(body.get("tag") or ""),
        "droplet_ids": list(body.get("droplet_ids") or []),
    }


def _is_port(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65_535


def shown(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a view as clients see it: no address before it is active."""
    return {**record, "ip": record["ip"] if record["status"] == "active" else ""}


def free_address(region_index: int, taken: Iterable[str]) -> str:
    """Return the lowest free address of a region's range.

    Args:
        region_index: place of the region in the order of first use; from the third on, shared.
        taken: addresses in use.

    Raises:
        ApiError: 422, the range is used up.
    """
    prefix = _RANGES[min(region_index, len(_RANGES) - 1)]
    used = set(taken)
    for host in range(_FIRST_HOST, _LAST_HOST + 1):
        if f"{prefix}{host}" not in used:
            return f"{prefix}{host}"
    raise unprocessable("you have reached the limit of load balancers of your account")
