"""The charts of a kept measurement, also kept as PNG and SVG in the results folder."""

from dataclasses import asdict

import pandas as pd

from labkit.chapters.dashboards import Golden
from labkit.chapters.latency import IN_REGION, OVER
from labkit.chapters.latency_figures import Measurement
from labkit.chapters.load import VANTAGE as LOAD_VANTAGE
from labkit.chapters.traffic import BOT
from labkit.chapters.vantage import GATEWAY, SERVED, SOURCE
from labkit.context import LabContext
from labkit.latency import charts, statistics
from labkit.latency.agreement import QUANTILES
from labkit.latency.decomposition import Part, Way, decompose


def chart(lab: LabContext, name: str) -> charts.Chart:
    """One chart, also kept as PNG and SVG in the results folder."""
    drawn = _DRAWERS[name](Measurement(lab))
    charts.save(drawn, lab.results / "charts", name)
    return drawn


def _over_time(found: Measurement) -> charts.Chart:
    routes = {
        f"{OVER} at {SOURCE.name}": statistics.mean_over_time(found.series(SOURCE, warmup=True)),
        f"{IN_REGION} at {GATEWAY.name}": statistics.mean_over_time(
            found.series(GATEWAY, warmup=True)
        ),
    }
    return charts.over_time(
        routes,
        title=f"Latency over time, {found.title}",
        caption=charts.Caption(
            source="viz Prometheus, Δsum/Δcount of each scrape; dots: tap",
            vantage=f"{SOURCE.name}, WAN included; {GATEWAY.name}, WAN not included",
            n=found.mean(SOURCE).n,
            note=_provenance(found),
        ),
        start_s=found.started - found.warmup_s,
        warmup_s=found.warmup_s,
        floor_ms=found.rtt.floor_ms,
        samples=pd.DataFrame({"time_s": found.tap["time_s"], "ms": found.tap["latency_us"] / 1000}),
        events=_events(found),
    )


def _events(found: Measurement) -> list[charts.Event]:
    """Changes of the WAN during the measurement."""
    return [charts.Event(change["time"], change["text"]) for change in found.wan.get("changes", [])]


def _provenance(found: Measurement, *, open_model: bool = False) -> str:
    known = found.rtt
    model = (
        "one closed loop; of the load generator an open model" if open_model else "one closed loop"
    )
    return f"WAN round trip {known.value_ms:.1f} ms ({known.source}). Load: {model}."


_SEEN = {
    f"tap of {BOT}": f"{SOURCE.name}, WAN included, to response headers",
    "load": f"{LOAD_VANTAGE}, WAN included, from intended send times",
}
"""Where each instrument sees a request, and what of it."""


def _distribution(found: Measurement) -> charts.Chart:
    buckets = statistics.viz_histogram(found.series(SOURCE))
    invented = {q: buckets.interpolated(q) for q in QUANTILES.values()}
    known = {f"tap of {BOT}": found.tap_ms} | ({"load": found.load_ms} if found.load_ms else {})
    return charts.distribution(
        known,
        title=f"Distribution of single requests, {found.title}",
        caption=charts.Caption(
            source=f"{' and '.join(known)}, single requests; viz buckets for the bracket",
            vantage="; ".join(f"{name}: {_SEEN[name]}" for name in known),
            n=sum(map(len, known.values())),
            note=_provenance(found, open_model="load" in known),
        ),
        quantiles={
            name: [statistics.quantile(values, q) for q in QUANTILES.values()]
            for name, values in known.items()
        },
        brackets={
            name: bracket
            for name, bracket in (
                (BOT, buckets.bracket(0.50)),
                ("load", found.load_buckets.bracket(0.50)),
            )
            if bracket is not None
        },
        invented={q: value for q, value in invented.items() if value is not None},
        floor_ms=found.rtt.floor_ms,
    )


def _success_and_rps(found: Measurement) -> charts.Chart:
    sides = {
        vantage.name: statistics.traffic_over_time(found.series(vantage, warmup=True))
        for vantage in (SOURCE, SERVED)
    }
    return charts.success_and_rps(
        sides,
        title=f"Success and requests per second on both sides, {found.title}",
        caption=charts.Caption(
            source="viz Prometheus, response_total of each scrape",
            vantage=f"{SOURCE.name}; {SERVED.name}",
            n=found.mean(SOURCE).n,
            note="emojivoto's doughnut always fails: about 92 % is right.",
        ),
        start_s=found.started - found.warmup_s,
        warmup_s=found.warmup_s,
        events=_events(found),
    )


def _where_time_goes(found: Measurement) -> charts.Chart:
    source, known = found.mean(SOURCE), found.rtt
    return charts.where_time_goes(
        decompose(
            source=source,
            gateway=found.mean(GATEWAY),
            served=found.mean(SERVED),
            way=Way(known.value_ms, known.low_ms, known.high_ms, known.source),
        ),
        whole=Part(
            f"mean at {SOURCE.name}",
            source.value_ms,
            source.low_ms,
            source.high_ms,
            "viz",
        ),
        title=f"Where the time goes, {found.title}",
        caption=charts.Caption(
            source="viz Prometheus, Δsum/Δcount of the window",
            vantage=f"{SOURCE.name}; {GATEWAY.name}; {SERVED.name}",
            n=source.n,
            note=_provenance(found),
        ),
        floor_ms=known.floor_ms,
    )


_DRAWERS = {
    "latency_over_time": _over_time,
    "distribution": _distribution,
    "success_and_rps": _success_and_rps,
    "where_time_goes": _where_time_goes,
}


def golden_chart(lab: LabContext, rows: list[Golden]) -> charts.Chart:
    """Bars of success and requests per second of every workload of both clusters."""
    frame = pd.DataFrame([asdict(row) for row in rows])
    drawn = charts.golden(
        frame,
        title="Golden metrics of both clusters",
        caption=charts.Caption(
            source="viz Prometheus, response_total",
            vantage="each workload's own proxy",
            n=round(float(frame["requests"].sum())) if len(frame) else 0,
            note=f"Window {rows[0].window_s} s." if rows else "",
        ),
    )
    charts.save(drawn, lab.results / "charts", "golden_metrics")
    return drawn
