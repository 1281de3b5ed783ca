"""Keeps the relay process running.

The relay forgets everything when it dies. Whoever owns the routes is told of each new start and
sends them again, with the same ports, so that nobody else notices more than broken connections.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from labkit.embedded.network.relay_control import RelayClient
from labkit.embedded.processes import ProcessTable, stop
from labkit.errors import StateError

logger = logging.getLogger(__name__)

_BACKOFF_S = (0.05, 5.0)
_STEADY_S = 10.0  # a relay that ran this long starts with the first wait again
_START_S = 20.0
_POLL_S = 0.02
_GRACE_S = 1.0


class RelayProcess:
    """The relay, started again when it ends.

    Args:
        control: path of its unix socket.
        log_file: where its output goes.
        processes: the lab's table of child processes.
        on_start: called when a new relay answers.
    """

    def __init__(
        self,
        control: Path,
        *,
        log_file: Path,
        processes: ProcessTable,
        on_start: Callable[[], None] = lambda: None,
    ) -> None:
        self._control = control
        self._log_file = log_file
        self._processes = processes
        self._on_start = on_start
        self._up = asyncio.Event()
        self._client: RelayClient | None = None
        self.pid = 0
        self.starts = 0

    async def client(self) -> RelayClient:
        """The control of the running relay; waits until it answers."""
        await self._up.wait()
        if self._client is None:
            raise StateError("The WAN relay is not running", fix="it is being started again")
        return self._client

    async def run(self) -> None:
        """Keep it running until cancelled."""
        delay = _BACKOFF_S[0]
        while True:
            began = monotonic()
            try:
                code = await self._run_once()
                logger.warning("the WAN relay ended (%s), starting it again", code)
            except OSError as error:
                logger.warning("the WAN relay cannot be started: %s; trying again", error)
            if monotonic() - began > _STEADY_S:
                delay = _BACKOFF_S[0]
            await asyncio.sleep(delay)
            delay = min(delay * 2, _BACKOFF_S[1])

    async def _run_once(self) -> int | None:
        argv = [
            sys.executable,
            "-m",
            "labkit.embedded.network.relay",
            "--control",
            str(self._control),
        ]
        with self._log_file.open("ab") as log:
            process = await self._processes.spawn(
                argv, name="wan-relay", env=dict(os.environ), output=log
            )
        self.pid = process.pid
        self.starts += 1
        client = RelayClient(self._control)
        try:
            await self._wait_until_healthy(client, process)
            self._client = client
            self._up.set()
            self._on_start()
            return await process.wait()
        finally:
            self._up.clear()
            self._client = None
            await client.close()
            await stop(process, grace_s=_GRACE_S)

    async def _wait_until_healthy(
        self, client: RelayClient, process: asyncio.subprocess.Process
    ) -> None:
        give_up = monotonic() + _START_S
        while process.returncode is None and monotonic() < give_up:
            if await client.healthy():
                return
            await asyncio.sleep(_POLL_S)
