"""From a kept measurement to figures and charts: the samples on disk are all it reads.

Everything is computed by `labkit.latency`; this module chooses vantage points and words.
"""

import json
import math
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from labkit.chapters import load, load_figures
from labkit.chapters.dashboards import SIDES, Golden
from labkit.chapters.latency import MEASUREMENT
from labkit.chapters.load_figures import interval
from labkit.chapters.vantage import GATEWAY, SOURCE, Vantage
from labkit.context import EAST, WEST, LabContext
from labkit.display import Step, Table
from labkit.latency import dataset, histogram, samples, statistics
from labkit.latency.agreement import QUANTILES
from labkit.latency.interruptions import interruptions
from labkit.latency.schema import REQUESTS, SERIES
from labkit.latency.statistics import Mean
from labkit.rtt import Rtt, rtt

SMALL_N = 20
BUSY_SHARE, STOLEN_SHARE = 0.5, 0.02
"""Shares of the cores' time from which the program warns; a lab alone on two cores needs 0.15."""
LATE_SHARE = 0.01
"""Share of late sends from which the program warns."""


class Measurement:
    """One measurement, read back from the results folder."""

    def __init__(self, lab: LabContext) -> None:
        facts = json.loads((lab.results / MEASUREMENT).read_text())
        self.started: float = facts["started"]
        self.ended: float = facts["ended"]
        self.warmup_s: float = facts["warmup_s"]
        self.gateway_rtt_ms: int | None = facts["gateway_rtt_ms"]
        self.golden = [Golden(**row) for row in facts["golden"]]
        self.lasting = [Golden(**row) for row in facts["lasting"]]
        self.regions = dict(lab.regions)
        self.wan: dict[str, Any] = facts.get("wan") or {}
        self.machine: dict[str, float] = facts.get("machine") or {}
        live = self.wan.get("given_rtt_ms")
        given = lab.params.wan_rtt_ms if live is None else live
        self.rtt: Rtt = rtt(self.regions[WEST], self.regions[EAST], override_ms=given)
        requests = dataset.open_samples(lab.results, schema=REQUESTS).read()
        self.load = requests[(requests["instrument"] == "load") & ~requests["warmup"]]
        self.load_rate: int = lab.params.load_rate
        over = (requests["destination_cluster"] == EAST) & (requests["instrument"] == "tap")
        self.tap = requests[over & (requests["vantage"] == SOURCE.name)]
        counted = requests[over & ~requests["warmup"]]
        self.behind = counted[counted["vantage"] == GATEWAY.name]
        self.sidecar = counted[counted["vantage"] == load.SIDECAR]
        self.series_table = dataset.open_samples(lab.results, schema=SERIES).read()

    @property
    def title(self) -> str:
        """The two regions."""
        return f"{self.regions[WEST]} → {self.regions[EAST]}"

    @property
    def window_s(self) -> float:
        """Seconds between the first and the last scrape that count."""
        times = self.series(SOURCE)["time_s"]
        return float(times.max() - times.min()) if len(times) else 0.0

    @property
    def tap_ms(self) -> list[float]:
        """Latencies of tapped requests west→east."""
        return [float(value) for value in samples.latencies_ms(self.tap[~self.tap["warmup"]])]

    @property
    def behind_ms(self) -> list[float]:
        """Latencies of the requests that the gateway passed on, without the way to it."""
        return [float(value) for value in samples.latencies_ms(self.behind)]

    @property
    def load_ms(self) -> list[float]:
        """Latencies of the load generator's requests, from their intended times."""
        return [float(value) for value in samples.latencies_ms(self.load)]

    def series(self, vantage: Vantage, *, warmup: bool = False) -> pd.DataFrame:
        """Counters of one vantage point; without the warm-up unless asked for."""
        chosen = samples.counters(self.series_table, vantage=vantage.name)
        return chosen if warmup else chosen[chosen["time_s"] >= self.started]

    @property
    def load_buckets(self) -> histogram.Histogram:
        """Buckets of viz for the load generator's own requests, at its own proxy."""
        own = self.series_table[~self.series_table["warmup"]]
        return statistics.viz_histogram(samples.counters(own, vantage=load.SIDECAR))

    def mean(self, vantage: Vantage) -> Mean:
        """The exact mean at one vantage point."""
        return statistics.viz_mean(self.series(vantage))


