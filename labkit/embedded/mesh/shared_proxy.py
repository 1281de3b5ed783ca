"""A pod's side of the shared grouping: its certificate is given to the cluster's one Envoy.

The pod registers with the node proxy over a unix socket and keeps that request open: when either
side goes, the other notices. Registering carries the certificate; renewing registers again.
"""

import asyncio
import logging

import aiohttp

from labkit.embedded.envoy.admin import EnvoyAdmin
from labkit.embedded.mesh.certificates import Certificate
from labkit.embedded.mesh.programs import Container

logger = logging.getLogger(__name__)

SOCKET = "node-proxy.sock"
ADMIN = "node-proxy.admin"
_RETRY_S = 0.2


class SharedEnvoy:
    """The cluster's Envoy, as one pod's proxy uses it.

    Args:
        container: the pod's sidecar.
    """

    def __init__(self, container: Container) -> None:
        self._key = f"{container.namespace}/{container.pod}"
        self.prefix = f"{self._key}|"
        self.admin = EnvoyAdmin(container.run_dir / ADMIN)
        self._socket = container.run_dir / SOCKET
        self._certificate: Certificate | None = None
        self._changed = asyncio.Event()

    def use(self, certificate: Certificate) -> None:
        """Hand over a certificate."""
        self._certificate = certificate
        self._changed.set()

    async def run(self) -> int:
        """Stay registered until cancelled."""
        connector = aiohttp.UnixConnector(path=str(self._socket))
        timeout = aiohttp.ClientTimeout(total=None)
        try:
            async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
                await self._changed.wait()
                while True:
                    self._changed.clear()
                    registered = asyncio.ensure_future(self._register(http))
                    renewed = asyncio.ensure_future(self._changed.wait())
                    try:
                        await asyncio.wait(
                            (registered, renewed), return_when=asyncio.FIRST_COMPLETED
                        )
                    finally:
                        for task in (registered, renewed):
                            task.cancel()
                        await asyncio.gather(registered, renewed, return_exceptions=True)
        finally:
            await self.admin.close()

    async def _register(self, http: aiohttp.ClientSession) -> None:
        if self._certificate is None:
            return
        body = {"pod": self._key, "secrets": self._certificate.secrets(self.prefix)}
        try:
            async with http.post("http://node/register", json=body) as response:
                await response.read()
        except (aiohttp.ClientError, OSError) as error:
            logger.debug("the shared proxy is not there: %r", error)
        await asyncio.sleep(_RETRY_S)
