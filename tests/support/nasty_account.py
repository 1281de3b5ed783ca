"""An emulated DigitalOcean account with decoys, faults and a finger on the trigger.

`labkit` runs against it as a user would start it, in processes that can be killed at the n-th
request, before or after it is executed. Its clusters share one real API server with one Ready
node. Loaded by path, like `emulated_digitalocean`; the benchmarks use it too.
"""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from aiohttp import web

from labkit.certs import create_root
from labkit.embedded.apiserver.server import ApiServer, ApiServerConfig, User
from labkit.embedded.digitalocean.state import DigitalOceanState
from labkit.embedded.kube import KubeClient, path_of
from tests.support import emulated_digitalocean as emulated
from tests.support.commands import Commands, commands

HERE = Path(__file__).resolve().parent
LAB = "demo"
_RULE = {
    "entry_protocol": "tcp",
    "entry_port": 443,
    "target_protocol": "tcp",
    "target_port": 30443,
}


class ServedState(DigitalOceanState):
    """An account whose clusters are served by one API server."""

    material: ClassVar[dict] = {}
    twice = 0
    """Clusters that were created while one of the same name was there."""

    def create_cluster(self, body):
        there = [item["name"] for item in self.clusters() if item["status"]["state"] != "deleting"]
        record = super().create_cluster(body)
        self.twice += record["name"] in there
        return record

    def _serve_standalone(self, cluster_id: str) -> None:
        self.cluster_ready(cluster_id, **self.material)


@dataclass
class Done:
    """A command that has ended."""

    argv: list[str]
    code: int
    out: str
    err: str


@dataclass
class Trigger:
    """Kill the running command at a request.

    `left` is how many requests it may still make; `executed` whether the last one is executed.
    """

    left: int
    executed: bool


@dataclass
class NastyAccount:
    """The account, and `labkit` commands in it."""

    server: object
    home: Path
    commands: Commands
    trigger: Trigger | None = None
    killed: int = 0
    requests: int = 0
    pid: int = 0
    touched: list[str] = field(default_factory=list)
    on_request: object = None
    """Called at each request of a command, if it is set."""
    decoys: dict[str, dict] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("LABKIT_", "DIGITALOCEAN_"))
        }
        return {
            **kept,
            "LABKIT_HOME": str(self.home),
            "DIGITALOCEAN_TOKEN": self.server.token,
            "DIGITALOCEAN_API_URL": self.server.endpoint,
            "REQUESTS_CA_BUNDLE": str(self.server.ca_file),
            "NO_COLOR": "1",
            "COLUMNS": "160",
        }

    def labkit(self, *argv: str, kill: Trigger | None = None, **env: str) -> Done:
        """Run a command to its end, or to its death."""
        out, err = self.home / ".out", self.home / ".err"
        self.trigger = kill
        environment = self.environment | env
        running = self.commands.start(argv, env=environment, cwd=self.home, out=out, err=err)
        self.pid = running.pid
        code = running.wait()
        self.trigger, self.pid = None, 0
        return Done(list(argv), code, out.read_text(), err.read_text())

    def up(self, **options) -> Done:
        return self.labkit(
            "up", "--yes", "-p", "cloud=digitalocean", "-p", "node_count=1", **options
        )

    def down(self, **options) -> Done:
        return self.labkit("down", "--lab-name", LAB, **options)

    def audit(self) -> Done:
        return self.labkit("audit", "--lab-name", LAB)

    # --- what the account knows -------------------------------------------------------------

    def everything(self) -> dict[str, dict]:
        """Every resource by its id."""
        lists = self.server.on_loop(self.server.state._lists)
        return {item["id"]: item for items in lists.values() for item in items}

    def left(self) -> list[str]:
        """What is there beside the decoys."""
        there = self.everything().items()
        return sorted(item["name"] for key, item in there if key not in self.decoys)

    def harmed(self) -> list[str]:
        """Decoys that are gone or not as they were."""
        now = self.everything()
        return sorted(
            item["name"]
            for key, item in self.decoys.items()
            if key not in now or _kept(now[key]) != _kept(item)
        )

    def duplicates(self) -> int:
        """Clusters that were created while one of the same name was there."""
        return self.server.state.twice

    def make_load_balancers(self) -> None:
        """What the gateways' Services make in the lab's running clusters."""
        self.server.on_loop(_make_balancers, self.server.state, set(self.decoys))

    def add_decoys(self) -> None:
        """Clusters, load balancers and volumes that look like the lab's and are not."""
        self.server.on_loop(_make_decoys, self.server.state)
        self.decoys = {key: dict(item) for key, item in self.everything().items()}


