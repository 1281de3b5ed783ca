"""Each chart names its axes, units, n, source and vantage point, in text that a test can read."""

import math
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from labkit.latency import charts, statistics, style
from labkit.latency.decomposition import Part, Way, decompose
from labkit.latency.histogram import Bracket, Histogram
from labkit.rtt import REGIONS, rtt

CAPTION = charts.Caption(
    "linkerd viz tap, 400 of 412 requests",
    "west vote-bot outbound, includes the WAN",
    1_400,
    "RTT table.",
)
TIMES = np.arange(0.0, 45.0, 5.0) + 1_000
SAMPLES = list(146 + np.random.default_rng(1).gamma(2.0, 0.6, 400))
EVENTS = [charts.Event(1_020, "WAN: 200 ms round trip")]
PAIR_COLUMNS = ["a", "b", "rtt_ms", "low_ms", "high_ms", "floor_ms", "source"]
CITIES = pd.DataFrame(
    [
        {"slug": r.slug, "city": r.city, "latitude": r.latitude, "longitude": r.longitude}
        for r in REGIONS.values()
    ]
)


def over_time(rows=None, *, samples=None, events=()):
    flat = pd.DataFrame({"time_s": TIMES, "mean_ms": 148.0})[:rows]
    routes = {"west→east": flat, "in-region": flat.assign(mean_ms=1.8)}
    return charts.over_time(
        routes,
        title="Latency over time",
        caption=CAPTION,
        start_s=1_000,
        warmup_s=10,
        floor_ms=119.5,
        samples=samples,
        events=events,
    )


def distribution(samples=SAMPLES, **more):
    histogram = Histogram.from_samples(samples)
    return charts.distribution(
        {"tap": samples, **more},
        title="Distribution",
        caption=CAPTION,
        quantiles={"tap": [statistics.quantile(samples, q) for q in (0.5, 0.95, 0.99)]},
        brackets={"vote-bot": histogram.bracket(0.5)} if samples else None,
        invented={0.5: 150.0, 0.95: 195.0, 0.99: 199.0} if samples else None,
        floor_ms=119.5,
    )


def success_and_rps(rows=None, events=()):
    table = pd.DataFrame({"time_s": TIMES, "rps": 10.0, "success_rate": 0.92})[:rows]
    sides = {"west vote-bot": table, "east web": table}
    return charts.success_and_rps(
        sides, title="Success", caption=CAPTION, start_s=1_000, events=events
    )


def where_time_goes(source_ms=148.4, error_ms=0.2):
    parts = decompose(
        source=statistics.Mean(source_ms, error_ms, 10),
        gateway=statistics.Mean(1.9, 0.1, 10),
        served=statistics.Mean(1.2, 0.1, 10),
        way=Way(145.9, 131.3, 160.5, "table"),
    )
    whole = Part("mean", source_ms, source_ms - 0.4, source_ms + 0.4, "viz")
    return charts.where_time_goes(
        parts, whole=whole, title="Where", caption=CAPTION, floor_ms=119.5
    )


def golden(
    rows=(("west", "vote-bot", "outbound", 0.92, 10.0), ("east", "web", "inbound", None, 0.0)),
):
    columns = ["cluster", "deployment", "direction", "success", "rps"]
    return charts.golden(pd.DataFrame(rows, columns=columns), title="Golden", caption=CAPTION)


def pair(a, b, source=None):
    known = rtt(a, b)
    return (
        a,
        b,
        known.value_ms,
        known.low_ms,
        known.high_ms,
        known.floor_ms,
        source or known.source,
    )


PAIRS = [
    pair("ams3", "fra1"),
    pair("nyc1", "nyc3"),
    pair("sfo3", "syd1"),
    pair("syd1", "sfo3", "measured"),
]


def region_matrix(rows=PAIRS):
    table = pd.DataFrame(rows, columns=PAIR_COLUMNS)
    return charts.region_matrix(table, title="Round trips", caption=CAPTION)


def world_map(rows=PAIRS):
    table = pd.DataFrame(rows, columns=PAIR_COLUMNS)
    return charts.world_map(table, CITIES, title="Ways", caption=CAPTION)


DIFFERENCES = [
    ("mean", "viz", 2.3, 1.2, 3.4, 120, 118, math.nan, ""),
    ("p50", "tap", -0.3, -0.9, 0.4, 120, 118, 0.0004, ""),
    ("p99", "tap", math.nan, math.nan, math.nan, 120, 118, math.nan, "not enough samples"),
]


