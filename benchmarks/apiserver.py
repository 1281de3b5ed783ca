"""How quick is the Kubernetes API? Raw HTTP over one, and eight, kept-alive TLS connections.

By default it measures cluster `west` of a fresh `labkit up --bare`, with its controllers and nodes
beside it in the daemon. The pods name a scheduler that does not exist, so none of them starts. With
`--kubeconfig` a server at hand is measured in the same way, in a namespace of its own:

    python -m benchmarks apiserver
    python benchmarks/apiserver.py --kubeconfig FILE --context NAME [--pods 1000]
"""

import argparse
import base64
import http.client
import json
import secrets
import ssl
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from benchmarks.measuring import print_table, temporary_home

CONNECTIONS = 8
LISTS = 15
TARGETS = {
    "create": "≥ 455/s, p50 ≤ 2.0 ms",
    "get": "≥ 1000/s, p50 ≤ 0.95 ms",
    "list": "1,000 pods ≤ 22 ms",
    "create, 8 connections": "≥ 1200/s",
    "get, 8 connections": "≥ 1900/s",
}


class Server:
    """One API server as a kubeconfig names it."""

    def __init__(self, kubeconfig: Path, context: str) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        chosen = _named(config["contexts"], context)["context"]
        cluster = _named(config["clusters"], chosen["cluster"])["cluster"]
        user = _named(config["users"], chosen["user"])["user"]
        self._address = urlsplit(cluster["server"])
        self._tls = ssl.create_default_context(cadata=_pem(cluster, "certificate-authority"))
        self._headers = {"Content-Type": "application/json"}
        if "token" in user:
            self._headers["Authorization"] = f"Bearer {user['token']}"
        else:
            with tempfile.NamedTemporaryFile("w") as file:
                file.write(_pem(user, "client-certificate") + "\n" + _pem(user, "client-key"))
                file.flush()
                self._tls.load_cert_chain(file.name)

    def connect(self) -> "Connection":
        """A connection of its own."""
        host, port = str(self._address.hostname), self._address.port or 443
        return Connection(http.client.HTTPSConnection(host, port, context=self._tls), self._headers)


class Connection:
    """One kept-alive connection."""

    def __init__(self, http_connection: http.client.HTTPSConnection, headers: Any) -> None:
        self._http, self._headers = http_connection, headers

    def ask(self, method: str, path: str, body: Any = None) -> tuple[float, bytes]:
        """Seconds and the body of an answer; RuntimeError for a refusal."""
        data = None if body is None else json.dumps(body)
        started = time.perf_counter()
        self._http.request(method, path, data, self._headers)
        answer = self._http.getresponse()
        content = answer.read()
        taken = time.perf_counter() - started
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:300]!r}")
        return taken, content


def _named(items: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(item for item in items if item["name"] == name)


def _pem(holder: dict[str, Any], field: str) -> str:
    if f"{field}-data" in holder:
        return base64.b64decode(holder[f"{field}-data"]).decode()
    return Path(holder[field]).read_text()


def pod(name: str) -> dict[str, Any]:
    """A pod that nobody schedules, about 2.1 KB when stored."""
    limits = {"cpu": "1", "memory": "1Gi"}
    container = {"name": "main", "image": "nginx", "ports": [{"containerPort": 80}]}
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": name, "labels": {"app": "bench"}},
        "spec": {
            "schedulerName": "nobody",
            "containers": [container | {"resources": {"limits": limits}}],
        },
    }


def measure(server: Server, pods: int) -> list[tuple[object, ...]]:
    """The rows of one server; its namespace is deleted at the end."""
    first = server.connect()
    namespace = f"bench-{secrets.token_hex(4)}"
    first.ask("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    path = f"/api/v1/namespaces/{namespace}/pods"
    try:
        _wait_for_account(first, namespace)
        rows = [
            _row("create", [first.ask("POST", path, pod(f"p{n}"))[0] for n in range(pods)]),
            _row("get", [first.ask("GET", f"{path}/p{n}")[0] for n in range(pods)]),
        ]
        lists = [first.ask("GET", path) for _ in range(LISTS)]
        size = f"list, {pods} pods, {len(lists[0][1]) / 1e6:.1f} MB"
        rows.append(_row("list", [taken for taken, _ in lists], title=size))
        rows += _eight(server, path, pods)
    finally:
        first.ask("DELETE", f"/api/v1/namespaces/{namespace}")
    return rows


def _wait_for_account(connection: Connection, namespace: str) -> None:
    """Pods need the namespace's default account, which a controller makes."""
    give_up = time.monotonic() + 30
    while True:
        try:
            connection.ask("GET", f"/api/v1/namespaces/{namespace}/serviceaccounts/default")
        except RuntimeError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.1)
        else:
            return


def _eight(server: Server, path: str, pods: int) -> list[tuple[object, ...]]:
    connections = [server.connect() for _ in range(CONNECTIONS)]
    each = range(pods // CONNECTIONS)

    def create(number: int) -> list[float]:
        ask = connections[number].ask
        return [ask("POST", path, pod(f"c{number}-{n}"))[0] for n in each]

    def get(number: int) -> list[float]:
        return [connections[number].ask("GET", f"{path}/c{number}-{n}")[0] for n in each]

    rows = []
    for name, work in (("create, 8 connections", create), ("get, 8 connections", get)):
        with ThreadPoolExecutor(CONNECTIONS) as threads:
            started = time.perf_counter()
            taken = [value for part in threads.map(work, range(CONNECTIONS)) for value in part]
            rows.append(_row(name, taken, wall=time.perf_counter() - started))
    return rows


def _row(
    name: str, taken: list[float], *, wall: float = 0.0, title: str = ""
) -> tuple[object, ...]:
    p50 = statistics.median(taken) * 1000
    p99 = statistics.quantiles(taken, n=100, method="inclusive")[98] * 1000
    rate = len(taken) / (wall or sum(taken))
    return (title or name, len(taken), f"{rate:.0f}", f"{p50:.2f}", f"{p99:.2f}", TARGETS[name])


COLUMNS = ("request", "n", "per second", "p50 ms", "p99 ms", "target")


def run(*, quick: bool) -> None:
    """Print the table."""
    with temporary_home() as home:
        home.labkit("up", "--bare")
        kubeconfig = next(home.folder.glob("*/kubeconfig"))
        rows = measure(Server(kubeconfig, "west"), 200 if quick else 1000)
    print_table("Kubernetes API, west of `labkit up --bare`", COLUMNS, rows)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="requests of a Kubernetes API, measured")
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--context", required=True)
    parser.add_argument("--pods", type=int, default=1000)
    options = parser.parse_args()
    rows = measure(Server(options.kubeconfig, options.context), options.pods)
    print_table(f"Kubernetes API, context {options.context}", COLUMNS, rows)


if __name__ == "__main__":
    main()
