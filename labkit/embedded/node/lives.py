"""The life of one container of a pod: start, probe, end, start again.

The restart policy and the back-off of a crashing container are here; its hooks and probes are in
:mod:`labkit.embedded.node.attendance`, the order of the containers of a pod is in
:mod:`labkit.embedded.node.pods`.
"""

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from labkit.embedded.images.catalog import (
    CommandNotFound,
    ImageNotFound,
    InvalidImageName,
    Program,
)
from labkit.embedded.kube import KubeError
from labkit.embedded.node import containers, logs
from labkit.embedded.node.attendance import Attendance
from labkit.embedded.node.commands import has_command
from labkit.embedded.node.containers import Running, StartProblem
from labkit.embedded.node.environment import ConfigProblem
from labkit.embedded.node.logs import ContainerLog
from labkit.embedded.node.owner import Owner
from labkit.embedded.node.programs import Container
from labkit.embedded.node.retries import Retries
from labkit.embedded.node.status import ContainerState
from labkit.embedded.node.volumes import MountProblem

logger = logging.getLogger(__name__)

_CONFIG_RETRY_S = 0.5
_LAST_WRITE_S = 2.0
_KEPT_LOGS = 2  # of this run and the one before
_START_ERROR_EXIT = 128


@dataclass(frozen=True)
class Policy:
    """When an ended container starts again."""

    restart: str
    """Always, OnFailure or Never."""
    grace_s: float

    def again(self, exit_code: int) -> bool:
        """Whether a container that ended like this starts again."""
        return self.restart == "Always" or (self.restart == "OnFailure" and exit_code != 0)


