"""Alarms that ring within a tenth of a millisecond.

The event loop's timers have whole milliseconds, which would add more than a millisecond to a
round trip. On Linux one kernel timer (timerfd), set to the earliest alarm, wakes the loop
instead; Python offers it only from 3.13 on, so it is reached through the C library. Elsewhere the
loop's own timers are used, never shorter than a millisecond, because the loop would spin.

A sleeping process wakes late by some tens of microseconds. The kernel timer is therefore set ahead
by the median of that, learned from each wake-up, and the rest is waited out: never too early.
"""

import asyncio
import contextlib
import ctypes
import heapq
import itertools
import os
import sys
from collections.abc import Callable
from time import perf_counter

_MIN_TIMER_S = 0.001
_MIN_KERNEL_S = 0.00001
_LEAD_STEP_S = 0.000004
_LEAD_LIMIT_S = 0.0003
_TFD_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_TFD_NONBLOCK = getattr(os, "O_NONBLOCK", 0)
_CLOCK_MONOTONIC = 1


class Alarm:
    """One call at a moment; cancel it by `cancel`."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Never ring."""
        self.callback = None


class Alarms:
    """All alarms of one event loop, rung by one timer."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._heap: list[tuple[float, int, Alarm]] = []
        self._numbers = itertools.count()
        self._armed = float("inf")
        self.lead_s = 0.0
        """Median delay of a wake-up, as learned so far."""
        self._timer: asyncio.TimerHandle | None = None
        self._kernel = _KernelTimer.open()
        if self._kernel:
            self._loop.add_reader(self._kernel.fd, self._ring)

    def at(self, due: float, callback: Callable[[], None]) -> Alarm:
        """Call back at a moment of `time.perf_counter`."""
        alarm = Alarm(callback)
        heapq.heappush(self._heap, (due, next(self._numbers), alarm))
        if due < self._armed:
            self._arm(due)
        return alarm

    def close(self) -> None:
        """Ring no more."""
        self._heap.clear()
        if self._kernel:
            self._loop.remove_reader(self._kernel.fd)
            self._kernel.close()
        if self._timer:
            self._timer.cancel()

    def _arm(self, due: float) -> None:
        self._armed = due
        wait = due - perf_counter()
        if self._kernel:
            self._kernel.set(max(_MIN_KERNEL_S, wait - self.lead_s))
            return
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_later(max(_MIN_TIMER_S, wait), self._ring)

    def _ring(self) -> None:
        if self._kernel:
            self._kernel.clear()
            self._learn(perf_counter() - self._armed)
        now = perf_counter()
        while 0 < self._armed - now < _LEAD_LIMIT_S:
            now = perf_counter()
        self._armed = float("inf")
        while self._heap and self._heap[0][0] <= now:
            callback = heapq.heappop(self._heap)[2].callback
            if callback is not None:
                callback()
        if self._heap and self._heap[0][0] < self._armed:
            self._arm(self._heap[0][0])

    def _learn(self, late_s: float) -> None:
        step = _LEAD_STEP_S if late_s > 0 else -_LEAD_STEP_S
        self.lead_s = min(max(self.lead_s + step, 0.0), _LEAD_LIMIT_S)


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


class _KernelTimer:
    """A timerfd."""

    def __init__(self, libc: ctypes.CDLL, fd: int) -> None:
        self._libc = libc
        self.fd = fd

    @classmethod
    def open(cls) -> "_KernelTimer | None":
        """A timer, or None where there is none."""
        if sys.platform != "linux":
            return None
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            fd = libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_CLOEXEC | _TFD_NONBLOCK)
        except (OSError, AttributeError):
            return None
        return cls(libc, fd) if fd >= 0 else None

    def set(self, wait_s: float) -> None:
        """Ring after so many seconds, instead of what was set before."""
        whole = int(wait_s)
        value = _TimeSpec(whole, int((wait_s - whole) * 1e9))
        self._libc.timerfd_settime(
            self.fd, 0, ctypes.byref(_TimerSpec(_TimeSpec(0, 0), value)), None
        )

    def clear(self) -> None:
        """Take note that it rang."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 8)

    def close(self) -> None:
        """Give it back."""
        os.close(self.fd)