def compute(lab: LabContext) -> dict[str, Any]:
    """All figures of the measurement, as plain values with units in their names."""
    found = Measurement(lab)
    source, target = found.mean(SOURCE), found.mean(GATEWAY)
    buckets = statistics.viz_histogram(found.series(SOURCE))
    share = statistics.wan_share(source, target)
    tap = {name: statistics.quantile(found.tap_ms, q) for name, q in QUANTILES.items()}
    p50 = buckets.bracket(0.50)
    tls = found.tap["tls"]
    figures: dict[str, Any] = {
        "rtt": {
            "value_ms": found.rtt.value_ms,
            "source": found.rtt.source,
            "floor_ms": found.rtt.floor_ms,
        },
        "viz": {
            "west_east_mean_ms": _plain(source.value_ms),
            "west_east_mean_low_ms": _plain(source.low_ms),
            "west_east_mean_high_ms": _plain(source.high_ms),
            "in_region_mean_ms": _plain(target.value_ms),
            "in_region_mean_low_ms": _plain(target.low_ms),
            "in_region_mean_high_ms": _plain(target.high_ms),
            "bracket_ms": [p50.low_ms, _plain(p50.high_ms)] if p50 else [None, None],
            "brackets_ms": buckets.brackets(QUANTILES),
            "n": source.n,
            "window_s": round(found.window_s, 1),
            "vantage": SOURCE.name,
            "in_region_vantage": GATEWAY.name,
        },
        "tap": {
            "n": len(found.tap_ms),
            "viz_n": source.n,
            "vantage": SOURCE.name,
            **{f"{name}_ms": quantile.as_dict() for name, quantile in tap.items()},
            "mean_ms": _plain(statistics.mean_of_samples(found.tap_ms).value_ms),
            "in_region_p50_ms": statistics.quantile(found.behind_ms, 0.5).as_dict(),
            "in_region_vantage": GATEWAY.name,
            "tls_true_share": float(tls.mean()) if len(tls) else None,
            "server_ids": sorted({name for name in found.tap["server_id"] if name}),
        },
        "load": load_figures.compute(
            found.load, found.sidecar, rate_per_s=found.load_rate, buckets=found.load_buckets
        ),
        "gateway_rtt_ms": found.gateway_rtt_ms,
        "wan_share": {
            "value": _plain(share.value),
            "low": _plain(share.low),
            "high": _plain(share.high),
        },
        "success_rate": _golden(found.lasting, "success"),
        "rps": _golden(found.golden, "rps"),
        "warnings": [],
    }
    figures["warnings"] = _warnings(found, source, target, buckets)
    figures["warnings"] += load_figures.warnings(figures["load"])
    return figures


