"""Reads kubeconfig: which server, whose credential.

`KUBECONFIG` may name several files; the first to define a cluster, user or context wins, and so
does the first current context. Deliberately absent: exec plugins and auth providers, which the
embedded cloud's kubeconfig does not use; a user who has one is told so.
"""

import base64
import os
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from labkit.embedded.linkerd import reading
from labkit.errors import LabkitError


class KubeconfigError(LabkitError):
    """The kubeconfig is missing, or does not say what is needed."""


@dataclass(frozen=True)
class Endpoint:
    """One context of a kubeconfig.

    Attributes:
        context: its name.
        namespace: its default namespace.
        cluster: the cluster entry, as written.
        user: the user entry, as written.
        folder: where relative paths start.
    """

    context: str
    namespace: str
    cluster: dict[str, Any]
    user: dict[str, Any] = field(repr=False)
    folder: Path

    @property
    def server(self) -> str:
        """URL of the API server."""
        return str(self.cluster.get("server", "")).rstrip("/")

    def token(self) -> str:
        """The bearer token, empty when the user has a client certificate.

        Raises:
            KubeconfigError: the user needs a plugin.
        """
        if self.user.get("token"):
            return str(self.user["token"])
        if self.user.get("tokenFile"):
            return (self.folder / str(self.user["tokenFile"])).read_text(encoding="utf-8").strip()
        if "exec" in self.user or "auth-provider" in self.user:
            raise KubeconfigError(
                f'context "{self.context}" gets its credential from a plugin',
                fix="use a kubeconfig with a token or a client certificate",
            )
        return ""

    def tls(self) -> ssl.SSLContext:
        """A TLS context that trusts the cluster's CA and shows the client certificate."""
        authority = self._data(self.cluster, "certificate-authority")
        # Without one, the system's authorities count: reading them takes 40 ms.
        context = ssl.create_default_context(cadata=authority.decode() or None)
        if self.cluster.get("insecure-skip-tls-verify"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        certificate = self._data(self.user, "client-certificate")
        key = self._data(self.user, "client-key")
        if certificate and key:
            with tempfile.NamedTemporaryFile(prefix="labkit-") as file:  # 0600, gone at once
                file.write(certificate + b"\n" + key)
                file.flush()
                context.load_cert_chain(file.name)
        return context

    def _data(self, entry: dict[str, Any], key: str) -> bytes:
        inline = entry.get(f"{key}-data")
        if inline:
            return base64.b64decode(inline)
        path = entry.get(key)
        return (self.folder / path).read_bytes() if path else b""


def _files(explicit: str) -> list[Path]:
    if explicit:
        return [Path(explicit).expanduser()]
    listed = os.environ.get("KUBECONFIG", "")
    names = [name for name in listed.split(os.pathsep) if name]
    return [Path(name).expanduser() for name in names or ["~/.kube/config"]]


def _entry(entries: Any, name: str, key: str) -> dict[str, Any] | None:
    for item in entries or []:
        if item.get("name") == name:
            return dict(item.get(key) or {})
    return None


def _load(path: Path, *, explicit: bool) -> dict[str, Any]:
    try:
        config = reading.load(path.read_bytes())
    except FileNotFoundError as error:
        if explicit:
            raise KubeconfigError(f"error configuring Kubernetes API client: {error}") from error
        return {}
    except (OSError, yaml.YAMLError) as error:
        raise KubeconfigError(f"error loading config file {path}", seen=str(error)) from error
    return config if isinstance(config, dict) else {}


def _find(
    configs: list[tuple[Path, dict[str, Any]]], kind: str, name: str
) -> tuple[Path, dict[str, Any]]:
    for path, config in configs:
        entry = _entry(config.get(f"{kind}s"), name, kind)
        if entry is not None:
            return path, entry
    raise KubeconfigError(
        f'error configuring Kubernetes API client: {kind} "{name}" does not exist'
    )


def load(path: str = "", context: str = "") -> Endpoint:
    """Read the kubeconfig and pick a context.

    Args:
        path: `--kubeconfig`; empty means `KUBECONFIG`, then `~/.kube/config`.
        context: `--context`; empty means the current one.

    Raises:
        KubeconfigError: no file, no such context, or an entry it names is missing.
    """
    configs = [(file, _load(file, explicit=bool(path))) for file in _files(path)]
    return _choose(configs, context)


def parse(text: str) -> Endpoint:
    """The current context of a kubeconfig in memory: a Link's credentials.

    Raises:
        KubeconfigError: it is no kubeconfig, or incomplete.
    """
    try:
        config = reading.load(text)
    except yaml.YAMLError as error:
        raise KubeconfigError("the kubeconfig is not YAML") from error
    return _choose([(Path(), config if isinstance(config, dict) else {})], "")


def _choose(configs: list[tuple[Path, dict[str, Any]]], context: str) -> Endpoint:
    current = context or next(
        (str(c["current-context"]) for _, c in configs if c.get("current-context")), ""
    )
    if not current:
        raise KubeconfigError(
            "error configuring Kubernetes API client: invalid configuration: no configuration has "
            "been provided",
            fix="set KUBECONFIG, or give --kubeconfig and --context",
        )
    _, chosen = _find(configs, "context", current)
    file, cluster = _find(configs, "cluster", str(chosen.get("cluster", "")))
    _, user = _find(configs, "user", str(chosen.get("user", "")))
    return Endpoint(
        context=current,
        namespace=str(chosen.get("namespace") or "default"),
        cluster=cluster,
        user=user,
        folder=file.parent,
    )
