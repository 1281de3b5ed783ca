"""Is the other cluster's gateway alive, and how far away is it?

The controller asks the gateway's readiness over and over through its own sidecar, so an answer
proves the whole path: addresses, WAN, mutual TLS. Linkerd's rules hold: 3 s and up to 10 % jitter
between probes, dead after the threshold of consecutive failures, alive again at the first
success, latency in whole milliseconds. The connection is kept alive, so the latency is about one
round trip and not a handshake.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp

from labkit.embedded.mesh.mirror_link import ProbeSpec

logger = logging.getLogger(__name__)

LATENCY_BOUNDS_MS = (
    1, 2, 3, 4, 5, 10, 20, 30, 40, 50, 100, 200, 300, 400, 500,
    1000, 2000, 3000, 4000, 5000, 10000, 20000, 30000, 40000, 50000,
)  # fmt: skip
"""Upper bounds of `gateway_probe_latency_ms`: those of the proxies' response_latency_ms."""

_JITTER = 0.1
_FIRST_PROBES = 8
_FIRST_PERIOD_S = 0.5
"""A new controller's sidecar needs a moment to learn the probe's addresses. Until the first
success the first probes come faster, and their failures do not count."""


@dataclass
class GatewayMetrics:
    """Metrics of one link, printed in Prometheus' text format with Linkerd's names.

    Attributes:
        cluster: label `target_cluster_name`.
        enabled: false for a link without a gateway.
        alive: result of the newest probes.
        latency_ms: of the newest successful probe.
    """

    cluster: str
    enabled: bool = False
    alive: bool = False
    latency_ms: int = 0
    succeeded: int = 0
    failed: int = 0
    repairs: int = 0
    _latencies: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS_MS) + 1))
    _latency_sum_ms: int = 0

    def observe(self, latency_ms: int) -> None:
        """Record a successful probe."""
        self.succeeded += 1
        self.latency_ms = latency_ms
        self._latency_sum_ms += latency_ms
        place = sum(bound < latency_ms for bound in LATENCY_BOUNDS_MS)
        self._latencies[place] += 1

    def text(self) -> str:
        """All series."""
        own = f'target_cluster_name="{self.cluster}"'
        lines = [
            "# TYPE gateway_alive gauge",
            f"gateway_alive{{{own}}} {int(self.alive)}",
            "# TYPE gateway_enabled gauge",
            f"gateway_enabled{{{own}}} {int(self.enabled)}",
            "# TYPE gateway_latency gauge",
            f"gateway_latency{{{own}}} {self.latency_ms}",
            "# TYPE gateway_probe_latency_ms histogram",
            *self._histogram(own),
            "# TYPE gateway_probes counter",
            f'gateway_probes{{probe_successful="true",{own}}} {self.succeeded}',
        ]
        if self.failed:
            lines.append(f'gateway_probes{{probe_successful="false",{own}}} {self.failed}')
        lines += [
            "# TYPE service_mirror_endpoint_repairs counter",
            f"service_mirror_endpoint_repairs{{{own}}} {self.repairs}",
        ]
        return "\n".join(lines) + "\n"

    def _histogram(self, own: str) -> list[str]:
        lines, below = [], 0
        for bound, count in zip((*LATENCY_BOUNDS_MS, "+Inf"), self._latencies, strict=True):
            below += count
            lines.append(f'gateway_probe_latency_ms_bucket{{{own},le="{bound}"}} {below}')
        lines.append(f"gateway_probe_latency_ms_sum{{{own}}} {self._latency_sum_ms}")
        lines.append(f"gateway_probe_latency_ms_count{{{own}}} {below}")
        return lines


class GatewayProbe:
    """Probes one gateway until cancelled.

    Args:
        url: `http://probe-NAME.linkerd-multicluster:4191/ready`.
        egress: the pod's http_proxy (its sidecar), `127.0.0.1:PORT`; empty connects directly.
        spec: period, timeout and threshold.
        metrics: receives the results.
        on_change: told `False` when a gateway known to be alive dies, and `True` when it returns.
            A gateway that never answered is not reported, as in Linkerd.
    """

    def __init__(
        self,
        url: str,
        *,
        egress: str,
        spec: ProbeSpec,
        metrics: GatewayMetrics,
        on_change: Callable[[bool], None],
    ) -> None:
        self._url = url
        self._proxy = f"http://{egress}" if egress else None
        self._spec = spec
        self._metrics = metrics
        self._on_change = on_change
        self._known_alive: bool | None = None
        self._failures = 0
        self._grace = _FIRST_PROBES

    async def run(self) -> None:
        """Probe at once and then every period plus jitter."""
        async with aiohttp.ClientSession() as session:
            while True:
                await self._probe(session)
                jitter = random.uniform(0, _JITTER)  # noqa: S311 - spreads load, hides nothing
                period = self._spec.period_s
                if self._grace:
                    self._grace -= 1
                    period = min(period, _FIRST_PERIOD_S)
                await asyncio.sleep(period * (1 + jitter))

    async def _probe(self, session: aiohttp.ClientSession) -> None:
        began = time.perf_counter()
        timeout = aiohttp.ClientTimeout(total=self._spec.timeout_s)
        try:
            async with session.get(self._url, proxy=self._proxy, timeout=timeout) as response:
                status = response.status
                await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._fail(repr(error))
            return
        if status == 200:
            self._succeed(int((time.perf_counter() - began) * 1000))
        else:
            self._fail(f"status {status}")

    def _succeed(self, latency_ms: int) -> None:
        self._failures = self._grace = 0
        self._metrics.observe(latency_ms)
        self._metrics.alive = True
        if self._known_alive is False:
            logger.info("gateway %s is alive again", self._url)
            self._on_change(True)
        self._known_alive = True

    def _fail(self, seen: str) -> None:
        if self._grace:
            return
        self._failures += 1
        logger.debug("probe of %s failed (%d): %s", self._url, self._failures, seen)
        if self._failures < self._spec.failure_threshold:
            return
        self._metrics.failed += 1
        self._metrics.alive = False
        if self._known_alive:
            logger.warning("gateway %s is dead: %s", self._url, seen)
            self._known_alive = False
            self._on_change(False)
