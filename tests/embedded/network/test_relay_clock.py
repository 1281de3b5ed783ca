import asyncio
from time import perf_counter

import pytest

from labkit.embedded.network import relay_clock
from labkit.embedded.network.relay_clock import Alarms


@pytest.fixture(params=["kernel timer", "loop timer"])
async def alarms(request, monkeypatch):
    if request.param == "loop timer":
        monkeypatch.setattr(relay_clock._KernelTimer, "open", classmethod(lambda _: None))
    alarms = Alarms()
    yield alarms
    alarms.close()


async def test_alarms_ring_in_order_and_never_early(alarms):
    rung = []
    done = asyncio.Event()
    start = perf_counter()
    for delay in (0.03, 0.01, 0.02):
        due = start + delay
        alarms.at(due, lambda due=due: rung.append((due, perf_counter())))
    alarms.at(start + 0.04, done.set)
    await asyncio.wait_for(done.wait(), 5)
    assert [due for due, _ in rung] == sorted(due for due, _ in rung)
    assert all(at >= due for due, at in rung)
    assert len(rung) == 3


async def test_a_cancelled_alarm_does_not_ring(alarms):
    rung = []
    done = asyncio.Event()
    now = perf_counter()
    alarms.at(now + 0.005, lambda: rung.append("cancelled")).cancel()
    alarms.at(now + 0.01, done.set)
    await asyncio.wait_for(done.wait(), 5)
    assert rung == []


async def test_an_alarm_may_set_the_next_one(alarms):
    done = asyncio.Event()
    count = 0

    def again():
        nonlocal count
        count += 1
        if count == 20:
            done.set()
        else:
            alarms.at(perf_counter() + 0.001, again)

    again()
    await asyncio.wait_for(done.wait(), 5)
    assert count == 20


async def test_a_moment_in_the_past_rings_at_once(alarms):
    done = asyncio.Event()
    alarms.at(perf_counter() - 1, done.set)
    await asyncio.wait_for(done.wait(), 5)
