"""The life of one pod on this node, from the moment it is bound here until it is gone.

Order, as the kubelet's: sockets and address are told first, volumes next, then init containers one
after the other (a native sidecar, an init container with restartPolicy Always, must only have
started), then the app containers together. At the end the app containers stop first, then the
sidecars in reverse order, and the pod object is deleted.
"""

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from labkit.embedded.images.catalog import Program
from labkit.embedded.kube import KubeError, path_of
from labkit.embedded.node import sockets, timestamps
from labkit.embedded.node.capacity import capacity_of
from labkit.embedded.node.context import NodeContext
from labkit.embedded.node.environment import EnvironmentResolver, command_line
from labkit.embedded.node.lives import ContainerLife, Policy
from labkit.embedded.node.preparing import (
    ROOT,
    WORK,
    Remembered,
    as_known_here,
    container_of,
    needs_node_proxy,
)
from labkit.embedded.node.programs import Container
from labkit.embedded.node.recovery import containers_by_kind, first_state
from labkit.embedded.node.sockets import PodSockets
from labkit.embedded.node.status import ContainerState, Kind, pod_status
from labkit.embedded.node.status_writer import StatusWriter
from labkit.embedded.node.volumes import MountProblem, PodVolumes

logger = logging.getLogger(__name__)

Object = dict[str, Any]

_SETUP_RETRY_S = (0.2, 5.0)
_DELETE_RETRY_S = (0.1, 5.0)
_COMPONENT_TOKEN_S = 365 * 24 * 3600
_DEFAULT_GRACE_S = 30.0
_FINAL_GRACE_S = 2.0


