"""The service-mirror controller (`controller-NAME` in linkerd-multicluster) of one Link.

Reads the Link and the credentials of the target cluster, waits for the Lease
`service-mirror-write-NAME`, and then mirrors (`mirror_watcher`) and probes (`gateway_probe`).
A changed Link restarts the watcher; a deleted one stops it and leaves the mirror Services, as
Linkerd does. Port 9999 serves `/metrics`, `/ready` and `/live`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from labkit.certs import write_private
from labkit.embedded.informing import Informer
from labkit.embedded.kube import KubeClient, path_of
from labkit.embedded.mesh.gateway_probe import GatewayMetrics
from labkit.embedded.mesh.leader_election import Leadership
from labkit.embedded.mesh.mirror_link import parse_credentials, parse_link
from labkit.embedded.mesh.mirror_status import LINK_API, LinkStatus
from labkit.embedded.mesh.mirror_watcher import ClusterWatcher, Place
from labkit.embedded.mesh.programs import Container, Runtime, kube_client
from labkit.embedded.serving import served
from labkit.errors import InputError, LabkitError

logger = logging.getLogger(__name__)

ADMIN_PORT = 9999
RESTART_S = 10.0
"""Pause before a watcher that could not start or broke is started again, as in Linkerd."""


@dataclass(frozen=True)
class Arguments:
    """The command line: `service-mirror [-flag=value …] LINK`, or `-local-mirror` without a Link.

    Attributes:
        link: name of the Link.
        namespace: of the Link; None means the pod's own.
        probe_service: name of the probe Service.
        local: the local mirror of federated services, which this cloud does not have: it idles.
    """

    link: str
    namespace: str | None
    probe_service: str
    local: bool = False


def parse_arguments(argv: tuple[str, ...]) -> Arguments:
    """Read the container's command and arguments.

    Raises:
        InputError: no Link is named.
    """
    flags = dict(word.lstrip("-").partition("=")[::2] for word in argv if word.startswith("-"))
    names = [word for word in argv if not word.startswith("-")]
    if "local-mirror" in flags:
        return Arguments("", flags.get("namespace"), "", local=True)
    if len(names) < 2:
        raise InputError(
            "service-mirror: the name of the Link is missing",
            problems=[f"arguments: {' '.join(argv)}"],
            fix="set controllers[].link.ref.name of `linkerd multicluster install`",
        )
    link = names[-1]
    probe = flags.get("probe-service") or f"probe-{link}"
    return Arguments(link, flags.get("namespace"), probe)


async def run(container: Container, runtime: Runtime) -> int:
    """Run until cancelled.

    Returns:
        2 if the arguments cannot be used.
    """
    try:
        arguments = parse_arguments(container.argv)
    except InputError as error:
        runtime.log(str(error))
        return 2
    namespace = arguments.namespace or container.namespace
    place = Place(namespace, arguments.probe_service, container.egress)
    metrics = GatewayMetrics(arguments.link)
    async with (
        served(_admin(metrics), [container.app_sockets[ADMIN_PORT]]),
        kube_client(container, "linkerd-service-mirror") as kube,
    ):
        if arguments.local:
            runtime.log("no federated services in this cloud; nothing to mirror")
            await asyncio.Event().wait()
        controller = _Controller(container, kube, place, metrics, runtime.log)
        leadership = Leadership(
            kube,
            namespace=namespace,
            name=f"service-mirror-write-{arguments.link}",
            identity=container.pod,
        )
        await leadership.run(lambda: controller.follow(arguments.link))
    return 0


def _admin(metrics: GatewayMetrics) -> web.Application:
    async def text(request: web.Request) -> web.Response:
        body = metrics.text() if request.path == "/metrics" else "ok\n"
        return web.Response(text=body)

    app = web.Application()
    for path in ("/metrics", "/ready", "/live"):
        app.router.add_get(path, text)
    return app


class _Controller:
    """Starts, restarts and stops the watcher as its Link comes, changes and goes."""

    def __init__(
        self,
        container: Container,
        kube: KubeClient,
        place: Place,
        metrics: GatewayMetrics,
        log: Callable[[str], None],
    ) -> None:
        self._container = container
        self._kube = kube
        self._place = place
        self._metrics = metrics
        self._log = log

    async def follow(self, name: str) -> None:
        changed = asyncio.Event()
        links = Informer(
            self._kube,
            path_of(LINK_API, "links", self._place.namespace),
            on_change=lambda *_: changed.set(),
            fieldSelector=f"metadata.name={name}",
        )
        watcher: asyncio.Task[None] | None = None
        running: dict[str, Any] | None = None
        informer = asyncio.create_task(links.run(), name=f"link {name}")
        try:
            while True:
                await changed.wait()
                changed.clear()
                link = links.store.get((self._place.namespace, name))
                spec = None if link is None else link.get("spec", {})
                if spec == running:
                    continue
                await _stop(watcher)
                watcher, running = None, spec
                if link is None:
                    self._log(f"link {name}: deleted; its mirror Services stay")
                else:
                    watcher = asyncio.create_task(self._keep(link), name=f"mirror of {name}")
        finally:
            await _stop(watcher)
            await _stop(informer)

    async def _keep(self, link: dict[str, Any]) -> None:
        while True:
            try:
                await self._mirror(link)
            except* LabkitError as group:
                self._log(f"link {link['metadata']['name']}: {group.exceptions[0]}")
            except* Exception:
                logger.exception("watcher of link %s", link["metadata"]["name"])
            await asyncio.sleep(RESTART_S)

    async def _mirror(self, link: dict[str, Any]) -> None:
        spec = parse_link(link)
        secret = path_of("v1", "secrets", self._place.namespace, spec.credentials_secret)
        credentials = parse_credentials(await self._kube.get(secret))
        ca_file = self._container.work_dir / f"target-{spec.cluster}-ca.crt"
        await asyncio.to_thread(write_private, ca_file, credentials.ca)
        self._metrics.cluster = spec.cluster
        self._metrics.enabled = bool(spec.gateway_addresses)
        current = await self._kube.get(path_of(LINK_API, "links", self._place.namespace, spec.name))
        status = LinkStatus(
            self._kube,
            namespace=self._place.namespace,
            link=spec,
            current=current.get("status") or {},
        )
        async with KubeClient(
            credentials.server,
            token=credentials.token,
            ca_file=ca_file,
            user_agent="linkerd-service-mirror",
        ) as target:
            await ClusterWatcher(
                spec,
                status=status,
                local=self._kube,
                target=target,
                place=self._place,
                metrics=self._metrics,
                log=self._log,
            ).run()


async def _stop(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
