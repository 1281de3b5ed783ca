"""One Kubernetes cluster of the embedded cloud: API server, controllers and nodes, put together.

This is the only place that knows all of them. Each gets a client of the API with its own token,
as the components of a real cluster do, and none gets another's Python object.
"""

import asyncio
import ipaddress
import itertools
import json
import logging
import secrets
import shutil
import socket
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from labkit import certs
from labkit.embedded.apiserver.server import ApiServer, ApiServerConfig, User
from labkit.embedded.controllers import manager
from labkit.embedded.controllers.load_balancers import Cloud
from labkit.embedded.digitalocean.wanted import WantedCluster, WantedNode
from labkit.embedded.kube import KubeClient, path_of
from labkit.embedded.node.agent import NodeAgent
from labkit.embedded.node.config import NodeConfig
from labkit.embedded.node.node_proxy import NodeProxy
from labkit.embedded.ports import allocate_port
from labkit.embedded.processes import ProcessTable
from labkit.errors import StateError

logger = logging.getLogger(__name__)

BOOTSTRAP = Path(__file__).parent / "data" / "bootstrap.yaml"
COMPONENTS = BOOTSTRAP.with_name("components.yaml")
NODE_NETWORK = ipaddress.ip_network("10.124.0.0/20")
"""Private network of a cluster's droplets."""

ADMIN = User("kubernetes-admin", ("system:masters",))


@dataclass(frozen=True)
class CloudAccess:
    """How a cluster's cloud controller reaches the DigitalOcean API."""

    endpoint: str
    token: str = field(repr=False)
    ca_file: Path


