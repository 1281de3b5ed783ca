"""Waiting before a container's next try: for its image, and after it has failed.

Both waits double with each failure, as the kubelet's do, and both tell why in the container's
state and in events. They end early when the container is given another image.
"""

import asyncio
import logging
from typing import Protocol

from labkit.embedded.images.catalog import ImageNotFound, InvalidImageName
from labkit.embedded.node.config import NodeConfig
from labkit.embedded.node.pulling import trouble_with
from labkit.embedded.node.status import ContainerState

logger = logging.getLogger(__name__)

_ERROR_SHOWN_S = 1.0


class Teller(Protocol):
    """Where it is told that a container waits."""

    config: NodeConfig
    title: str
    """``NAME_NAMESPACE(UID)`` of the pod."""

    def changed(self) -> None:
        """The container's state changed."""

    def event(self, reason: str, message: str, state: ContainerState) -> None:
        """Record an event about the container."""


class Retries:
    """Counts the failures of one container and waits after each."""

    def __init__(self, owner: Teller, state: ContainerState) -> None:
        self._owner = owner
        self._state = state
        self._pulls = 0
        self._crashes = 0
        self._anew = asyncio.Event()

    def begin_anew(self) -> None:
        """Forget the failures and end the wait: the container is another one now."""
        self._pulls = self._crashes = 0
        self._anew.set()

    async def after_pull(self, problem: ImageNotFound | InvalidImageName, *, policy: str) -> None:
        """Tell that there is no image, and wait before the next look for it."""
        state, owner = self._state, self._owner
        trouble = trouble_with(state.image, policy, problem)
        for reason, message in trouble.events:
            owner.event(reason, message, state)
        state.wait_for(trouble.reason, trouble.message)
        owner.changed()
        delay_s = self._delay_s(self._pulls)
        self._pulls += 1
        if trouble.backs_off:
            if await self._wait(min(_ERROR_SHOWN_S, delay_s / 2)):
                return
            text = f'Back-off pulling image "{state.image}"'
            owner.event("BackOff", text, state)
            owner.event("Failed", "Error: ImagePullBackOff", state)
            state.wait_for("ImagePullBackOff", f"{text}: ErrImagePull: {trouble.message}")
            owner.changed()
        await self._wait(delay_s)

    async def after_end(self, ran_s: float) -> None:
        """Wait before the next start: not at all the first time, then 10 s doubling to 5 min."""
        if ran_s >= self._owner.config.backoff_reset_s:
            self._crashes = 0
        self._crashes += 1
        if self._crashes == 1:
            return
        delay_s = self._delay_s(self._crashes - 2)
        name, title = self._state.name, self._owner.title
        pod = title.partition("_")[0]
        text = f"Back-off restarting failed container {name} in pod {title}"
        self._owner.event("BackOff", text, self._state)
        self._state.wait_for(
            "CrashLoopBackOff",
            f"back-off {_duration(delay_s)} restarting failed container={name} pod={title}",
        )
        logger.debug("container %s of pod %s waits %.0f s", name, pod, delay_s)
        self._owner.changed()
        await self._wait(delay_s)

    def _delay_s(self, failures: int) -> float:
        first, longest = self._owner.config.backoff_s
        return float(min(first * 2 ** min(failures, 20), longest))

    async def _wait(self, seconds: float) -> bool:
        """Wait; whether it ended early."""
        self._anew.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._anew.wait()
        except TimeoutError:
            return False
        return True


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