class ContainerLife:
    """Runs one container until it has ended for good or is stopped."""

    def __init__(
        self,
        owner: Owner,
        spec: Mapping[str, Any],
        state: ContainerState,
        *,
        folder: Path,
        policy: Policy,
    ) -> None:
        self._owner = owner
        self._spec = spec
        self._policy = policy
        self._folder = folder
        self._retries = Retries(owner, state)
        self._redefined = False
        self._running: Running | None = None
        self._stopping = False
        self._started = asyncio.Event()
        self.ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._killing: asyncio.Task[None] | None = None
        self.state = state
        self._attendance = self._attend_to(spec)
        self.log: ContainerLog | None = None
        self.container: Container | None = None

    @property
    def running(self) -> Running | None:
        """What runs now."""
        return self._running

    @property
    def stdin_once(self) -> bool:
        """Whether its stdin ends with the first client that attached."""
        return bool(self._spec.get("stdinOnce"))

    async def started(self) -> None:
        """Wait until it has started once: running, and its startup probe passed."""
        await self._started.wait()

    def log_path(self, *, previous: bool = False) -> Path:
        """The log of this run or of the one before."""
        return self._folder / f"{self.state.restarts - (1 if previous else 0)}.log"

    def start(self) -> asyncio.Task[None]:
        """Begin; the task ends with the container, for good: then `state.finished` holds."""
        self._task = asyncio.create_task(self._run(), name=f"{self._owner.title}/{self.state.name}")
        self._task.add_done_callback(_report)
        return self._task

    async def _run(self) -> None:
        while True:
            began = monotonic()
            code = await self._run_once()
            if self._stopping:
                return
            if code is None:
                continue
            if not self._redefined:
                if not self._policy.again(code):
                    self.state.finished = True
                    self._owner.changed()
                    return
                await self._retries.after_end(monotonic() - began)
            self._redefined = False
            self.state.restarts += 1

    def redefine(self, spec: Mapping[str, Any]) -> None:
        """The pod's spec has another image for it, the one thing that may change: run that."""
        self._spec = spec
        self._attendance = self._attend_to(spec)
        self.state.image = spec["image"]
        self._retries.begin_anew()
        if self._running is not None and not self._stopping:
            self._redefined = True
            self._kill(f"Container {self.state.name} definition changed, will be restarted")

    async def stop(self, grace_s: float | None = None) -> None:
        """Stop it for good; its last state stays."""
        if self._task is None:
            return
        self._stopping = True
        if self._running is not None:
            self._owner.event("Killing", f"Stopping container {self.state.name}", self.state)
            await self._attendance.end(
                self._running, self._policy.grace_s if grace_s is None else grace_s
            )
            await asyncio.wait({self._task}, timeout=_LAST_WRITE_S)
        self._task.cancel()
        await asyncio.wait({self._task})

    # one run

    async def _run_once(self) -> int | None:
        """Start it and wait for its end: its exit code, None when it could not be created yet."""
        try:
            created = await self._create()
            if created is None:
                return None
            log = self.log = ContainerLog(self.log_path())
            self._forget_old_logs()
            try:
                self._running = await self._launch(*created, log)
                self.container = created[2]
                return await self._attend(self._running, log)
            finally:
                self._running = self.container = None
                self.ended.set()
                self.ended = asyncio.Event()
                log.close()
        except CommandNotFound as problem:
            hint = f" ({problem.fix})" if problem.fix else ""
            return self._start_failed(f"{problem.what}{hint}")
        except StartProblem as problem:
            return self._start_failed(str(problem))

    async def _launch(
        self, program: Program, arguments: tuple[str, ...], container: Container, log: ContainerLog
    ) -> Running:
        processes = self._owner.config.processes
        starting = asyncio.ensure_future(
            containers.start(program, arguments, container, log=log, processes=processes)
        )
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            await (await starting).stop(0)  # never lose a child that is just being born
            raise

    async def _create(self) -> tuple[Program, tuple[str, ...], Container] | None:
        """Find the program and prepare the container; waits and answers None on trouble."""
        state, owner = self.state, self._owner
        try:
            argv = await owner.arguments(self._spec)
            program, arguments = self._program(argv)
            container = await owner.prepare(self._spec, program, self._folder)
        except (ImageNotFound, InvalidImageName) as problem:
            policy = self._spec.get("imagePullPolicy", "")
            await self._retries.after_pull(problem, policy=policy)
        except CommandNotFound:
            self._tell_created()  # a container exists as soon as its image does
            raise
        except (ConfigProblem, MountProblem, KubeError, OSError) as problem:
            message = str(problem)
            if state.waiting != ("CreateContainerConfigError", message):
                owner.event("Failed", f"Error: {message}", state)
                state.wait_for("CreateContainerConfigError", message)
                owner.changed()
            await asyncio.sleep(_CONFIG_RETRY_S)
        else:
            self._tell_created()
            return program, arguments, container
        return None

    def _program(self, argv: tuple[str, ...]) -> tuple[Program, tuple[str, ...]]:
        """What to run: a program of the image, or a command of its base image."""
        config, image = self._owner.config, self.state.image
        try:
            return config.find_program(image, argv)
        except CommandNotFound:
            if not has_command(config, image, argv):
                raise
            return Program("command", argv[0]), argv[1:]

    def _tell_created(self) -> None:
        image = f'Container image "{self.state.image}" already present on machine'
        self._owner.event("Pulled", f"{image} and can be accessed by the pod", self.state)
        self._owner.event("Created", "Container created", self.state)

    async def _attend(self, running: Running, log: ContainerLog) -> int:
        """Follow a started container to its end."""
        state, owner = self.state, self._owner
        seed = f"{owner.title}/{state.name}/{state.restarts}"
        state.run(f"labkit://{hashlib.sha256(seed.encode()).hexdigest()}")
        owner.event("Started", "Container started", state)
        if not self._spec.get("startupProbe") and not self._attendance.hook_of("postStart"):
            self._has_started()  # told together with the start, as the kubelet does
        watch = asyncio.create_task(self._attendance.run(), name=f"probes of {state.name}")
        owner.changed()
        try:
            code = await running.wait()
        finally:
            watch.cancel()
        log.close()
        self._started.clear()
        state.end(code, message=self._last_words(code))
        owner.changed()
        return code

    def _has_started(self) -> None:
        self.state.started = True
        self.state.ready = not self._spec.get("readinessProbe")
        self._started.set()

    def _attend_to(self, spec: Mapping[str, Any]) -> Attendance:
        return Attendance(
            self._owner,
            spec,
            self.state,
            container=lambda: self.container,
            on_started=self._has_started,
            kill=self._kill,
        )

    def _kill(self, message: str) -> None:
        """End it, so that the restart policy decides."""
        running = self._running
        if running is None or self._stopping or (self._killing and not self._killing.done()):
            return
        self._owner.event("Killing", message, self.state)
        self._killing = asyncio.create_task(self._attendance.end(running, self._policy.grace_s))

    def _last_words(self, code: int) -> str:
        wanted = self._spec.get("terminationMessagePolicy") == "FallbackToLogsOnError"
        return logs.tail_text(self.log_path()) if wanted and code != 0 else ""

    def _start_failed(self, message: str) -> int:
        text = f"failed to start container: {message}"
        self._owner.event("Failed", f"Error: {text}", self.state)
        self.state.container_id = self.state.container_id or "labkit://not-started"
        self.state.end(_START_ERROR_EXIT, reason="StartError", message=text)
        self._owner.changed()
        return _START_ERROR_EXIT

    def _forget_old_logs(self) -> None:
        for path in self._folder.glob("*.log*"):
            number = path.name.partition(".")[0]
            if number.isdigit() and int(number) <= self.state.restarts - _KEPT_LOGS:
                path.unlink(missing_ok=True)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        logger.error("the container %s is lost", task.get_name(), exc_info=error)