def forest(rows=DIFFERENCES, floor=51.2):
    columns = ["figure", "source", "difference_ms", "low_ms", "high_ms"]
    columns += ["n_a", "n_b", "p_value", "note"]
    return charts.forest(
        pd.DataFrame(rows, columns=columns),
        title="Differences",
        caption=CAPTION,
        names=("run-a", "run-b"),
        floor_difference_ms=floor,
    )


TREND = [
    ("run-1", "sfo3 → syd1", 150.1, 149.0, 151.2, 60),
    ("run-2", "sfo3 → syd1", 151.0, math.nan, math.nan, 62),
    ("run-2", "ams3 → fra1", 14.0, 13.0, 15.0, 61),
]


def trend(rows=TREND):
    table = pd.DataFrame(rows, columns=["run", "series", "value_ms", "low_ms", "high_ms", "n"])
    floors = {"sfo3 → syd1": 119.5, "ams3 → fra1": 3.6}
    return charts.trend(table, title="Trend", caption=CAPTION, floors_ms=floors)


BY_PAIR = {
    "pair": ["sfo3 → syd1", "ams3 → fra1"],
    "floor_ms": [119.5, 3.6],
    "rtt_ms": [145.9, 10.9],
    "rtt_low_ms": [119.5, 7.6],
    "rtt_high_ms": [175.1, 14.2],
    "bucket_low_ms": [100.0, 10.0],
    "bucket_high_ms": [200.0, math.nan],
    "mean_ms": [155.5, 18.3],
    "mean_low_ms": [154.1, math.nan],
    "mean_high_ms": [156.9, math.nan],
    "p50_ms": [154.6, math.nan],
    "p50_low_ms": [153.1, math.nan],
    "p50_high_ms": [156.3, math.nan],
    "n": [31, 39],
}


def by_pair(rows=None):
    return charts.by_pair(pd.DataFrame(BY_PAIR)[:rows], title="Pairs", caption=CAPTION)


MS = "latency (ms)"
ALL = {
    "golden": (golden, ["success (%)", "requests (1/s)"]),
    "latency_over_time": (over_time, ["time since start (s)", MS, "light floor 119.5 ms"]),
    "distribution": (distribution, [MS, "requests", "light floor 119.5 ms"]),
    "success_and_rps": (success_and_rps, ["requests (1/s)", "success (%)", "time since start (s)"]),
    "where_time_goes": (
        where_time_goes,
        ["mean latency (ms)", "light floor of the whole 119.5 ms"],
    ),
    "region_matrix": (region_matrix, ["round trip (ms)", "floor 119.5", "fibre there and back"]),
    "world_map": (world_map, ["longitude", "latitude", "145.9 ms", "light floor 119.5 ms"]),
    "forest": (forest, ["difference B − A (ms)", "difference of the light floors +51.2 ms"]),
    "by_pair": (by_pair, [MS, "(n=31)", "155.5 ms", "light floor", "bucket of viz' median"]),
    "trend": (trend, [MS, "run, in order of time", "light floor sfo3 → syd1 119.5 ms"]),
}
EMPTY = {
    "golden": lambda: golden(()),
    "latency_over_time": lambda: over_time(0),
    "distribution": lambda: distribution([]),
    "success_and_rps": lambda: success_and_rps(0),
    "where_time_goes": lambda: where_time_goes(math.nan, math.nan),
    "region_matrix": lambda: region_matrix([]),
    "world_map": lambda: world_map([]),
    "forest": lambda: forest([]),
    "trend": lambda: trend([]),
    "by_pair": lambda: by_pair(0),
}
ONE = {
    "golden": lambda: golden([("east", "web", "inbound", 1.0, 0.1)]),
    "latency_over_time": lambda: over_time(1, events=EVENTS),
    "distribution": lambda: distribution([147.0]),
    "success_and_rps": lambda: success_and_rps(1, events=EVENTS),
    "region_matrix": lambda: region_matrix(PAIRS[:1]),
    "world_map": lambda: world_map(PAIRS[:1]),
    "forest": lambda: forest(DIFFERENCES[:1], floor=0.0),
    "trend": lambda: trend(TREND[:1]),
    "by_pair": lambda: by_pair(1),
}


def texts(chart):
    return [t.get_text() for t in chart.findobj(mpl.text.Text) if t.get_text()]


def joined(chart):
    return " ".join(texts(chart)).replace("\n", " ")


def legend(chart):
    return [
        t.get_text() for axes in chart.axes if axes.get_legend() for t in axes.get_legend().texts
    ]


