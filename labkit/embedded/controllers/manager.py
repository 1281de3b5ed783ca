"""Runs all controllers of one cluster, as kube-controller-manager and the scheduler do.

Each controller is a named task. One that ends by an error is started again after a pause that
grows to half a minute; the others never notice.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from labkit.embedded.controllers import (
    deployments,
    endpoints,
    garbage_collector,
    jobs,
    load_balancers,
    namespaces,
    nodes,
    replica_sets,
    scheduler,
    service_accounts,
)
from labkit.embedded.controllers.discovery import Discovery
from labkit.embedded.controllers.events import EventWriter
from labkit.embedded.controllers.informers import SharedInformers
from labkit.embedded.controllers.load_balancers import Cloud
from labkit.embedded.controllers.service_accounts import Signer
from labkit.embedded.kube import KubeClient

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
LAST_PAUSE_S = 30.0


@dataclass(frozen=True)
class Options:
    """What the controllers of a cluster must be told.

    Attributes:
        ca_pem: the cluster's CA certificate, PEM.
        cloud: where load balancers come from; None: Services stay pending.
        signer: makes the tokens of token Secrets; None: TokenRequest.
    """

    ca_pem: str
    cloud: Cloud | None = None
    signer: Signer | None = None


async def run_all(kube: KubeClient, *, options: Options) -> None:
    """Run every controller until cancelled.

    Args:
        kube: a client with all rights; the controllers share it, and one set of informers.
        options: see `Options`.
    """
    async with SharedInformers.open(kube) as informers, asyncio.TaskGroup() as group:
        for name, start in controllers(kube, informers, options).items():
            group.create_task(_keep_running(name, start), name=f"controller {name}")


def controllers(
    kube: KubeClient, informers: SharedInformers, options: Options
) -> Mapping[str, Callable[[], Awaitable[None]]]:
    """What starts each controller, by its name."""
    events = EventWriter(kube)
    discovery = Discovery(kube)
    table: dict[str, Callable[[], Awaitable[None]]] = {
        "events": events.run,
        "deployments": lambda: deployments.run(kube, informers, events),
        "replica-sets": lambda: replica_sets.run(kube, informers, events),
        "jobs": lambda: jobs.run(kube, informers, events),
        "scheduler": lambda: scheduler.run(kube, informers, events),
        "nodes": lambda: nodes.run(informers, events),
        "endpoints": lambda: endpoints.run(kube, informers),
        "namespaces": lambda: namespaces.run(kube, informers, discovery=discovery),
        "service-accounts": lambda: service_accounts.run(
            kube, informers, ca_pem=options.ca_pem, signer=options.signer
        ),
        "garbage-collector": lambda: garbage_collector.run(kube, informers, discovery=discovery),
    }
    cloud = options.cloud
    if cloud is not None:
        table["load-balancers"] = lambda: load_balancers.run(kube, informers, events, cloud=cloud)
    return table


async def _keep_running(name: str, start: Callable[[], Awaitable[None]]) -> None:
    pause_s = FIRST_PAUSE_S
    while True:
        began = asyncio.get_running_loop().time()
        try:
            await start()
        except Exception:
            logger.exception("controller %s ended; starting it again in %.1f s", name, pause_s)
        if asyncio.get_running_loop().time() - began > LAST_PAUSE_S:
            pause_s = FIRST_PAUSE_S
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, LAST_PAUSE_S)
