"""The cluster's shared proxy for pods without a sidecar, started when it is first needed.

A process in an unmeshed pod reaches virtual addresses through its ``egress`` socket like any
other. Starting an Envoy for each of them would waste memory, so one proxy per cluster listens for
all; it learns of them from the pods' annotations. This module only keeps it running.
"""

import asyncio
import logging
from dataclasses import dataclass, field

from labkit.embedded.node.config import NodeConfig
from labkit.embedded.node.containers import NodeRuntime, RunningComponent, StartProblem
from labkit.embedded.node.containers import load_component as load
from labkit.embedded.node.logs import ContainerLog
from labkit.embedded.node.programs import Container

logger = logging.getLogger(__name__)

ENTRY = "labkit.embedded.mesh.node_proxy:run"
_BACKOFF_S = (0.2, 10.0)
_STOP_S = 2.0
_POLL_S = 0.02


@dataclass
class NodeProxy:
    """Keeps the node proxy of one cluster running once it is wanted.

    All nodes of a cluster in one daemon share one object.
    """

    cluster: str
    config: NodeConfig
    entry: str = ENTRY
    patience_s: float = 10.0
    _task: asyncio.Task[None] | None = field(default=None, repr=False)

    def want(self) -> None:
        """Start it, if it does not run yet."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep(), name=f"node proxy {self.cluster}")

    async def serving(self, egress: str) -> bool:
        """Wait until a pod's way out accepts connections, as a pod's network is ready before it.

        Returns:
            False when it did not within `patience_s`; the pod starts all the same.
        """
        host, _, port = egress.rpartition(":")
        deadline = asyncio.get_running_loop().time() + self.patience_s
        while asyncio.get_running_loop().time() < deadline:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                await asyncio.sleep(_POLL_S)
                continue
            writer.close()
            return True
        logger.warning("the node proxy of %s does not listen on %s yet", self.cluster, egress)
        return False

    async def stop(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _keep(self) -> None:
        delay = _BACKOFF_S[0]
        folder = self.config.data_dir / "node-proxy"
        log = ContainerLog(folder / "node-proxy.log")
        container = self._container()
        for path in (container.root, container.work_dir):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            while True:
                try:
                    entry = load(self.entry)
                except StartProblem as problem:
                    logger.error("unmeshed pods have no way out: %s", problem)  # noqa: TRY400 - the message says it; the stack would not help
                    return
                runtime = NodeRuntime(container, log, self.config.processes)
                running = RunningComponent(entry, container, runtime)
                try:
                    code = await running.wait()
                finally:
                    await running.stop(_STOP_S)
                logger.warning("the node proxy of %s ended (%d)", self.cluster, code)
                await asyncio.sleep(delay)
                delay = min(delay * 2, _BACKOFF_S[1])
        finally:
            log.close()

    def _container(self) -> Container:
        folder = self.config.data_dir / "node-proxy"
        return Container(
            cluster=self.cluster,
            namespace="kube-system",
            pod="node-proxy",
            pod_uid="node-proxy",
            pod_ip=self.config.internal_ip,
            service_account="node-proxy",
            labels={},
            annotations={},
            name="node-proxy",
            image="",
            argv=(),
            env={},
            app_sockets={},
            sockets={},
            egress="",
            root=folder / "root",
            run_dir=self.config.run_dir,
            work_dir=folder / "work",
            server=self.config.server,
            token=self.config.node_token,
            ca_file=self.config.ca_file,
        )