@pytest.mark.parametrize("name", ALL)
def test_a_chart_says_units_source_vantage_point_n_and_floor(name):
    make, labels = ALL[name]
    said = joined(make())
    for part in (*labels, "Source: linkerd viz tap", "Vantage point: west", "n = 1,400."):
        assert part in said, part


@pytest.mark.parametrize("name", ["distribution", "latency_over_time", "region_matrix"])
def test_a_chart_is_written_as_png_and_svg_and_twice_the_same(name, tmp_path):
    make, _ = ALL[name]
    first = charts.save(make(), tmp_path / "a", name)
    second = charts.save(make(), tmp_path / "b", name)
    assert [f.name for f in first] == [f"{name}.png", f"{name}.svg"]
    assert first[0].read_bytes().startswith(b"\x89PNG")
    assert ET.parse(first[1]).getroot().tag.endswith("svg")
    assert [f.read_bytes() for f in first] == [f.read_bytes() for f in second]


@pytest.mark.parametrize("name", [*EMPTY, *ONE])
def test_a_chart_of_nothing_or_of_one_value_is_drawn(name):
    for make in (EMPTY.get(name), ONE.get(name)):
        if make is not None:
            chart = make()
            assert chart.png().startswith(b"\x89PNG")
            assert "n = 1,400." in joined(chart)


@pytest.mark.parametrize("name", ALL)
def test_nothing_of_a_chart_is_cut_off_and_its_legend_does_not_lie_on_its_caption(name):
    make, _ = ALL[name]
    chart = make()
    with style.styled():
        chart.draw_without_rendering()
    drawn, (width, height) = chart.get_tightbbox(), chart.get_size_inches()
    assert drawn.x0 > -0.01
    assert drawn.y0 > -0.01
    assert drawn.x1 < width + 0.01
    assert drawn.y1 < height + 0.01
    caption = next(t for t in chart.texts if t.get_text().startswith("Source:"))
    top = caption.get_window_extent().y1
    for axes in chart.axes:
        box = axes.get_legend()
        assert box is None or box.get_window_extent().y0 >= top - 1


def test_a_chart_describes_itself_in_words():
    assert over_time().description.startswith("Latency over time. Source: linkerd viz tap")


def test_a_chart_shows_itself_in_a_notebook():
    assert over_time()._repr_png_().startswith(b"\x89PNG")


def test_latency_over_time_shades_the_warm_up_marks_events_and_draws_the_floor():
    assert legend(over_time(events=EVENTS)) == [
        "west→east (mean)",
        "in-region (mean)",
        "warm-up, 10 s, not used",
        "light floor 119.5 ms",
        "(1) at 20 s: WAN: 200 ms round trip",
    ]


def test_both_panels_of_success_and_requests_mark_events():
    chart = success_and_rps(events=EVENTS)
    assert texts(chart).count("(1)") == 2
    assert legend(chart)[-1] == "(1) at 20 s: WAN: 200 ms round trip"


def test_the_distribution_shows_bracket_artefacts_intervals_and_refusals():
    said = legend(distribution())
    assert "viz, vote-bot: bucket of p50 (100, 200] ms" in said
    assert "viz' interpolated p50, p95, p99: artefacts" in said
    assert "tap p99: not enough samples (n=400, needs 1000)" in said
    assert any(text.startswith("tap p50 = 147") and "95% interval" in text for text in said)


def test_a_few_very_slow_requests_are_counted_instead_of_pressing_the_rest_together():
    chart = distribution([*SAMPLES, 800.0, 900.0])
    assert "2 further right, up to 900 ms →" in texts(chart)
    assert chart.axes[1].get_xlim()[1] < 200


def test_the_last_bucket_has_no_upper_end():
    last = {"vote-bot": Bracket(0.5, 50_000, math.inf)}
    chart = charts.distribution({"tap": [60_000.0]}, title="t", caption=CAPTION, brackets=last)
    assert "viz, vote-bot: bucket of p50 (50000, ∞] ms" in legend(chart)


def test_each_bucket_says_whose_requests_are_in_it():
    def told(**buckets):
        chart = charts.distribution({"tap": [22.0]}, title="t", caption=CAPTION, brackets=buckets)
        return [text for text in legend(chart) if text.startswith("viz, ")]

    low, high = Bracket(0.5, 10, 20), Bracket(0.5, 20, 30)
    assert told(robot=high, load=low) == [
        "viz, robot: bucket of p50 (20, 30] ms",
        "viz, load: bucket of p50 (10, 20] ms",
    ]
    assert told(robot=low, load=low) == ["viz, robot and load: bucket of p50 (10, 20] ms"]