class PodWorker:
    """One pod and its containers. See `owner.Owner` for what the containers ask of it."""

    def __init__(self, node: NodeContext, pod: Object) -> None:
        self.node = node
        self.config = node.config
        self.pod = pod
        self.uid: str = pod["metadata"]["uid"]
        self.namespace: str = pod["metadata"]["namespace"]
        self.name: str = pod["metadata"]["name"]
        self.title = f"{self.name}_{self.namespace}({self.uid})"
        self.pod_ip = ""
        self.sockets: PodSockets | None = None
        self._folder = self.config.data_dir / "pods" / self.uid
        self._start_time = (pod.get("status") or {}).get("startTime") or timestamps.now()
        self._objects = Remembered(partial(node.read, namespace=self.namespace))
        self._leaving = asyncio.Event()
        self._gone = False
        self._had_ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        self._status = StatusWriter(
            node.kube, self._path("status"), compute=self._compute_status, on_written=self._take
        )
        self.lives = {
            spec["name"]: self._life(spec, kind) for spec, kind in containers_by_kind(pod["spec"])
        }
        self._volumes = PodVolumes(
            pod,
            self._folder / "volumes",
            read=self._objects.read,
            token=lambda audience, seconds: node.token(self.pod, audience, seconds),
        )

    # what the agent tells it

    def update(self, pod: Object) -> None:
        """The pod object changed."""
        if _version(pod) >= _version(self.pod):
            self.pod = pod
            self._volumes.update(self._view())
            self._take_images()
        if pod["metadata"].get("deletionTimestamp"):
            self._leaving.set()
        if pod["spec"].get("readinessGates"):
            self._status.changed()

    def _take_images(self) -> None:
        """Containers whose image changed run the new one."""
        for spec, _ in containers_by_kind(self.pod["spec"]):
            life = self.lives[spec["name"]]
            if life.state.image != spec["image"] and not life.state.finished:
                life.redefine(spec)

    async def taken_over(self) -> None:
        """Wait until the API server no longer says what an earlier daemon wrote."""
        if (self.pod.get("status") or {}).get("containerStatuses") and not self._had_ended:
            await self._status.written()

    def vanish(self) -> None:
        """The pod object is gone: stop without asking anybody."""
        self._gone = True
        self._leaving.set()

    async def run(self) -> None:
        """The whole life. Cancel it to stop the containers but keep the pod object."""
        writer = asyncio.create_task(self._status.run(), name=f"status {self.name}")
        living = asyncio.create_task(self._live(), name=f"pod {self.namespace}/{self.name}")
        living.add_done_callback(_report)
        if (self.pod.get("status") or {}).get("containerStatuses"):
            self._status.changed()  # what an earlier daemon wrote is not true any more
        leaving = asyncio.create_task(self._leaving.wait())
        if self.pod["metadata"].get("deletionTimestamp"):
            self._leaving.set()
        try:
            await leaving
            living.cancel()
            await self._stop_containers(self._grace_s())
            writer.cancel()
            await self._delete_object()
        finally:
            for task in (writer, living, leaving):
                task.cancel()
            await asyncio.wait({writer, living})
            await self._stop_containers(min(self._grace_s(), _FINAL_GRACE_S))
            await self._clean_up()

    # what the containers ask

    def changed(self) -> None:
        """A container's state changed."""
        self._status.changed()

    def event(self, reason: str, message: str, state: ContainerState) -> None:
        """Record an event about a container."""
        kind = "app" if state.kind == "app" else "init"
        self.node.events.pod(self.pod, reason, message, container=state.name, kind=kind)

    def locate(self, port: int) -> str | None:
        """Real socket of a port."""
        return self.sockets.local(port) if self.sockets else None

    async def arguments(self, spec: Mapping[str, Any]) -> tuple[str, ...]:
        """Command line of a container."""
        return command_line(spec, await self._environment(spec))

    async def prepare(self, spec: Mapping[str, Any], program: Program, folder: Path) -> Container:
        """Link the volumes, and gather what the program is told."""
        self._volumes.link(spec, folder / ROOT)
        (folder / WORK).mkdir(parents=True, exist_ok=True, mode=0o700)
        env = await self._environment(spec)
        token = ""
        if program.kind == "component":
            token = await self.node.token(self.pod, None, _COMPONENT_TOKEN_S)
        if self.sockets and needs_node_proxy(program, self.sockets):
            self.node.node_proxy.want()
            if not self.sockets.meshed:  # a meshed pod's own proxy opens its way out
                await self.node.node_proxy.serving(self.sockets.egress)
        return container_of(
            self.node,
            self._view(),
            spec,
            sockets=self.sockets,
            env=env,
            token=token,
            folder=folder,
        )

    # living

    async def _live(self) -> None:
        """Everything up to the end of the last container."""
        if self._had_ended:
            return
        await self._set_up()
        for life in self._of_kind("init", "sidecar"):
            task = life.start()
            if life.state.kind == "sidecar":
                await life.started()
                continue
            await asyncio.wait({task})
            if not life.state.succeeded:  # restartPolicy Never: the pod has failed
                await self._end_sidecars()
                return
        for life in self._of_kind("app"):
            life.state.wait_for("ContainerCreating")
        apps = {life.start() for life in self._of_kind("app")}
        refresh = asyncio.create_task(self._refresh_volumes(), name=f"volumes {self.name}")
        try:
            await asyncio.wait(apps)
        finally:
            refresh.cancel()
        await self._end_sidecars()

    async def _end_sidecars(self) -> None:
        for life in reversed(self._of_kind("sidecar")):
            await life.stop()
        self.changed()

    async def _set_up(self) -> None:
        """Address, sockets and volumes; everybody learns of them before a container starts."""
        before = (self.pod.get("status") or {}).get("podIP") or ""
        if self.pod["spec"].get("hostNetwork"):
            self.pod_ip = self.config.internal_ip
        else:
            keeps = before and self.node.addresses.reserve(before)
            self.pod_ip = before if keeps else self.node.addresses.allocate()
        self.sockets = sockets.allocate(self.pod["spec"], self.config.exposed_ports)
        self._volumes.update(self._view())
        delay = _SETUP_RETRY_S[0]
        announced = False
        while True:
            try:
                if not announced:
                    body = {"metadata": {"annotations": self.sockets.annotations()}}
                    await self.node.kube.patch(self._path(), body)
                    announced = True
                await self._volumes.write()
            except (MountProblem, KubeError, OSError) as problem:
                logger.debug("pod %s cannot be set up yet: %s", self.title, problem)
                self.node.events.pod(self.pod, "FailedMount", str(problem))
                self._status.changed()
                await asyncio.sleep(delay)
                delay = min(delay * 2, _SETUP_RETRY_S[1])
            else:
                self._status.changed()
                return

    async def _refresh_volumes(self) -> None:
        while self._volumes.need_refresh:
            await asyncio.sleep(self.config.volume_refresh_s)
            with contextlib.suppress(MountProblem, KubeError, OSError):
                self._objects.forget()
                await self._volumes.write()

    async def _environment(self, spec: Mapping[str, Any]) -> dict[str, str]:
        capacity = capacity_of(self.config.size)
        numbers = {"cpu": capacity.cpus, "memory": capacity.memory_bytes}
        resolver = EnvironmentResolver(self._view(), self._objects.read, capacity=numbers)
        return await resolver.resolve(spec)

    def _view(self) -> Object:
        return as_known_here(
            self.pod, sockets=self.sockets, pod_ip=self.pod_ip, host_ip=self.config.internal_ip
        )

    # leaving

    def _grace_s(self) -> float:
        metadata, spec = self.pod["metadata"], self.pod["spec"]
        for value in (
            metadata.get("deletionGracePeriodSeconds"),
            spec.get("terminationGracePeriodSeconds"),
        ):
            if value is not None:
                return float(value)
        return _DEFAULT_GRACE_S

    async def _stop_containers(self, grace_s: float) -> None:
        ends = monotonic() + grace_s
        await asyncio.gather(*(life.stop(grace_s) for life in self._of_kind("app", "init")))
        for life in reversed(self._of_kind("sidecar")):
            await life.stop(max(0.5, ends - monotonic()))

    async def _delete_object(self) -> None:
        """Tell the API server that the pod may go."""
        if self._gone:
            return
        with contextlib.suppress(KubeError):
            await self._status.write()
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "gracePeriodSeconds": 0,
            "preconditions": {"uid": self.uid},
        }
        delay = _DELETE_RETRY_S[0]
        while not self._gone:
            try:
                await self.node.kube.delete(self._path(), body)
            except KubeError as error:
                if error.status in (404, 409):
                    return
                await asyncio.sleep(delay)
                delay = min(delay * 2, _DELETE_RETRY_S[1])
            else:
                return

    async def _clean_up(self) -> None:
        if self.sockets:
            self.sockets.release()
        if self.pod_ip and not self.pod["spec"].get("hostNetwork"):
            self.node.addresses.release(self.pod_ip)
        if self._leaving.is_set():
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    # small things

    def _compute_status(self) -> Object | None:
        if self._had_ended:
            return None  # before this node looked at it
        return pod_status(
            self.pod,
            [life.state for life in self.lives.values()],
            pod_ip=self.pod_ip,
            host_ip=self.config.internal_ip,
            start_time=self._start_time,
        )

    def _take(self, answer: Object) -> None:
        if answer.get("metadata", {}).get("uid") == self.uid:
            self.pod = answer  # so that conditions keep their transition times

    def _of_kind(self, *kinds: str) -> list[ContainerLife]:
        return [life for life in self.lives.values() if life.state.kind in kinds]

    def _path(self, subresource: str | None = None) -> str:
        return path_of("v1", "pods", self.namespace, self.name, subresource)

    def _life(self, spec: Object, kind: Kind) -> ContainerLife:
        policy = self.pod["spec"].get("restartPolicy") or "Always"
        if kind == "init":
            policy = "Never" if policy == "Never" else "OnFailure"
        grace = self.pod["spec"].get("terminationGracePeriodSeconds")
        return ContainerLife(
            self,
            spec,
            first_state(self.pod, spec, kind),
            folder=self._folder / spec["name"],
            policy=Policy(
                restart="Always" if kind == "sidecar" else policy,
                grace_s=_DEFAULT_GRACE_S if grace is None else float(grace),
            ),
        )


def _version(pod: Object) -> int:
    text = str(pod["metadata"].get("resourceVersion") or "0")
    return int(text) if text.isdigit() else 0


def _report(living: asyncio.Task[None]) -> None:
    if not living.cancelled() and (error := living.exception()):
        logger.error("%s failed", living.get_name(), exc_info=error)
