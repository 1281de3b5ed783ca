"""The probes of one running container: startup first, then readiness and liveness side by side."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from labkit.embedded.node import probes


class ContainerProbes:
    """Runs what the container's spec declares.

    Args:
        spec: of the container.
        locate: port of the spec, by number or name → its real socket.
        execute: run a command in the container: its exit code and output.
        pod_ip: for messages.
        on_ready: told the readiness when a threshold is reached.
        on_unhealthy: told the kubelet's message of each counted failure.
        on_dead: told "startup" or "liveness" when the container must be restarted.
    """

    def __init__(
        self,
        spec: Mapping[str, Any],
        *,
        locate: probes.Locate,
        execute: probes.Execute,
        pod_ip: str,
        on_ready: Callable[[bool], None],
        on_unhealthy: Callable[[str], None],
        on_dead: Callable[[str], None],
    ) -> None:
        self._spec = spec
        self._locate = locate
        self._execute = execute
        self._pod_ip = pod_ip
        self._on_ready = on_ready
        self._on_unhealthy = on_unhealthy
        self._on_dead = on_dead

    async def startup(self) -> None:
        """Return when the startup probe has passed (at once without one)."""
        if not self._spec.get("startupProbe"):
            return
        passed = asyncio.Event()
        task = asyncio.create_task(self._prober("startupProbe", passed).run())
        try:
            await passed.wait()
        finally:
            task.cancel()

    async def watch(self) -> None:
        """Probe readiness and liveness until cancelled."""
        kinds = [kind for kind in ("readinessProbe", "livenessProbe") if self._spec.get(kind)]
        async with asyncio.TaskGroup() as group:
            for kind in kinds:
                group.create_task(self._prober(kind, None).run())

    def _prober(self, kind: str, passed: asyncio.Event | None) -> probes.Prober:
        word = kind.removesuffix("Probe")

        def on_failure(message: str) -> None:
            self._on_unhealthy(f"{word.capitalize()} probe failed: {message}")

        def on_threshold(passing: bool, _: str) -> None:  # noqa: FBT001 - a probe's verdict
            if kind == "readinessProbe":
                self._on_ready(passing)
            elif passing and passed is not None:
                passed.set()
            elif not passing:
                self._on_dead(word)

        return probes.Prober(
            self._spec[kind],
            self._attempt(self._spec[kind]),
            eager=kind != "livenessProbe",
            on_threshold=on_threshold,
            on_failure=on_failure,
        )

    def _attempt(self, probe: Mapping[str, Any]) -> Callable[[], Awaitable[probes.Result]]:
        if "exec" in probe:
            return lambda: probes.try_exec(probe, self._execute)
        return lambda: probes.try_probe(probe, self._locate, pod_ip=self._pod_ip)
