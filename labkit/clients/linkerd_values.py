"""What the `linkerd` command tells, as values; and the reading of its concatenated JSON.

`check` and `tap` write one JSON object after another, not a list; `gateways` writes `null` for
none. Durations lose sub-fields that are zero. Deliberately absent: anything that runs a command.
"""

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

Result = Literal["success", "warning", "error"]
Profile = Literal["current", "tutorial"]
"""`current`: controllers and `link-gen` (2.18 and later); `tutorial`: `link`, as in 2.13."""

_FIRST_EDGE_WITH_LINK_GEN = (25, 3, 4)
_FIRST_MINOR_WITH_LINK_GEN = 18
_FIRST_EDGE_WITH_GATEWAYS_JSON = (23, 5, 1)
_FIRST_MINOR_WITH_GATEWAYS_JSON = 14


@dataclass(frozen=True)
class CheckOutcome:
    """One line of `linkerd check`.

    Attributes:
        category: as `linkerd-identity`.
        description: what is checked.
        result: success, warning or error.
        error: why not, empty on success.
        hint: URL of an explanation, may be empty.
    """

    category: str
    description: str
    result: Result
    error: str = ""
    hint: str = ""


@dataclass(frozen=True)
class CheckReport:
    """All that one `linkerd check` said: the core's checks, then those of each extension.

    Attributes:
        success: no check failed (warnings are no failures).
        checks: in order; checks after a fatal failure are absent.
    """

    success: bool
    checks: tuple[CheckOutcome, ...]

    @property
    def errors(self) -> tuple[CheckOutcome, ...]:
        """Checks that failed."""
        return tuple(item for item in self.checks if item.result == "error")

    @property
    def warnings(self) -> tuple[CheckOutcome, ...]:
        """Checks that only warn, such as differing versions."""
        return tuple(item for item in self.checks if item.result == "warning")


@dataclass(frozen=True)
class Gateway:
    """One line of `linkerd multicluster gateways`.

    Attributes:
        cluster_name: the target's name.
        alive: the last probes were answered.
        services: how many services are mirrored from there.
        latency_ms: of the last probe, whole milliseconds.
    """

    cluster_name: str
    alive: bool
    services: int
    latency_ms: int


@dataclass(frozen=True)
class Edge:
    """One line of `linkerd viz edges`: who talks to whom, secured when `no_tls_reason` is empty."""

    source: str
    source_namespace: str
    target: str
    target_namespace: str
    client_id: str
    server_id: str
    no_tls_reason: str


@dataclass(frozen=True)
class Stat:
    """One line of `linkerd viz stat`; figures are None when there was no traffic.

    Attributes:
        namespace: of the resource.
        kind: as `deployment`.
        name: of the resource.
        success: share of successful responses, 0 to 1.
        rps: requests per second.
        p50_ms: estimate within its histogram bucket, as are `p95_ms` and `p99_ms`.
    """

    namespace: str
    kind: str
    name: str
    success: float | None
    rps: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


def profile_of(version: str) -> Profile:
    """The best profile that a version has: `edge-26.6.3`, `stable-2.13.4`, `version-2.20`."""
    channel, digits = _parts(version)
    if channel == "edge":
        return "current" if digits >= _FIRST_EDGE_WITH_LINK_GEN else "tutorial"
    minor = digits[1] if len(digits) > 1 else 0
    return "current" if minor >= _FIRST_MINOR_WITH_LINK_GEN else "tutorial"


def _parts(version: str) -> tuple[str, tuple[int, ...]]:
    """Channel and numbers: `edge-26.6.3` is (edge, (26, 6, 3))."""
    channel, _, number = version.strip().lstrip("v").partition("-")
    return channel, tuple(int(part) for part in number.split(".") if part.isdigit())


