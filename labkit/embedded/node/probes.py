"""Startup, readiness and liveness probes: httpGet, tcpSocket and grpc on real sockets, and exec.

Timing follows the kubelet with one difference that makes a lab quick: until a startup or
readiness probe has succeeded for the first time it is tried at least every 100 ms. Failures still
count at most once per declared period and not before the declared initial delay, so thresholds
keep their meaning.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from labkit.embedded.images.catalog import CommandNotFound

_FAST_S = (0.02, 0.1)  # first second, then
_FAST_FOR_S = 20.0
_BODY_LIMIT = 4096

Locate = Callable[[int | str], str | None]
"""Port of the spec, by number or name → real socket."""


@dataclass(frozen=True)
class Result:
    """What one try saw: ok True, False, or None for unknown."""

    ok: bool | None
    message: str = ""


@dataclass(frozen=True)
class Timing:
    """The declared timings, seconds, with Kubernetes' defaults."""

    initial_delay_s: float
    period_s: float
    timeout_s: float
    success_threshold: int
    failure_threshold: int

    @classmethod
    def of(cls, probe: Mapping[str, Any]) -> "Timing":
        """Read from a probe of the spec."""
        return cls(
            initial_delay_s=float(probe.get("initialDelaySeconds") or 0),
            period_s=float(probe.get("periodSeconds") or 10),
            timeout_s=float(probe.get("timeoutSeconds") or 1),
            success_threshold=int(probe.get("successThreshold") or 1),
            failure_threshold=int(probe.get("failureThreshold") or 3),
        )


Execute = Callable[[Sequence[str]], Awaitable[tuple[int, str]]]
"""Runs a command in the container: exit code and output."""


async def try_exec(probe: Mapping[str, Any], execute: Execute) -> Result:
    """Run an exec probe once, within its timeout."""
    timing = Timing.of(probe)
    argv = (probe.get("exec") or {}).get("command") or []
    try:
        async with asyncio.timeout(timing.timeout_s):
            code, output = await execute(argv)
    except TimeoutError:
        text = f'command "{" ".join(argv)}" timed out after {timing.timeout_s:g}s'
        return Result(False, f"command timed out: {text}")
    except CommandNotFound as problem:
        return Result(False, problem.what)
    except OSError as problem:
        return Result(False, str(problem))
    return Result(code == 0, output)


async def try_probe(probe: Mapping[str, Any], locate: Locate, *, pod_ip: str) -> Result:
    """Run a probe once, within its timeout."""
    timing = Timing.of(probe)
    kind = next((word for word in _ACTIONS if word in probe), None)
    if kind is None:
        return Result(None, "the probe has no action")
    action, declared = _ACTIONS[kind], probe[kind]
    virtual = f"{declared.get('host') or pod_ip}:{declared.get('port')}"
    address = locate(declared.get("port", 0))
    if address is None:
        return Result(False, f"dial tcp {virtual}: connect: connection refused")
    try:
        async with asyncio.timeout(timing.timeout_s):
            return await action(declared, address, virtual)
    except TimeoutError:
        if "httpGet" not in probe:
            return Result(False, f"dial tcp {virtual}: i/o timeout")
        text = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        return Result(False, f"{_request(declared, virtual)}: {text}")
    except OSError:
        refused = f"dial tcp {virtual}: connect: connection refused"
        before = f"{_request(declared, virtual)}: " if "httpGet" in probe else ""
        return Result(False, f"{before}{refused}")


def _request(declared: Mapping[str, Any], virtual: str) -> str:
    scheme = str(declared.get("scheme") or "HTTP").lower()
    return f'Get "{scheme}://{virtual}{declared.get("path") or "/"}"'


async def _tcp(_: Mapping[str, Any], address: str, __: str) -> Result:
    host, port = address.split(":")
    _reader, writer = await asyncio.open_connection(host, int(port))
    writer.close()
    return Result(True)


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # as the kubelet: a probe does not verify
    return context


