"""What the embedded DigitalOcean offers: regions, sizes with their list prices, versions.

Constant data, shaped as the API answers it. It is not fetched from anywhere and ages with the
package; prices serve quotes of the embedded cloud, real quotes ask the real API.
"""

from typing import Any

_FEATURES = ["backups", "ipv6", "metadata", "install_agent", "storage", "image_transfer"]

REGION_NAMES = {
    "nyc1": "New York 1",
    "nyc3": "New York 3",
    "ams3": "Amsterdam 3",
    "sfo2": "San Francisco 2",
    "sfo3": "San Francisco 3",
    "sgp1": "Singapore 1",
    "lon1": "London 1",
    "fra1": "Frankfurt 1",
    "tor1": "Toronto 1",
    "blr1": "Bangalore 1",
    "syd1": "Sydney 1",
}

# slug, vCPUs, memory MiB, disk GiB, transfer TiB, USD a month, USD an hour, description
_SIZES = (
    ("s-1vcpu-1gb", 1, 1024, 25, 1.0, 6.0, 0.00893, "Basic"),
    ("s-1vcpu-2gb", 1, 2048, 50, 2.0, 12.0, 0.01786, "Basic"),
    ("s-2vcpu-2gb", 2, 2048, 60, 3.0, 18.0, 0.02679, "Basic"),
    ("s-2vcpu-4gb", 2, 4096, 80, 4.0, 24.0, 0.03571, "Basic"),
    ("s-2vcpu-4gb-amd", 2, 4096, 80, 4.0, 28.0, 0.04167, "Basic AMD"),
    ("c-2", 2, 4096, 25, 4.0, 42.0, 0.0625, "CPU-Optimized"),
    ("s-4vcpu-8gb", 4, 8192, 160, 5.0, 48.0, 0.07143, "Basic"),
    ("s-4vcpu-8gb-amd", 4, 8192, 160, 5.0, 56.0, 0.08333, "Basic AMD"),
    ("g-2vcpu-8gb", 2, 8192, 25, 4.0, 63.0, 0.09375, "General Purpose"),
    ("c-4", 4, 8192, 50, 5.0, 84.0, 0.125, "CPU-Optimized"),
    ("m-2vcpu-16gb", 2, 16384, 50, 4.0, 84.0, 0.125, "Memory-Optimized"),
    ("s-8vcpu-16gb", 8, 16384, 320, 6.0, 96.0, 0.14286, "Basic"),
    ("s-8vcpu-16gb-amd", 8, 16384, 320, 6.0, 112.0, 0.16667, "Basic AMD"),
    ("g-4vcpu-16gb", 4, 16384, 50, 5.0, 126.0, 0.1875, "General Purpose"),
)

_SMALLEST_NODE_MIB = 2048
"""Kubernetes nodes need 2 GB; smaller sizes are sold as Droplets only."""

VERSIONS = (
    {"slug": "1.36.2-do.0", "kubernetes_version": "1.36.2"},
    {"slug": "1.35.6-do.1", "kubernetes_version": "1.35.6"},
    {"slug": "1.34.9-do.1", "kubernetes_version": "1.34.9"},
)
_VERSION_FEATURES = ["cluster-autoscaler", "docr-integration", "ha-control-plane", "token-auth"]


def sizes() -> list[dict[str, Any]]:
    """Return the sizes as `GET /v2/sizes` lists them."""
    return [
        {
            "slug": slug,
            "memory": memory,
            "vcpus": vcpus,
            "disk": disk,
            "transfer": transfer,
            "price_monthly": monthly,
            "price_hourly": hourly,
            "regions": list(REGION_NAMES),
            "available": True,
            "description": description,
            "disk_info": [{"type": "local", "size": {"amount": disk, "unit": "gib"}}],
        }
        for slug, vcpus, memory, disk, transfer, monthly, hourly, description in _SIZES
    ]


def node_sizes() -> list[str]:
    """Return the slugs that a node pool may have."""
    return [size[0] for size in _SIZES if size[2] >= _SMALLEST_NODE_MIB]


def region(slug: str) -> dict[str, Any]:
    """Return one region as the API shows it."""
    return {
        "name": REGION_NAMES[slug],
        "slug": slug,
        "features": list(_FEATURES),
        "available": True,
        "sizes": [size[0] for size in _SIZES],
    }


def regions() -> list[dict[str, Any]]:
    """Return the regions as `GET /v2/regions` lists them."""
    return [region(slug) for slug in REGION_NAMES]


def options() -> dict[str, Any]:
    """Return what `GET /v2/kubernetes/options` answers."""
    return {
        "options": {
            "regions": [{"name": name, "slug": slug} for slug, name in REGION_NAMES.items()],
            "versions": [
                version | {"supported_features": list(_VERSION_FEATURES)} for version in VERSIONS
            ],
            "sizes": [{"name": slug, "slug": slug} for slug in node_sizes()],
        }
    }


def resolve_version(wanted: str) -> str | None:
    """Return the slug for `latest`, `1.36`, `1.36.2` or a slug; None if unknown."""
    for version in VERSIONS:
        slug, full = version["slug"], version["kubernetes_version"]
        if wanted in {"latest", slug, full, full.rpartition(".")[0]}:
            return slug
    return None
