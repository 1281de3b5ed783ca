"""Which Kubernetes a Linkerd version needs, from the table in labkit/data."""

import re
from importlib.resources import files

import yaml

_TABLE = "linkerd-kubernetes.yaml"


def numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version: `v1.36.2-do.0` is (1, 36, 2), `edge-26.6.3` is (26, 6, 3)."""
    found = re.search(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def minimum_kubernetes(linkerd: str) -> str | None:
    """The oldest Kubernetes (as `1.31`) for `edge-26.6.3` or `stable-2.13.4`; None if unknown."""
    rows = yaml.safe_load((files("labkit") / "data" / _TABLE).read_text())
    known, is_edge = numbers(linkerd), linkerd.startswith("edge-")
    best: str | None = None
    for row in rows:
        first = numbers(str(row.get("first_edge", "")))
        if (is_edge and first and known >= first) or (
            not is_edge and known[:2] >= numbers(row["linkerd"])
        ):
            best = str(row["minimum"])
    return best


def supports(linkerd: str, kubernetes: str) -> tuple[bool, str]:
    """Whether a Linkerd version supports a Kubernetes version, and why in words."""
    minimum = minimum_kubernetes(linkerd)
    if minimum is None:
        return True, f"Kubernetes {kubernetes}; the minimum of {linkerd} is not known"
    text = f"Kubernetes {kubernetes}; {linkerd} needs {minimum} or newer"
    return numbers(kubernetes)[:2] >= numbers(minimum), text