def _plain(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None


def _golden(golden: list[Golden], field: str) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for name, key in SIDES.items():
        rows = [r for r in golden if (r.cluster, r.deployment, r.direction) == key]
        value = getattr(rows[0], field) if rows else None
        values[name.partition(" ")[0]] = None if value is None else round(float(value), 4)
    return values


def _warnings(
    found: Measurement, source: Mean, target: Mean, buckets: histogram.Histogram
) -> list[str]:
    """What a reader must be told, raised by the program."""
    warnings = histogram.artefacts(buckets) + _wan_warnings(found.wan)
    warnings += machine_warnings(found.machine)
    for vantage in (SOURCE, GATEWAY):
        warnings += interruptions(found.series(vantage), vantage=vantage.name)
    named = {"viz mean west→east": source.value_ms}
    if found.tap_ms:
        named["fastest tapped request"] = min(found.tap_ms)
    if found.load_ms:
        named["fastest request of the load"] = min(found.load_ms)
    if found.gateway_rtt_ms:
        named["gateway probe"] = float(found.gateway_rtt_ms)
    warnings += statistics.floor_warning(named, found.rtt.floor_ms)
    if source.n < SMALL_N:
        warnings.append(f"viz counted only {source.n} requests: measure longer")
    tapped_s = found.ended - found.started
    expected = source.n * tapped_s / found.window_s if found.window_s else 0.0
    if found.tap_ms and len(found.tap_ms) < 0.8 * expected:
        warnings.append(f"tap saw {len(found.tap_ms)} of about {expected:.0f} requests")
    if not math.isfinite(target.value_ms):
        warnings.append("viz has no in-region mean at east's gateway for this window")
    if found.tap_ms and not found.behind_ms:
        warnings.append(
            "tap saw nothing at east's gateway: it is older than viz, or cannot be tapped"
        )
    return warnings


def _wan_warnings(wan: dict[str, Any]) -> list[str]:
    """What somebody did to the network: before the measurement, or during it."""
    if changes := wan.get("changes"):
        words = [f"{change['text']} at {_clock(change['time'])}" for change in changes]
        return [f"the WAN was changed during the measurement, figures mix both: {'; '.join(words)}"]
    if wan.get("changed"):
        now = f"{wan['rtt_ms']:g} ms, jitter {wan['jitter_ms']:g} ms, loss {wan['loss']:g}"
        return [f"the WAN is not as the parameters ask, it was set to {now}"]
    return []


def machine_warnings(machine: dict[str, float]) -> list[str]:
    """What else this machine did while it sampled, where the clusters share its cores."""
    warnings = []
    if machine.get("busy", 0.0) >= BUSY_SHARE:
        warnings.append(
            f"this machine was {machine['busy']:.0%} busy while sampling"
            f" ({machine['cores']:g} cores): latencies hold waiting for a core"
        )
    if machine.get("stolen", 0.0) >= STOLEN_SHARE:
        warnings.append(
            f"this machine's host took {machine['stolen']:.0%} of its cores' time while sampling:"
            " latencies hold that, too"
        )
    return warnings


def _clock(time_s: float) -> str:
    return f"{datetime.fromtimestamp(time_s, UTC):%H:%M:%SZ}"


def show(lab: LabContext, figures: dict[str, Any]) -> Step:
    """The figures as a table, each with its source and vantage point."""
    viz, tap = figures["viz"], figures["tap"]
    rows = [
        _row("WAN round trip", figures["rtt"]["value_ms"], "", figures["rtt"]["source"], "-"),
        _row("light in fibre (floor)", figures["rtt"]["floor_ms"], "", "great circle", "-"),
        _row(
            "mean west → east", viz["west_east_mean_ms"], viz["n"], "viz Δsum/Δcount", SOURCE.name
        ),
        _row("mean in region", viz["in_region_mean_ms"], "", "viz Δsum/Δcount", GATEWAY.name),
    ]
    for name, bounds in viz["brackets_ms"].items():
        text = load_figures.bucket(bounds)
        rows.append(_row(f"{name} west → east", text, viz["n"], "viz bucket", SOURCE.name))
    rows += [
        _row(f"{name} west → east", interval(tap[f"{name}_ms"]), tap["n"], "tap", SOURCE.name)
        for name in QUANTILES
    ]
    if inside := tap.get("in_region_p50_ms"):
        rows.append(_row("p50 in region", interval(inside), inside["n"], "tap", GATEWAY.name))
    for row in load_figures.rows(figures["load"]):
        rows.append(_row(*row))
    rows.append(
        _row("gateway probe", figures["gateway_rtt_ms"], 1, "probe, last", "controller (west)")
    )
    share = figures["wan_share"]["value"]
    notes = [f"! {warning}" for warning in figures["warnings"]]
    if share is not None:
        notes.insert(0, f"{share:.1%} of a request's time is the way between the regions.")
    del lab
    return Step("The figures, with where they come from.", table=Table.of(rows), notes=tuple(notes))


def _row(what: str, value: object, n: object, source: str, vantage: str) -> dict[str, object]:
    shown = f"{value:.1f}" if isinstance(value, float) else ("-" if value is None else value)
    return {"figure": what, "ms": shown, "n": n, "source": source, "vantage point": vantage}
