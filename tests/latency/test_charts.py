"""Each chart names its axes, units, n, source and vantage point, in text that a test can read."""

import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from labkit.latency import charts, statistics, style
from labkit.latency.histogram import Histogram

CAPTION = charts.Caption(
    "linkerd viz tap, 400 of 412 requests",
    "west vote-bot outbound, includes the WAN",
    1_400,
    "RTT table.",
)
TIMES = np.arange(0.0, 45.0, 5.0) + 1_000
SAMPLES = list(146 + np.random.default_rng(1).gamma(2.0, 0.6, 400))


def over_time():
    flat = pd.DataFrame({"time_s": TIMES, "mean_ms": 148.0})
    routes = {"west→east": flat, "in-region": flat.assign(mean_ms=1.8)}
    return charts.over_time(
        routes,
        title="Latency over time",
        caption=CAPTION,
        start_s=1_000,
        warmup_s=10,
        floor_ms=119.5,
    )


def distribution(samples=SAMPLES):
    histogram = Histogram.from_samples(samples)
    return charts.distribution(
        samples,
        title="Distribution",
        caption=CAPTION,
        quantiles=[statistics.quantile(samples, q) for q in (0.5, 0.95, 0.99)],
        bracket=histogram.bracket(0.5),
        invented={0.5: 150.0, 0.95: 195.0, 0.99: 199.0},
        floor_ms=119.5,
    )


def success_and_rps():
    table = pd.DataFrame({"time_s": TIMES, "rps": 10.0, "success_rate": 0.92})
    sides = {"west vote-bot": table, "east web": table}
    return charts.success_and_rps(sides, title="Success", caption=CAPTION, start_s=1_000)


def where_time_goes():
    parts = statistics.decomposition(
        source=statistics.Mean(148.4, 0.2, 10),
        target=statistics.Mean(1.9, 0.1, 10),
        rtt_ms=145.9,
        rtt_source="table",
    )
    rows = {"west→east": parts, "in-region": [("service in its region", 1.9)]}
    return charts.where_time_goes(rows, title="Where", caption=CAPTION, uncertainty_ms=29.2)


def golden(
    rows=(("west", "vote-bot", "outbound", 0.92, 10.0), ("east", "web", "inbound", None, 0.0)),
):
    columns = ["cluster", "deployment", "direction", "success", "rps"]
    return charts.golden(pd.DataFrame(rows, columns=columns), title="Golden", caption=CAPTION)


ALL = {
    "golden": (golden, ["success (%)", "requests (1/s)"]),
    "latency_over_time": (over_time, ["time since start (s)", "latency (ms)"]),
    "distribution": (distribution, ["latency (ms)", "requests"]),
    "success_and_rps": (success_and_rps, ["requests (1/s)", "success (%)", "time since start (s)"]),
    "where_time_goes": (where_time_goes, ["mean latency (ms)"]),
}


def texts(chart):
    return [t.get_text() for t in chart.findobj(mpl.text.Text) if t.get_text()]


def legend(chart):
    return [
        t.get_text() for axes in chart.axes if axes.get_legend() for t in axes.get_legend().texts
    ]


@pytest.mark.parametrize("name", ALL)
def test_a_chart_says_units_source_vantage_point_and_n(name):
    make, labels = ALL[name]
    said = " ".join(texts(make())).replace("\n", " ")
    for part in (*labels, "Source: linkerd viz tap", "Vantage point: west", "n = 1,400."):
        assert part in said


@pytest.mark.parametrize("name", ALL)
def test_a_chart_is_written_as_png_and_svg_and_twice_the_same(name, tmp_path):
    make, _ = ALL[name]
    first = charts.save(make(), tmp_path / "a", name)
    second = charts.save(make(), tmp_path / "b", name)
    assert [f.name for f in first] == [f"{name}.png", f"{name}.svg"]
    assert first[0].read_bytes().startswith(b"\x89PNG")
    assert ET.parse(first[1]).getroot().tag.endswith("svg")
    assert [f.read_bytes() for f in first] == [f.read_bytes() for f in second]


def test_a_chart_shows_itself_in_a_notebook():
    assert over_time()._repr_png_().startswith(b"\x89PNG")


def test_latency_over_time_shades_the_warm_up_and_draws_the_floor():
    assert legend(over_time()) == [
        "west→east (mean)",
        "in-region (mean)",
        "warm-up, not used",
        "light floor 119.5 ms",
    ]


def test_the_distribution_shows_bracket_artefacts_intervals_and_refusals():
    said = legend(distribution())
    assert "viz: bucket of p50 (100, 200] ms" in said
    assert "viz' interpolated p50, p95, p99: artefacts" in said
    assert "p99: not enough samples (n=400, needs 1000)" in said
    assert any(text.startswith("p50 = 147") and "95% interval" in text for text in said)


def test_a_distribution_without_samples_is_drawn_empty(tmp_path):
    chart = charts.distribution([], title="Empty", caption=CAPTION, floor_ms=10.0)
    charts.save(chart, tmp_path, "empty")
    assert legend(chart) == ["light floor 10.0 ms"]


def test_a_workload_without_requests_has_no_success_rate():
    assert {" 92.0", " no requests"} <= set(texts(golden()))


def test_no_workloads_make_an_empty_chart(tmp_path):
    charts.save(golden(rows=()), tmp_path, "golden")


def test_narrow_parts_of_the_time_are_named_in_words():
    said = texts(where_time_goes())
    assert "service in its region: 1.9 ms; gateway and proxies (rest): 0.6 ms" in said
    assert "uncertainty of the round trip ±29.2 ms" in said


def test_series_differ_in_more_than_colour():
    looks = [style.WEST_EAST, style.IN_REGION, style.THIRD]
    for part in ("color", "line", "marker", "hatch"):
        assert len({getattr(look, part) for look in looks}) == 3


def test_the_style_stays_inside():
    before = dict(mpl.rcParams)
    over_time()
    assert dict(mpl.rcParams) == before
