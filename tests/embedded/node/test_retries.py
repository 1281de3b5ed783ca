"""The waits between a container's tries, in time that does not pass."""

import asyncio
import types

import pytest

from labkit.embedded.images.catalog import ImageNotFound
from labkit.embedded.node.retries import Retries
from labkit.embedded.node.status import ContainerState

MISSING = ImageNotFound("no image", seen="not found")


class Teller:
    title = "web_default(1)"
    config = types.SimpleNamespace(backoff_s=(10.0, 300.0), backoff_reset_s=600.0)

    def __init__(self):
        self.told = []

    def changed(self):
        pass

    def event(self, reason, message, state):
        assert message
        assert state.name == "app"
        self.told.append(reason)


@pytest.fixture
def state():
    return ContainerState(name="app", image="x:1", kind="app")


async def seconds_of(waiting):
    loop = asyncio.get_running_loop()
    began = loop.time()
    await waiting
    return round(loop.time() - began)


@pytest.mark.looptime
async def test_a_crash_waits_longer_each_time_until_it_ran_for_long(state):
    retries = Retries(Teller(), state)
    waits = [await seconds_of(retries.after_end(1)) for _ in range(8)]
    assert waits == [0, 10, 20, 40, 80, 160, 300, 300]
    assert state.waiting[0] == "CrashLoopBackOff"
    assert "back-off 5m0s restarting failed container=app pod=web_default(1)" in state.waiting[1]
    assert await seconds_of(retries.after_end(600)) == 0


@pytest.mark.looptime
async def test_a_missing_image_is_an_error_first_and_a_back_off_then(state):
    teller = Teller()
    retries = Retries(teller, state)
    waits = [await seconds_of(retries.after_pull(MISSING, policy="")) for _ in range(7)]
    assert waits == [11, 21, 41, 81, 161, 301, 301]
    assert teller.told[:5] == ["Pulling", "Failed", "Failed", "BackOff", "Failed"]
    assert state.waiting[0] == "ImagePullBackOff"


@pytest.mark.looptime
async def test_another_image_ends_the_wait_and_forgets_the_failures(state):
    retries = Retries(Teller(), state)
    for _ in range(4):
        await retries.after_pull(MISSING, policy="")
    waiting = asyncio.create_task(seconds_of(retries.after_pull(MISSING, policy="")))
    await asyncio.sleep(5)
    retries.begin_anew()
    assert await waiting == 5
    assert await seconds_of(retries.after_pull(MISSING, policy="")) == 11