class JsonStream:
    """Splits concatenated JSON values that arrive in pieces, cut anywhere."""

    def __init__(self) -> None:
        self._decoder = json.JSONDecoder()
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._text = ""

    def feed(self, piece: bytes) -> Iterator[Any]:
        """The values that are complete now; a broken line is skipped."""
        self._text += self._utf8.decode(piece)
        while True:
            self._text = self._text.lstrip()
            if self._text and self._text[0] not in "{[":
                if "\n" not in self._text:
                    return  # a message between the values, or the beginning of `null`
                self._text = self._text.partition("\n")[2]
                continue
            try:
                value, end = self._decoder.raw_decode(self._text)
            except ValueError:
                return
            self._text = self._text[end:]
            yield value


def values_of(text: str) -> list[Any]:
    """All values of a text of concatenated JSON."""
    return list(JsonStream().feed(text.encode()))


def check_report(text: str) -> CheckReport | None:
    """All objects of `check -o json` as one report; None when there is no object at all."""
    objects = [value for value in values_of(text) if isinstance(value, dict)]
    if not objects:
        return None
    checks = tuple(
        CheckOutcome(
            category=str(category.get("categoryName", "")),
            description=str(check.get("description", "")),
            result=check.get("result", "error"),
            error=str(check.get("error", "")),
            hint=str(check.get("hint", "")),
        )
        for value in objects
        for category in value.get("categories") or []
        for check in category.get("checks") or []
    )
    return CheckReport(all(value.get("success") for value in objects), checks)


def tells_gateways_as_json(version: str) -> bool:
    """Whether `multicluster gateways` has `--output`: since edge-23.5.1, so not in 2.13."""
    channel, digits = _parts(version)
    if channel == "edge":
        return digits >= _FIRST_EDGE_WITH_GATEWAYS_JSON
    return digits[1:2] >= (_FIRST_MINOR_WITH_GATEWAYS_JSON,)


def gateways_table(text: str) -> tuple[Gateway, ...]:
    """The table of `multicluster gateways`: CLUSTER, ALIVE, NUM_SVC, LATENCY (`12ms` or `-`)."""
    rows = [line.split() for line in text.splitlines()[1:] if line.strip()]
    return tuple(
        Gateway(
            cluster_name=name,
            alive=alive == "True",
            services=int(services),
            latency_ms=int(latency.removesuffix("ms")) if latency != "-" else 0,
        )
        for name, alive, services, latency in rows
    )


def is_installed_already(text: str) -> bool:
    """Whether an `install` refused because there is an installation (ConfigMap linkerd-config)."""
    return "existing installation" in text


def gateways(text: str) -> tuple[Gateway, ...]:
    """The list of `multicluster gateways -o json`; `null` means none."""
    return tuple(
        Gateway(
            cluster_name=str(item["clusterName"]),
            alive=bool(item["alive"]),
            services=int(item["numberOfServices"]),
            latency_ms=int(item.get("latency") or 0),
        )
        for item in json.loads(text or "null") or []
    )


def edges(text: str) -> tuple[Edge, ...]:
    """The list of `viz edges -o json`."""
    return tuple(
        Edge(
            source=str(item["src"]),
            source_namespace=str(item.get("src_namespace", "")),
            target=str(item["dst"]),
            target_namespace=str(item.get("dst_namespace", "")),
            client_id=str(item.get("client_id", "")),
            server_id=str(item.get("server_id", "")),
            no_tls_reason=str(item.get("no_tls_reason", "")),
        )
        for item in json.loads(text or "[]") or []
    )


def stats(text: str) -> tuple[Stat, ...]:
    """The list of `viz stat -o json`."""
    return tuple(
        Stat(
            namespace=str(item["namespace"]),
            kind=str(item["kind"]),
            name=str(item["name"]),
            success=item.get("success"),
            rps=item.get("rps"),
            p50_ms=item.get("latency_ms_p50"),
            p95_ms=item.get("latency_ms_p95"),
            p99_ms=item.get("latency_ms_p99"),
        )
        for item in json.loads(text or "[]") or []
    )
