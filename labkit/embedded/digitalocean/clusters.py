"""Kubernetes clusters of the account: what a request may ask, how a cluster is shown.

Rules and shapes only, on plain dicts; `state.py` stores them and moves them on. Fields that
labkit does not emulate (autoscaler, plugins, firewall) are accepted nowhere and shown nowhere.
"""

import base64
import ipaddress
import re
import secrets
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml

from labkit.embedded.digitalocean import catalog
from labkit.embedded.digitalocean.errors import unprocessable

_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_TAG = re.compile(r"[A-Za-z0-9:_-]{1,255}\Z")
_MAX_CLUSTERS = 12
_CREDENTIALS_DAYS = 7


def now_text() -> str:
    """Return the time as the API writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_cluster(
    body: Mapping[str, Any], existing: Iterable[Mapping[str, Any]], *, unique: bool = True
) -> dict[str, Any]:
    """Make the API's view of a new cluster.

    Args:
        body: the request.
        existing: views of the clusters there are.
        unique: whether the name of another cluster is refused.

    Raises:
        ApiError: 422, what does not fit.
    """
    others = list(existing)
    cluster_id = str(uuid.uuid4())
    tags = valid_tags(body.get("tags", []))
    return {
        "id": cluster_id,
        "name": _valid_name(body.get("name"), others if unique else []),
        "region": _valid_region(body.get("region")),
        "version": _valid_version(body.get("version")),
        **_subnets(body, others),
        "vpc_uuid": str(uuid.uuid4()),
        "ipv4": "",
        "endpoint": "",
        "tags": [*dict.fromkeys([*tags, "k8s", f"k8s:{cluster_id}"])],
        "node_pools": _node_pools(body.get("node_pools"), cluster_id, tags),
        "maintenance_policy": {"start_time": "00:00", "duration": "4h0m0s", "day": "any"},
        "auto_upgrade": bool(body.get("auto_upgrade", False)),
        "surge_upgrade": bool(body.get("surge_upgrade", False)),
        "ha": bool(body.get("ha", False)),
        "registry_enabled": False,
        "status": {"state": "provisioning", "message": ""},
        "created_at": now_text(),
        "updated_at": now_text(),
    }


def _valid_name(name: Any, others: list[Mapping[str, Any]]) -> str:
    if not isinstance(name, str) or not _NAME.match(name):
        raise unprocessable("validation error: invalid cluster name: must be a DNS label")
    if any(other["name"] == name for other in others):
        raise unprocessable("a cluster with this name already exists")
    return name


def _valid_region(region: Any) -> str:
    if not isinstance(region, str) or region not in catalog.REGION_NAMES:
        raise unprocessable("validation error: invalid region")
    return region


def _valid_version(version: Any) -> str:
    slug = catalog.resolve_version(version) if isinstance(version, str) else None
    if slug is None:
        raise unprocessable("validation error: invalid version slug")
    return slug


def valid_tags(tags: Any) -> list[str]:
    """Return the tags of a request.

    Raises:
        ApiError: 422, a tag has characters that tags do not have.
    """
    if not isinstance(tags, list) or not all(isinstance(t, str) and _TAG.match(t) for t in tags):
        raise unprocessable(
            "validation error: invalid tags: letters, numbers, colons, dashes and underscores only"
        )
    return list(tags)


def _subnets(body: Mapping[str, Any], others: list[Mapping[str, Any]]) -> dict[str, str]:
    """Pods get the next free /16 from 10.244 on; services have the same /16 in every cluster."""
    taken = {other["cluster_subnet"] for other in others}
    free = [f"10.{244 + n}.0.0/16" for n in range(_MAX_CLUSTERS)]
    free = [subnet for subnet in free if subnet not in taken]
    if not free:
        raise unprocessable("you have reached the limit of clusters of your account")
    wanted = {
        "cluster_subnet": body.get("cluster_subnet") or free[0],
        "service_subnet": body.get("service_subnet") or "10.96.0.0/16",
    }
    for key, value in wanted.items():
        try:
            ipaddress.IPv4Network(value)
        except ValueError:
            raise unprocessable(f"validation error: invalid {key}") from None
    return wanted


def _node_pools(pools: Any, cluster_id: str, tags: list[str]) -> list[dict[str, Any]]:
    if not isinstance(pools, list) or not pools:
        raise unprocessable("validation error: at least one node pool is required")
    return [_node_pool(pool, cluster_id, tags) for pool in pools]


def _node_pool(pool: Any, cluster_id: str, tags: list[str]) -> dict[str, Any]:
    if not isinstance(pool, dict) or not _NAME.match(str(pool.get("name", ""))):
        raise unprocessable("validation error: invalid node pool name")
    if pool.get("size") not in catalog.node_sizes():
        raise unprocessable("validation error: invalid size slug in node pool")
    count = pool.get("count")
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= 512:
        raise unprocessable("validation error: node pool count must be between 0 and 512")
    own = valid_tags(pool.get("tags", []))
    return {
        "id": str(uuid.uuid4()),
        "name": pool["name"],
        "size": pool["size"],
        "count": count,
        "tags": [*dict.fromkeys([*own, *tags, "k8s", f"k8s:{cluster_id}", "k8s:worker"])],
        "labels": pool.get("labels"),
        "taints": pool.get("taints", []),
        "auto_scale": False,
        "min_nodes": 0,
        "max_nodes": 0,
        "nodes": [_node(pool["name"], number) for number in range(count)],
    }


def _node(pool: str, number: int) -> dict[str, Any]:
    suffix = secrets.token_hex(2) + chr(ord("a") + number % 26)
    return {
        "id": str(uuid.uuid4()),
        "name": f"{pool}-{suffix}",
        "status": {"state": "provisioning"},
        "droplet_id": str(200_000_000 + secrets.randbelow(99_999_999)),
        "created_at": now_text(),
        "updated_at": now_text(),
    }


def mark_running(record: dict[str, Any], endpoint: str) -> None:
    """Move a view to `running`, nodes included."""
    record["status"] = {"state": "running", "message": ""}
    record["endpoint"] = endpoint
    host = endpoint.removeprefix("https://").partition(":")[0]
    record["ipv4"] = host
    for pool in record["node_pools"]:
        for node in pool["nodes"]:
            node["status"] = {"state": "running"}


def mark_failed(record: dict[str, Any]) -> None:
    """Move a view to `error`: its nodes were never provisioned."""
    message = "provisioning failed: the nodes could not be created"
    record["status"] = {"state": "error", "message": message}


def mark_deleting(record: dict[str, Any]) -> None:
    """Move a view to `deleting`."""
    record["status"] = {"state": "deleting", "message": ""}
    for pool in record["node_pools"]:
        for node in pool["nodes"]:
            node["status"] = {"state": "deleting"}


def credentials(record: Mapping[str, Any], material: Mapping[str, str]) -> dict[str, Any]:
    """Return what `GET …/credentials` answers."""
    expires = datetime.now(UTC) + timedelta(days=_CREDENTIALS_DAYS)
    return {
        "server": record["endpoint"],
        "certificate_authority_data": _b64(material["ca_pem"]),
        "client_certificate_data": None,
        "client_key_data": None,
        "token": material["token"],
        "expires_at": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def kubeconfig(record: Mapping[str, Any], material: Mapping[str, str]) -> str:
    """Return the kubeconfig as YAML, with DigitalOcean's names for cluster, user and context."""
    cluster = f"do-{record['region']}-{record['name']}"
    user = f"{cluster}-admin"
    server = {
        "certificate-authority-data": _b64(material["ca_pem"]),
        "server": record["endpoint"],
    }
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "preferences": {},
        "current-context": cluster,
        "clusters": [{"name": cluster, "cluster": server}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": user}}],
        "users": [{"name": user, "user": {"token": material["token"]}}],
    }
    return yaml.safe_dump(config, sort_keys=False)


def _b64(pem: str) -> str:
    return base64.b64encode(pem.encode()).decode()