class Cluster:
    """A running cluster.

    Args:
        wanted: what the account asks for.
        folder: its state folder; kept over restarts.
        run_dir: short folder for its unix sockets.
        cloud: the DigitalOcean API.
        table: where child processes are recorded.
    """

    def __init__(
        self,
        wanted: WantedCluster,
        *,
        folder: Path,
        run_dir: Path,
        cloud: CloudAccess,
        table: ProcessTable,
    ) -> None:
        self.wanted = wanted
        self.folder = folder
        self._run_dir = run_dir
        self._cloud = cloud
        self._table = table
        self._tasks: list[asyncio.Task[None]] = []
        self._clients: list[KubeClient] = []
        self._agents: list[NodeAgent] = []
        self._server: ApiServer | None = None
        self._node_proxy: NodeProxy | None = None
        self._tokens: dict[str, str] = {}

    @property
    def url(self) -> str:
        """`https://127.0.0.1:PORT` of the API server."""
        if self._server is None:
            raise StateError(f"Cluster {self.wanted.name} is not running")
        return self._server.url

    @property
    def admin_token(self) -> str:
        """Bearer token of the administrator."""
        return self._tokens["admin"]

    @property
    def ca_file(self) -> Path:
        """CA of the API server, PEM."""
        return self.folder / "ca.crt"

    def client(self, component: str) -> KubeClient:
        """A client of the API with the component's own token."""
        client = KubeClient(
            self.url,
            token=self._tokens[component],
            ca_file=self.ca_file,
            user_agent=component,
        )
        self._clients.append(client)
        return client

    async def start(self) -> None:
        """Start everything; returns when all nodes are Ready.

        Raises:
            StateError: the API server's port is taken, or a node does not get ready.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        facts = self._facts()
        self._tokens = facts["tokens"]
        self._server = ApiServer(self._server_config(facts))
        await self._server.start()
        await self._bootstrap()
        self._spawn("controllers", self._controllers())
        for number, wanted in enumerate(self.wanted.nodes):
            agent = self._node_agent(wanted, number, facts)
            self._agents.append(agent)
            self._spawn(f"node {wanted.name}", agent.run())
        await asyncio.gather(*(agent.ready() for agent in self._agents))
        logger.info("cluster %s serves at %s", self.wanted.name, self.url)

    async def stop(self, *, forget: bool) -> None:
        """Stop everything; with `forget` remove the state too."""
        for task in reversed(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._node_proxy is not None:
            await self._node_proxy.stop()
        for client in self._clients:
            await client.close()
        if self._server is not None:
            await self._server.stop()
        if forget:
            shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self._run_dir, ignore_errors=True)

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=f"{self.wanted.name}: {name}")
        task.add_done_callback(_report_end)
        self._tasks.append(task)

    def _facts(self) -> dict[str, Any]:
        """Port and secrets of this cluster, made once."""
        path = self.folder / "cluster.json"
        names = ["admin", "kube-controller-manager", "network"]
        names += [node.name for node in self.wanted.nodes]
        if path.exists():
            return dict(json.loads(path.read_text()))
        certs.write_credential(
            certs.create_root("kubernetes"), self.ca_file, self.folder / "ca.key"
        )
        signing_key = ec.generate_private_key(ec.SECP256R1())
        certs.write_private(self.folder / "service-accounts.key", certs.key_pem(signing_key))
        facts: dict[str, Any] = {
            "port": allocate_port(),
            "tokens": {name: secrets.token_urlsafe(32) for name in names},
            "kubelet_token": secrets.token_urlsafe(32),
        }
        certs.write_private(path, json.dumps(facts).encode())
        return facts

    def _server_config(self, facts: dict[str, Any]) -> ApiServerConfig:
        users = {self._tokens["admin"]: ADMIN}  # what the others may do is in COMPONENTS
        for name in ("kube-controller-manager", "network"):
            users[self._tokens[name]] = User(f"system:{name}")
        for node in self.wanted.nodes:
            user = User(f"system:node:{node.name}", ("system:nodes",))
            users[self._tokens[node.name]] = user
        return ApiServerConfig(
            name=self.wanted.name,
            database=self.folder / "kubernetes.sqlite",
            port=facts["port"],
            ca=certs.read_credential(self.ca_file, self.folder / "ca.key"),
            service_account_key=(self.folder / "service-accounts.key").read_bytes(),
            tokens=users,
            kubelet_token=facts["kubelet_token"],
            service_cidr=self.wanted.service_subnet,
        )

    async def _bootstrap(self) -> None:
        """Apply what a new DOKS cluster already holds."""
        kube = self.client("admin")
        documents = [d for f in (COMPONENTS, BOOTSTRAP) for d in yaml.safe_load_all(f.read_text())]
        for document in documents:
            plural = f"{document['kind'].lower()}s"
            path = path_of(document["apiVersion"], plural, None, _name(document))
            await kube.patch(path, document, kind="apply", fieldManager="doks")

    async def _controllers(self) -> None:
        cloud = Cloud(
            base_url=self._cloud.endpoint,
            token=self._cloud.token,
            region=self.wanted.region,
            cluster_id=self.wanted.id,
            ca_file=self._cloud.ca_file,
        )
        options = manager.Options(ca_pem=self.ca_file.read_text(), cloud=cloud)
        await manager.run_all(self.client("kube-controller-manager"), options=options)

    def _node_agent(self, wanted: WantedNode, number: int, facts: dict[str, Any]) -> NodeAgent:
        subnets = ipaddress.ip_network(self.wanted.cluster_subnet).subnets(new_prefix=24)
        config = NodeConfig(
            data_dir=self.folder / "nodes" / wanted.name,
            run_dir=self._run_dir,
            processes=self._table,
            server=self.url,
            ca_file=self.ca_file,
            ca=certs.read_credential(self.ca_file, self.folder / "ca.key"),
            kubelet_token=facts["kubelet_token"],
            node_token=self._tokens[wanted.name],
            pod_cidr=str(next(itertools.islice(subnets, number, None))),
            internal_ip=str(NODE_NETWORK[2 + number]),
            region=self.wanted.region,
            size=wanted.size,
            labels={
                "doks.digitalocean.com/node-id": wanted.id,
                "doks.digitalocean.com/node-pool": wanted.pool,
                "doks.digitalocean.com/node-pool-id": wanted.pool_id,
                "doks.digitalocean.com/version": self.wanted.version,
            },
            droplet_id=int(wanted.droplet_id),
        )
        if self._node_proxy is None:
            self._node_proxy = NodeProxy(self.wanted.name, config)
        kube = self.client(wanted.name)
        return NodeAgent(wanted.name, self.wanted.name, kube, config, node_proxy=self._node_proxy)


def require_free_port(folder: Path, *, name: str) -> None:
    """Check that a known cluster's API server can have its port again.

    Raises:
        StateError: another program listens there; kubeconfigs hold this port, so it stays.
    """
    try:
        port = json.loads((folder / "cluster.json").read_text())["port"]
    except FileNotFoundError:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise StateError(
                f"The API server of cluster {name} cannot listen on 127.0.0.1:{port}",
                seen=error.strerror or str(error),
                fix=f"end the program that uses port {port}, then `labkit up` again; or "
                "`labkit down`, which forgets the port",
            ) from error


def _name(document: dict[str, Any]) -> str:
    return str(document["metadata"]["name"])


def _report_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("%s ended", task.get_name(), exc_info=task.exception())