def test_two_instruments_are_told_apart_without_colour():
    chart = distribution(**{"load generator": [x + 1 for x in SAMPLES]})
    steps = [line for line in chart.axes[1].lines if len(line.get_xdata()) > 100]
    assert len({line.get_linestyle() for line in steps}) == 2


def test_a_workload_without_requests_has_no_success_rate():
    assert {" 92.0", " no requests"} <= set(texts(golden()))


def test_every_part_of_the_time_has_its_figure_with_interval_and_source():
    said = texts(where_time_goes())
    assert "145.9 ms [131.3, 160.5]" in said
    assert "WAN round trip\n(table)" in said
    assert any(text.startswith("0.6 ms [-14.0") for text in said)


def test_parts_whose_uncertainty_is_not_known_have_no_interval():
    assert "1.9 ms" not in texts(where_time_goes())
    parts = decompose(
        source=statistics.Mean(140.0, math.nan, 2),
        gateway=statistics.Mean(1.9, math.nan, 2),
        served=None,
        way=Way(145.9, 131.3, 160.5, "table"),
    )
    chart = charts.where_time_goes(parts, whole=parts[0], title="t", caption=CAPTION)
    assert "1.9 ms" in texts(chart)
    assert "-7.8 ms" in texts(chart)


def test_the_matrix_tells_measured_table_and_model_apart():
    said = legend(region_matrix())
    assert [text.partition(" ")[0].rstrip(":") for text in said[:3]] == [
        "measured",
        "table",
        "model",
    ]
    figures = {
        t.get_text(): (t.get_fontweight(), t.get_fontstyle())
        for t in region_matrix().axes[0].texts
        if t.get_fontsize() > 9
    }
    assert ("bold", "normal") in figures.values()
    assert figures["5.0"] == ("normal", "italic")


def test_what_is_measured_stands_above_the_diagonal_and_the_rest_below():
    chart = charts.region_matrix(
        pd.DataFrame(PAIRS[2:], columns=PAIR_COLUMNS),
        title="t",
        caption=CAPTION,
        regions=["sfo3", "syd1"],
    )
    places = {
        t.get_fontweight(): t.get_position() for t in chart.axes[0].texts if t.get_fontsize() > 9
    }
    assert places["bold"] == (1, 0)
    assert places["normal"] == (0, 1)


def test_figures_in_dark_cells_are_white():
    chart = region_matrix()
    colors = {t.get_text(): to_rgb(t.get_color()) for t in chart.axes[0].texts}
    assert colors["5.0"] == (1, 1, 1)
    assert colors["145.9"] == (0, 0, 0)


def test_a_way_over_the_pacific_goes_on_at_the_other_edge_of_the_map():
    chart = world_map(PAIRS[2:3])
    pieces = [line for line in chart.axes[0].lines if len(line.get_xdata()) > 2]
    assert len(pieces) == 2
    for piece in pieces:
        assert np.abs(np.diff(piece.get_xdata())).max() < 10


def test_regions_of_one_city_share_a_mark():
    assert "nyc1/nyc3" in texts(world_map())


def test_a_difference_without_figure_says_why():
    said = joined(forest())
    assert "not enough samples; n=120 / 118" in said
    assert "p<0.001" in said
    assert {"A: run-a", "B: run-b", "no difference"} <= set(legend(forest()))


def test_a_trend_keeps_runs_in_order_and_says_n():
    said = texts(trend())
    assert {"n=60", "n=62", "n=61"} <= set(said)
    assert [t.get_text() for t in trend().axes[0].get_xticklabels()] == ["run-1", "run-2"]


def test_pairs_are_drawn_from_the_nearest_to_the_farthest():
    labels = [text.get_text() for text in by_pair().axes[0].get_yticklabels()]
    assert labels == ["ams3 → fra1\n(n=39)", "sfo3 → syd1\n(n=31)"]


def test_series_differ_in_more_than_colour():
    for part in ("color", "line", "marker", "hatch"):
        assert len({str(getattr(look, part)) for look in style.LOOKS}) == len(style.LOOKS)
    assert len({str(look.line) for look in style.SOURCES.values()}) == len(style.SOURCES)


def luminance(color):
    red, green, blue = to_rgb(color)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_colours_of_a_matrix_become_lighter_with_the_figure_in_grey_too():
    ramp = mpl.colormaps[style.RAMP]
    grey = [luminance(ramp(x)) for x in np.linspace(0, 1, 20)]
    assert grey == sorted(grey)


def test_the_style_stays_inside():
    before = dict(mpl.rcParams)
    over_time()
    assert dict(mpl.rcParams) == before
