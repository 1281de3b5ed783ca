"""The figures of a kept run as one list: value, interval, unit, n, source and vantage point.

They come from summary.json, which may be of an older labkit, or broken: what is not a number there
is not measured here. Nothing is computed from samples.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labkit.errors import InputError
from labkit.rtt import Rtt, rtt
from labkit.runs.reading import KeptRun

NOT_MEASURED = "not measured"
NOT_ENOUGH = "not enough samples"
QUANTILES = ("p50", "p95", "p99")


@dataclass(frozen=True)
class Figure:
    """One figure of a run.

    Attributes:
        name: what it is.
        value: None when it was not measured.
        low: lower end of its 95 % interval or bracket; None when not known.
        high: upper end; None when not known.
        unit: `ms`, `%`, `1/s`.
        n: requests behind it; None when it has no n.
        source: where it is from.
        vantage: which proxy or program saw it.
        note: why there is no value, or what the interval is when it is not one of 95 %.
        bracket: whether low and high are bounds of a bucket, and there is no value.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    unit: str = "ms"
    n: int | None = None
    source: str = ""
    vantage: str = "-"
    note: str = ""
    bracket: bool = False

    @property
    def text(self) -> str:
        """The value with its unit, or why there is none."""
        if self.bracket:
            high = "∞" if self.high is None else f"{self.high:g}"
            return NOT_MEASURED if self.low is None else f"in ({self.low:g}, {high}] {self.unit}"
        if self.value is None:
            return NOT_ENOUGH if self.n else NOT_MEASURED
        return f"{self.value:.1f} {self.unit}"

    @property
    def interval(self) -> str:
        """The interval, empty when there is none."""
        if self.bracket or self.value is None or (self.low is None and self.high is None):
            return ""
        ends = ("?" if end is None else f"{end:.1f}" for end in (self.low, self.high))
        return f"[{', '.join(ends)}]"


def pick(value: object, *path: str) -> Any:
    """A value inside nested mappings; None when there is no such thing."""
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def number(value: object, *path: str) -> float | None:
    """A finite number inside nested mappings; None when there is none."""
    found = pick(value, *path)
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        return None
    return float(found)


def count(value: object, *path: str) -> int | None:
    """A whole number inside nested mappings; None when there is none."""
    found = number(value, *path)
    return None if found is None else round(found)


def word(value: object, *path: str) -> str:
    """A text inside nested mappings; empty when there is none."""
    found = pick(value, *path)
    return found if isinstance(found, str) else ""


def words(value: object, *path: str) -> list[str]:
    """The texts of a list inside nested mappings."""
    found = pick(value, *path)
    return [str(item) for item in found] if isinstance(found, list) else []


def rows(value: object, *path: str) -> list[dict[str, Any]]:
    """The mappings of a list inside nested mappings."""
    found = pick(value, *path)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def known_way(run: KeptRun) -> Rtt | None:
    """The round trip of the run's pair as it was known; None for regions that are not known."""
    value, source = number(run.summary, "rtt_ms", "value"), word(run.summary, "rtt_ms", "source")
    try:
        return rtt(*run.regions, override_ms=value if source == "override" else None)
    except InputError:
        return None


def figures(run: KeptRun) -> list[Figure]:
    """Every figure of a run, measured or not."""
    return [*_way(run), *_viz(run), *_tap(run), *_load(run), *_others(run)]


def mean_of(run: KeptRun) -> Figure:
    """The exact mean west → east."""
    viz = pick(run.summary, "viz")
    return Figure(
        "mean west → east",
        number(viz, "west_east_mean_ms"),
        number(viz, "west_east_mean_low_ms"),
        number(viz, "west_east_mean_high_ms"),
        n=count(viz, "n"),
        source="viz, Δsum/Δcount",
        vantage=word(viz, "vantage") or "-",
    )


def _way(run: KeptRun) -> list[Figure]:
    value, floor = number(run.summary, "rtt_ms", "value"), number(run.summary, "rtt_ms", "floor")
    known = known_way(run)
    if known is None or known.source == "override":
        ends: tuple[float | None, float | None] = (None, None)
    else:
        ends = (known.low_ms, known.high_ms)
    return [
        Figure(
            "WAN round trip, as known before",
            value,
            *ends,
            source=word(run.summary, "rtt_ms", "source"),
            note="interval: uncertainty of the source" if ends[0] is not None else "",
        ),
        Figure("light in fibre there and back (floor)", floor, source="great circle"),
    ]


def _viz(run: KeptRun) -> list[Figure]:
    viz = pick(run.summary, "viz")
    found = [
        mean_of(run),
        Figure(
            "mean in region",
            number(viz, "in_region_mean_ms"),
            number(viz, "in_region_mean_low_ms"),
            number(viz, "in_region_mean_high_ms"),
            source="viz, Δsum/Δcount",
            vantage=word(viz, "in_region_vantage") or "-",
        ),
    ]
    return found + [_bracket(viz, name) for name in QUANTILES]


