"""Lifecycle hooks of a container: postStart and preStop, by exec, httpGet, tcpSocket or sleep."""

import asyncio
from collections.abc import Mapping
from typing import Any

from labkit.embedded.node import probes


async def run_hook(
    hook: Mapping[str, Any], *, locate: probes.Locate, execute: probes.Execute, pod_ip: str
) -> bool:
    """Run a hook to its end; whether it succeeded. Cancel it to give up.

    Args:
        hook: `exec`, `httpGet`, `tcpSocket` or `sleep` as in the spec.
        locate: port of the spec → its real socket.
        execute: run a command in the container: its exit code and output.
        pod_ip: for messages.
    """
    if "sleep" in hook:
        await asyncio.sleep(float(hook["sleep"].get("seconds") or 0))
        return True
    untimed = {**hook, "timeoutSeconds": float("inf")}
    if "exec" in hook:
        return (await probes.try_exec(untimed, execute)).ok is True
    return (await probes.try_probe(untimed, locate, pod_ip=pod_ip)).ok is True
