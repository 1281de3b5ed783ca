"""A process that gets the processor as soon as it wakes, on a machine that is busy.

Linux lets processes take turns in slices of some milliseconds, so one that sleeps until a moment
may wake several too late while others compute. A process can ask for shorter slices (from Linux
6.12 on, without any right): it gets no more of the processor, but gets it sooner. Older kernels
take no notice, and other systems are not asked.
"""

import ctypes
import os
import platform
import sys

_SLICE_NS = 300_000
"""Shorter ones (from 0.1 ms on) make a process that computes much lose its turn too often."""

_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
_SCHED_OTHER = 0


class _Attributes(ctypes.Structure):
    """`struct sched_attr`."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
    )


def be_prompt() -> bool:
    """Ask for short slices for this thread.

    Returns:
        Whether the kernel has heard it; a refusal changes nothing.
    """
    number = _SCHED_SETATTR.get(platform.machine())
    if sys.platform != "linux" or number is None:
        return False
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    asked = _Attributes(
        size=ctypes.sizeof(_Attributes), policy=_SCHED_OTHER, nice=nice, runtime=_SLICE_NS
    )
    try:
        return bool(ctypes.CDLL(None).syscall(number, 0, ctypes.byref(asked), 0) == 0)
    except (OSError, AttributeError):
        return False