def _bracket(viz: Any, name: str) -> Figure:
    """The bucket of a quantile, of the workload whose proxy counted."""
    bounds = pick(viz, "brackets_ms", name)
    low, high = bounds if isinstance(bounds, list) and len(bounds) == 2 else (None, None)
    return Figure(
        f"{name} west → east",
        None,
        number({"low": low}, "low"),
        number({"high": high}, "high"),
        n=count(viz, "n"),
        source="viz, bucket",
        vantage=word(viz, "vantage") or "-",
        note="a bucket holds no finer figure",
        bracket=True,
    )


def quantile_of(run: KeptRun, instrument: str, name: str) -> Figure:
    """A quantile of single requests, as `tap` saw them."""
    return _quantile(
        f"{name} west → east",
        pick(run.summary, instrument, f"{name}_ms"),
        source=instrument,
        vantage=word(run.summary, instrument, "vantage") or "-",
    )


def _tap(run: KeptRun) -> list[Figure]:
    found = [quantile_of(run, "tap", name) for name in QUANTILES]
    place = word(run.summary, "tap", "in_region_vantage") or "-"
    inside = pick(run.summary, "tap", "in_region_p50_ms")
    if isinstance(inside, dict):
        found.append(_quantile("p50 in region", inside, source="tap", vantage=place))
    return found


def _quantile(name: str, found: Any, *, source: str, vantage: str) -> Figure:
    needed, value = count(found, "needed"), number(found, "value")
    return Figure(
        name,
        value,
        number(found, "low"),
        number(found, "high"),
        n=count(found, "n"),
        source=f"{source}, single requests",
        vantage=vantage,
        note=f"needs {needed}" if value is None and needed else "",
    )


def _load(run: KeptRun) -> list[Figure]:
    """Figures of the load generator; none when there was no load."""
    load = pick(run.summary, "load")
    if not isinstance(load, dict):
        return []
    place: dict[str, Any] = {
        "n": count(load, "n"),
        "source": "load, from intended send times",
        "vantage": word(load, "vantage") or "-",
    }
    late = number(load, "late_share")
    lost = {key: count(load, key) or 0 for key in ("dropped", "intended", "without_response")}
    return [
        Figure(
            "mean of the load",
            number(load, "mean_ms"),
            number(load, "mean_low_ms"),
            number(load, "mean_high_ms"),
            **place,
        ),
        *(quantile_of(run, "load", name) for name in QUANTILES),
        *_beside_the_load(load),
        Figure(
            "late sends",
            None if late is None else late * 100,
            unit="%",
            note=f"{lost['dropped']} dropped of {lost['intended']} intended, "
            f"{lost['without_response']} without a response",
            **place,
        ),
    ]


def _beside_the_load(load: dict[str, Any]) -> list[Figure]:
    """The same requests at the generator's proxy, and what the generator itself adds."""
    beside = load.get("sidecar")
    if not isinstance(beside, dict) or not count(beside, "n"):
        return []
    place = word(beside, "vantage") or "-"
    found = [
        _quantile(f"{name} west → east, to the end", one, source="tap", vantage=place)
        for name in QUANTILES
        if isinstance(one := pick(beside, f"{name}_ms"), dict)
    ]
    if count(load, "viz", "n"):
        found += [_bracket(pick(load, "viz"), name) for name in QUANTILES]
    share = pick(beside, "client_p50_ms")
    if isinstance(share, dict):
        where = f"{word(load, 'vantage') or '-'}; {place}"
        found.append(
            _quantile("the generator's own share, p50", share, source="load − tap", vantage=where)
        )
    return found


def _others(run: KeptRun) -> list[Figure]:
    summary = run.summary
    share = {end: number(summary, "wan_share", end) for end in ("value", "low", "high")}
    percent = {end: None if value is None else value * 100 for end, value in share.items()}
    found = [
        Figure(
            "gateway probe, round trip",
            number(summary, "gateway_rtt_ms"),
            n=None,
            source="linkerd multicluster gateways, last probe, whole ms",
            vantage="mirror controller (west)",
        ),
        Figure(
            "share of the way between the regions",
            percent["value"],
            percent["low"],
            percent["high"],
            unit="%",
            source="viz, 1 − in region ÷ west → east",
        ),
    ]
    for key, name, unit, factor in (
        ("success_rate", "success", "%", 100.0),
        ("rps", "requests", "1/s", 1.0),
    ):
        for side in pick(summary, key) or {}:
            value = number(summary, key, side)
            found.append(
                Figure(
                    f"{name}, {side}",
                    None if value is None else value * factor,
                    unit=unit,
                    source="viz, response_total",
                    vantage=f"{side}'s proxy",
                )
            )
    return found
