"""Run folders in the real format, made by labkit's own writers from known distributions."""

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from labkit.context import FACTS
from labkit.latency import charts, statistics
from labkit.latency.dataset import write
from labkit.latency.schema import REQUESTS
from labkit.params import Params
from labkit.rtt import rtt
from labkit.runs import summary
from labkit.runs.folder import RunFolder

VANTAGE = "vote-bot outbound (west)"
STARTED = 1_790_000_000.0


def requests(root, params, latencies_ms, *, instrument="tap", repetition=1):
    """Rows of the table of requests."""
    known = rtt(params.west_region, params.east_region)
    count = len(latencies_ms)
    row = {
        "run": root.name,
        "repetition": repetition,
        "instrument": instrument,
        "warmup": False,
        "vantage": VANTAGE,
        "source_cluster": "west",
        "source_region": params.west_region,
        "destination_cluster": "east",
        "destination_region": params.east_region,
        "service": "web-svc-east.emojivoto",
        "rtt_ms": known.value_ms,
        "rtt_source": known.source,
        "method": "GET",
        "path": "/api/vote",
        "status": 200,
        "outcome": "response",
        "late_us": None,
        "duration_us": None,
        "number": None,
        "connection": "",
        "tls": True,
        "server_id": "gateway",
    }
    frame = pd.DataFrame([row] * count)
    frame["time_s"] = STARTED + np.arange(count) / 2
    frame["latency_us"] = (np.asarray(latencies_ms) * 1000).astype("int64")
    return frame


def figures(params, latencies_ms):
    """What chapter 10 records, from these latencies."""
    known = rtt(params.west_region, params.east_region)
    mean = statistics.mean_of_samples(latencies_ms)
    quantiles = {
        f"{name}_ms": statistics.quantile(latencies_ms, q).as_dict()
        for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    }
    bracket = [100.0, 200.0]
    return {
        "rtt": {"value_ms": known.value_ms, "source": known.source, "floor_ms": known.floor_ms},
        "viz": {
            "west_east_mean_ms": mean.value_ms,
            "west_east_mean_low_ms": mean.low_ms,
            "west_east_mean_high_ms": mean.high_ms,
            "in_region_mean_ms": 4.0,
            "in_region_mean_low_ms": 3.9,
            "in_region_mean_high_ms": 4.1,
            "bracket_ms": bracket,
            "brackets_ms": dict.fromkeys(("p50", "p95", "p99"), bracket),
            "n": mean.n,
            "window_s": 60.0,
            "vantage": VANTAGE,
            "in_region_vantage": "linkerd-gateway outbound (east)",
        },
        "tap": {
            "n": mean.n,
            "viz_n": mean.n,
            "vantage": VANTAGE,
            **quantiles,
            "tls_true_share": 1.0,
            "server_ids": ["gateway"],
        },
        "gateway_rtt_ms": 147,
        "wan_share": {"value": 0.97, "low": 0.96, "high": 0.98},
        "success_rate": {"vote-bot": 0.92, "web": None},
        "rps": {"vote-bot": 2.0, "web": 2.0},
        "warnings": ["viz: p50, p95 and p99 lie in one bucket (100, 200] ms"],
    }


def make_run(parent, latencies_ms=None, *, facts=None, drawn=True, **values):
    """A finished run; returns its folder."""
    params = Params(**values)
    folder = RunFolder.create(parent, params)
    known = rtt(params.west_region, params.east_region)
    if latencies_ms is None:
        seed = np.random.default_rng(len(list(parent.iterdir())))
        latencies_ms = known.value_ms + 4 + seed.gamma(2.0, 0.6, 120)
    check = {
        "id": "10.floor",
        "title": "no figure is faster than light",
        "clusters": ["west"],
        "status": "pass",
        "reason": "mean above floor",
        "fix": "",
    }
    recorded = {"latency": figures(params, latencies_ms), "checks": {"10": [check]}}
    (folder.root / FACTS).write_text(json.dumps(recorded | (facts or {})))
    measured = {"started": STARTED, "ended": STARTED + 60, "warmup_s": 10}
    measured["wan"] = {"rtt_ms": known.value_ms, "jitter_ms": 0.4377, "loss": 0.0, "changes": []}
    (folder.root / "measurement.json").write_text(json.dumps(measured))
    write(requests(folder.root, params, latencies_ms), folder.root, REQUESTS)
    if drawn:
        for suffix, drawing in _chart().items():
            (folder.root / "charts" / f"distribution{suffix}").write_bytes(drawing)
    content = summary.build(
        folder,
        params,
        timings={"10_latency": 60.0},
        teardown={"processes_left": [], "leftovers": []},
        error=None,
    )
    folder.summary.write_text(json.dumps(content))
    return folder.root


@cache
def _chart():
    """One chart for all: what is in it does not matter to those who read run folders."""
    caption = charts.Caption("tap", VANTAGE, 120)
    chart = charts.distribution({"tap": [150.0] * 120}, title="Distribution", caption=caption)
    with TemporaryDirectory() as folder:
        return {path.suffix: path.read_bytes() for path in charts.save(chart, Path(folder), "one")}
