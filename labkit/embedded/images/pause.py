"""Containers that do nothing: `pause` waits to be stopped, `sleep` waits for a while.

They are components, not processes: a gateway's pod needs a container, not ten megabytes.
"""

import asyncio

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


async def run(container: object, runtime: object) -> int:  # noqa: ARG001 - a component's signature
    """Wait until cancelled, as `registry.k8s.io/pause` does."""
    await asyncio.Event().wait()
    return 0


async def finish(container: object, runtime: object) -> int:  # noqa: ARG001 - the shape of a component
    """End at once with success: the init containers whose work is not needed here."""
    return 0


async def sleep(container: object, runtime: object) -> int:
    """`sleep DURATION…`: seconds, or with a suffix s, m, h, d; `infinity` for ever.

    The arguments are those of the container's command; a wrong one ends with exit code 1.
    """
    argv: tuple[str, ...] = getattr(container, "argv", ())
    log = getattr(runtime, "log", None)
    words = [word for word in argv if word.rpartition("/")[2] != "sleep"]
    try:
        seconds = sum(_seconds(word) for word in words)
    except ValueError as error:
        if log is not None:
            log(f"sleep: {error}")
        return 1
    if not words:
        if log is not None:
            log("sleep: missing operand")
        return 1
    if seconds == float("inf"):
        await asyncio.Event().wait()
    await asyncio.sleep(seconds)
    return 0


def _seconds(word: str) -> float:
    if word in {"infinity", "inf"}:
        return float("inf")
    number, unit = (word[:-1], word[-1]) if word[-1:] in _UNITS else (word, "s")
    try:
        value = float(number)
    except ValueError as error:
        raise ValueError(f"invalid time interval '{word}'") from error
    if value < 0:
        raise ValueError(f"invalid time interval '{word}'")
    return value * _UNITS[unit]
