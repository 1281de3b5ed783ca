"""Where a request's time goes: parts that add up to the mean at the source, each with an interval.

The parts are differences of means at several proxies and of the round trip of the WAN, so their
uncertainties add up (in squares, as of independent figures). The rest is what is left over, and
carries the uncertainty of everything else; it may be negative.
"""

import math
from dataclasses import dataclass

from labkit.latency.statistics import Mean


@dataclass(frozen=True)
class Part:
    """A part of the mean latency.

    Attributes:
        name: what it is.
        value_ms: how much of the mean, in ms; negative when the other parts are too large.
        low_ms: lower end of its 95 % interval in ms; NaN when not known.
        high_ms: upper end in ms; NaN when not known.
        source: where it is from, as `viz` or `table`.
    """

    name: str
    value_ms: float
    low_ms: float
    high_ms: float
    source: str

    def __str__(self) -> str:
        if not (math.isfinite(self.low_ms) and math.isfinite(self.high_ms)):
            return f"{self.value_ms:.1f} ms"
        return f"{self.value_ms:.1f} ms [{self.low_ms:.1f}, {self.high_ms:.1f}]"


@dataclass(frozen=True)
class Way:
    """The round trip between the regions.

    Attributes:
        value_ms: in ms.
        low_ms: lower end of its uncertainty in ms.
        high_ms: upper end in ms.
        source: `measured`, `table`, `model` or `override`.
    """

    value_ms: float
    low_ms: float
    high_ms: float
    source: str


def decompose(*, source: Mean, gateway: Mean, served: Mean | None, way: Way) -> tuple[Part, ...]:
    """Split the source's mean.

    Args:
        source: outbound mean at the source proxy, WAN included.
        gateway: outbound mean at the gateway in the other region, WAN not included.
        served: inbound mean at the service's proxy; None when it was not measured, and the
            gateway's hop is then part of the service.
        way: round trip of the WAN.

    Returns:
        Service, gateway's hop (if measured), WAN, rest; together they are the source's mean. A
        part is missing when its figure is.
    """
    parts = []
    if served is None or not math.isfinite(served.value_ms):
        parts.append(_of_mean("behind the gateway", gateway))
    else:
        parts.append(_of_mean("service in its region", served))
        parts.append(_difference("gateway to service", gateway, served))
    parts.append(
        Part(
            "WAN round trip",
            way.value_ms,
            way.low_ms,
            way.high_ms,
            way.source,
        )
    )
    across = _difference("", source, gateway)
    rest = across.value_ms - way.value_ms
    parts.append(
        Part(
            "gateways and proxies (rest)",
            rest,
            rest - math.hypot(across.value_ms - across.low_ms, way.high_ms - way.value_ms),
            rest + math.hypot(across.high_ms - across.value_ms, way.value_ms - way.low_ms),
            "what is left",
        )
    )
    return tuple(part for part in parts if math.isfinite(part.value_ms))


def _of_mean(name: str, mean: Mean) -> Part:
    return Part(name, mean.value_ms, mean.low_ms, mean.high_ms, "viz")


def _difference(name: str, one: Mean, other: Mean) -> Part:
    value = one.value_ms - other.value_ms
    half = math.hypot(one.high_ms - one.value_ms, other.high_ms - other.value_ms)
    return Part(name, value, value - half, value + half, "viz, difference")