async def _http(declared: Mapping[str, Any], address: str, virtual: str) -> Result:
    host, _, port = address.rpartition(":")
    tls = str(declared.get("scheme") or "HTTP").upper() == "HTTPS"
    reader, writer = await asyncio.open_connection(
        host, int(port), ssl=_unverified() if tls else None
    )
    try:
        headers = {"Host": virtual, "User-Agent": "kube-probe/1.36", "Accept": "*/*"}
        for item in declared.get("httpHeaders") or []:
            headers[item["name"]] = item["value"]
        lines = [f"GET {declared.get('path') or '/'} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        status_line = (await reader.readline()).split(maxsplit=2)
        if len(status_line) < 2 or not status_line[1].isdigit():
            return Result(False, f"{_request(declared, virtual)}: EOF")
        status = int(status_line[1])
        if 200 <= status < 400:
            return Result(True)
        return Result(False, f"HTTP probe failed with statuscode: {status}")
    finally:
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            if tls:
                await writer.wait_closed()


async def _grpc(declared: Mapping[str, Any], address: str, virtual: str) -> Result:
    """The standard health service: one string there, one number back, each in field 1."""
    del virtual
    from google.protobuf.wrappers_pb2 import Int32Value, StringValue
    from grpc import StatusCode
    from grpc.aio import AioRpcError, insecure_channel

    request = StringValue(value=str(declared.get("service") or "")).SerializeToString()
    async with insecure_channel(address) as channel:
        try:
            answer = await channel.unary_unary("/grpc.health.v1.Health/Check")(request)
        except AioRpcError as error:
            if error.code() is StatusCode.UNAVAILABLE:
                raise ConnectionRefusedError from error
            return Result(
                False,
                f"service unhealthy (responded with error: rpc error: code = {error.code().name} "
                f"desc = {error.details()})",
            )
    health = _HEALTH.get(Int32Value.FromString(answer).value, "UNKNOWN")
    return Result(health == "SERVING", f'service unhealthy (responded with "{health}")')


_HEALTH = {1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
_ACTIONS = {"httpGet": _http, "tcpSocket": _tcp, "grpc": _grpc}


OnResult = Callable[[bool, str], None]
"""(passing, message): called when a threshold is reached; for every failure past it, too."""


class Prober:
    """Runs one probe of one running container until cancelled."""

    def __init__(
        self,
        probe: Mapping[str, Any],
        attempt: Callable[[], Awaitable[Result]],
        *,
        eager: bool,
        on_threshold: OnResult,
        on_failure: Callable[[str], None],
    ) -> None:
        self._timing = Timing.of(probe)
        self._attempt = attempt
        self._eager = eager
        self._on_threshold = on_threshold
        self._on_failure = on_failure
        self._succeeded = False
        self._successes = 0
        self._failures = 0
        self._last_counted = float("-inf")

    async def run(self) -> None:
        """Probe for ever."""
        began = monotonic()
        if not self._eager:
            await asyncio.sleep(self._timing.initial_delay_s)
        while True:
            result = await self._attempt()
            if result.ok:
                self._success()
            elif result.ok is False:
                self._failure(result.message, monotonic() - began)
            await asyncio.sleep(self._pause(monotonic() - began))

    def _pause(self, age_s: float) -> float:
        if not self._eager or self._succeeded or age_s > _FAST_FOR_S:
            return self._timing.period_s
        return min(_FAST_S[0] if age_s < 1 else _FAST_S[1], self._timing.period_s)

    def _success(self) -> None:
        self._failures = 0
        self._successes += 1
        if self._successes >= self._timing.success_threshold:
            self._succeeded = True
            self._on_threshold(True, "")

    def _failure(self, message: str, age_s: float) -> None:
        self._successes = 0
        # Early tries cost nothing: a failure counts once per period, after the initial delay.
        if age_s < self._timing.initial_delay_s:
            return
        if monotonic() - self._last_counted < self._timing.period_s * 0.95:
            return
        first = self._last_counted == float("-inf")
        self._last_counted = monotonic()
        if first and self._eager and not self._succeeded and age_s < min(1, self._timing.period_s):
            return  # the container has had no time to listen
        self._failures += 1
        self._on_failure(message)
        if self._failures >= self._timing.failure_threshold:
            self._on_threshold(False, message)
