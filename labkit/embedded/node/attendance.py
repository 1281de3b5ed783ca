"""What is done for a container while it runs: hooks after its start and before its end, and probes.

What follows from a failure (the end of this run, and whether there is another) is decided by
:mod:`labkit.embedded.node.lives`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

from labkit.embedded.node import executing, hooks
from labkit.embedded.node.containers import Running
from labkit.embedded.node.owner import Owner
from labkit.embedded.node.probing import ContainerProbes
from labkit.embedded.node.programs import Container
from labkit.embedded.node.sockets import port_number
from labkit.embedded.node.status import ContainerState

_GRACE_AFTER_HOOK_S = 2.0
"""What a container has at least after its preStop hook, as the kubelet gives it."""


class Attendance:
    """Hooks and probes of one container, as its spec declares them.

    Args:
        owner: its pod.
        spec: of the container.
        state: of the container; readiness is noted there.
        container: the container as it runs now, None while it does not.
        on_started: called when it has started: its startup probe has passed.
        kill: ends it, so that the restart policy decides; told why.
    """

    def __init__(
        self,
        owner: Owner,
        spec: Mapping[str, Any],
        state: ContainerState,
        *,
        container: Callable[[], Container | None],
        on_started: Callable[[], None],
        kill: Callable[[str], None],
    ) -> None:
        self._owner = owner
        self._spec = spec
        self._state = state
        self._container = container
        self._on_started = on_started
        self._kill = kill

    async def run(self) -> None:
        """The hook after the start, then the probes."""
        hook = self.hook_of("postStart")
        if hook and not await self._hook(hook):
            self._owner.event("FailedPostStartHook", "PostStartHook failed", self._state)
            self._kill("FailedPostStartHook")
            return
        await self._probes()

    def hook_of(self, moment: str) -> Mapping[str, Any] | None:
        """The hook of a moment, `postStart` or `preStop`, where one is declared."""
        hook: Mapping[str, Any] | None = (self._spec.get("lifecycle") or {}).get(moment)
        return hook

    async def _hook(self, hook: Mapping[str, Any]) -> bool:
        return await hooks.run_hook(
            hook, locate=self._locate, execute=self._execute, pod_ip=self._owner.pod_ip
        )

    async def end(self, running: Running, grace_s: float) -> None:
        """The hook before the end, within the grace; then SIGTERM and SIGKILL."""
        began = monotonic()
        if (hook := self.hook_of("preStop")) and grace_s > 0:
            try:
                async with asyncio.timeout(grace_s):
                    passed = await self._hook(hook)
            except TimeoutError:
                passed = False
            if not passed:
                self._owner.event("FailedPreStopHook", "PreStopHook failed", self._state)
            grace_s = max(_GRACE_AFTER_HOOK_S, grace_s - (monotonic() - began))
        await running.stop(grace_s)

    def _locate(self, port: int | str) -> str | None:
        number = port_number(self._spec, port)
        return None if number is None else self._owner.locate(number)

    async def _probes(self) -> None:
        found = ContainerProbes(
            self._spec,
            locate=self._locate,
            execute=self._execute,
            pod_ip=self._owner.pod_ip,
            on_ready=lambda ready: self._set_ready(ready=ready),
            on_unhealthy=self._unhealthy,
            on_dead=lambda word: self._kill(
                f"Container {self._state.name} failed {word} probe, will be restarted"
            ),
        )
        await found.startup()
        if not self._state.started:
            self._on_started()
            self._owner.changed()
        await found.watch()

    async def _execute(self, argv: Sequence[str]) -> tuple[int, str]:
        container = self._container()
        if container is None:
            raise OSError("the container is not running")
        return await executing.run_once(self._owner.config, container, argv)

    def _set_ready(self, *, ready: bool) -> None:
        if self._state.ready != ready:
            self._state.ready = ready
            self._owner.changed()

    def _unhealthy(self, message: str) -> None:
        self._owner.event("Unhealthy", message, self._state)