def _kept(item: dict) -> dict:
    """A resource without what changes by itself."""
    return {key: item.get(key) for key in ("id", "name", "tags", "tag", "region", "created_at")}


def _make_decoys(state: DigitalOceanState) -> None:
    pool = [{"name": "pool", "size": "s-2vcpu-4gb", "count": 1}]
    clusters = (
        ("demo-west2", ["labkit", "lab:demo", "labkit-owner:somebody"]),
        ("demo-north", ["labkit", "lab:demo", "labkit-expires:20200101T000000Z"]),
        (
            "demo",
            ["labkit", "lab:demo", f"labkit-id:{'0' * 16}-{'0' * 12}"],
        ),
        ("demo2-west", ["labkit", "lab:demo2"]),
        ("production", ["lab:demo"]),
    )
    made = [
        state.create_cluster(
            {"name": name, "region": "ams3", "version": "latest", "tags": tags, "node_pools": pool}
        )
        for name, tags in clusters
    ]
    for name, tag in (("demo-west", "lab:demo"), ("a-lb", f"k8s:{made[0]['id']}"), ("b", "k8s:x")):
        state.balancers.create(
            {"name": name, "region": "sfo3", "tag": tag, "forwarding_rules": [_RULE]}
        )
    for name, tags in (("pvc-demo", ["lab:demo", "labkit"]), ("pvc-x", ["k8s:x"])):
        state.volumes.create({"name": name, "size_gigabytes": 1, "region": "sfo3", "tags": tags})


def _make_balancers(state: DigitalOceanState, decoys: set[str]) -> None:
    for cluster in state.clusters():
        if cluster["id"] in decoys or cluster["status"]["state"] != "running":
            continue
        state.balancers.create(
            {
                "name": f"a{cluster['id'].replace('-', '')}",
                "region": cluster["region"],
                "tag": f"k8s:{cluster['id']}",
                "forwarding_rules": [_RULE],
            }
        )


@contextmanager
def nasty_account(folder: Path, **options) -> Iterator[NastyAccount]:
    """Run the account and the process that starts commands."""
    account = NastyAccount(None, folder / "home", None)
    account.home.mkdir(parents=True)
    with (
        _api_server(folder) as material,
        emulated.serve(
            folder,
            standalone=True,
            state_class=type("State", (ServedState,), {"material": material}),
            around=_trigger(account),
            **options,
        ) as server,
        commands() as started,
    ):
        account.server, account.commands = server, started
        yield account


def _trigger(account: NastyAccount):
    """Middleware: kill the command that has made its last request."""

    async def around(request: web.Request, handler):
        if account.on_request is not None and account.pid:
            account.on_request()
        trigger = account.trigger
        if trigger is None or not account.pid:
            return await handler(request)
        trigger.left -= 1
        if trigger.left > 0:
            return await handler(request)
        account.trigger = None
        answer = await handler(request) if trigger.executed else None
        os.kill(account.pid, signal.SIGKILL)
        account.killed += 1
        if answer is None:
            request.transport.abort()
            return web.Response(status=500)
        return answer

    return around


@contextmanager
def _api_server(folder: Path) -> Iterator[dict]:
    """One API server with one Ready node, in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="api server", daemon=True)
    thread.start()

    def wait(work):
        return asyncio.run_coroutine_threadsafe(work, loop).result(60)

    server = None
    try:
        server, material = wait(_start_api_server(folder))
        yield material
    finally:
        if server is not None:
            wait(server.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()


async def _start_api_server(folder: Path):
    ca = create_root("cluster of the tests")
    config = ApiServerConfig(
        name="shared",
        database=folder / "kubernetes.sqlite",
        ca=ca,
        service_account_key=create_root("accounts").key,
        tokens={"administrator": User("admin", ("system:masters",))},
        kubelet_token="kubelet",
    )
    server = ApiServer(config)
    await server.start()
    ca_file = folder / "cluster-ca.pem"
    ca_file.write_bytes(ca.certificate)
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready"}
    async with KubeClient(
        server.url, token="administrator", ca_file=ca_file, user_agent="tests"
    ) as kube:
        path = path_of("v1", "nodes")
        await kube.create(path, {"metadata": {"name": "node-a"}})
        await kube.patch(f"{path}/node-a/status", {"status": {"conditions": [ready]}})
    material = {
        "endpoint": server.url,
        "ca_pem": ca.certificate.decode(),
        "token": "administrator",
    }
    return server, material
