"""The load generator's figures: what a client sees, what its proxy sees, what lies between.

The generator counts from the intended send time to the end of the answer. Its sidecar is tapped at
the same time: the same requests, from their first byte at the proxy to the answer's last. Both are
told, and the difference, the generator's own share, too.
"""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from labkit.chapters.load import LATE_US, SIDECAR, VANTAGE
from labkit.latency import samples, statistics
from labkit.latency.agreement import QUANTILES, agreement
from labkit.latency.histogram import Histogram

LATE_SHARE = 0.01
"""Share of late sends from which the program warns."""


def compute(
    rows: pd.DataFrame, sidecar: pd.DataFrame, *, rate_per_s: int, buckets: Histogram
) -> dict[str, Any] | None:
    """The figures as plain values; None when there was no load.

    Args:
        rows: requests of the plan, without the lead.
        sidecar: those that were tapped at the generator's proxy.
        rate_per_s: as planned.
        buckets: viz' at the generator's proxy, of its own requests.
    """
    if not len(rows):
        return None
    latencies = samples.latencies_ms(rows)
    mean = statistics.mean_of_samples(latencies)
    late = rows["late_us"].dropna()
    quantiles = {name: statistics.quantile(latencies, q) for name, q in QUANTILES.items()}
    outcomes = rows["outcome"].astype("str").value_counts()
    dropped, truncated = int(outcomes.get("dropped", 0)), int(outcomes.get("truncated", 0))
    return {
        "n": mean.n,
        "rate_per_s": rate_per_s,
        "intended": len(rows),
        "without_response": len(rows) - mean.n - dropped - truncated,
        "dropped": dropped,
        "truncated": truncated,
        "late_share": float((late > LATE_US).mean()) if len(late) else 0.0,
        "late_p99_ms": _plain(float(late.quantile(0.99)) / 1000) if len(late) else None,
        "connection": str(rows["connection"].iloc[0]),
        "vantage": VANTAGE,
        "mean_ms": _plain(mean.value_ms),
        "mean_low_ms": _plain(mean.low_ms),
        "mean_high_ms": _plain(mean.high_ms),
        **{f"{name}_ms": quantile.as_dict() for name, quantile in quantiles.items()},
        "sidecar": _sidecar(rows, sidecar),
        "viz": {
            "n": round(buckets.n),
            "vantage": SIDECAR,
            "brackets_ms": buckets.brackets(QUANTILES),
        },
    }


def _sidecar(rows: pd.DataFrame, sidecar: pd.DataFrame) -> dict[str, Any]:
    """The same requests at the generator's proxy, and what the generator itself adds to them."""
    pairs = agreement(_by_number(rows, "latency_us"), _by_number(sidecar, "duration_us"))
    return {
        "n": pairs.n,
        "vantage": SIDECAR,
        **{f"{name}_ms": quantile.as_dict() for name, quantile in pairs.inner.items()},
        "client_p50_ms": pairs.share.as_dict(),
        "client_p95_ms": pairs.share_p95.as_dict(),
        "negative": pairs.negative,
        "without_client": {name: found.as_dict() for name, found in pairs.outer.items()},
        "agree": pairs.agree,
    }


def _by_number(rows: pd.DataFrame, column: str) -> pd.Series:
    """Latencies in ms by the request's number."""
    known = rows[rows["number"].notna()].drop_duplicates("number")
    return pd.Series((known[column] / 1000).to_numpy(), index=known["number"].to_numpy())


def warnings(figures: dict[str, Any] | None) -> list[str]:
    """What spoils an open model, and instruments that do not agree."""
    if not figures:
        return []
    found = []
    if figures["late_share"] > LATE_SHARE:
        found.append(
            f"load: {figures['late_share']:.1%} of the requests were sent more than "
            f"{LATE_US / 1000:g} ms late; their latencies hold the generator's own delay"
        )
    for name, text in (
        ("dropped", "were never sent"),
        ("truncated", "are lost: the pod's log was cut; use a lower load_rate or load_seconds"),
        ("without_response", "had no response and no latency: quantiles are of the others"),
    ):
        if figures[name]:
            found.append(f"load: {figures[name]} of {figures['intended']} requests {text}")
    return found + _disagreement(figures["sidecar"])


def _disagreement(sidecar: dict[str, Any]) -> list[str]:
    if not sidecar["n"]:
        return ["load: tap saw none of its requests at its proxy: its own share is not known"]
    found = []
    if sidecar["negative"]:
        found.append(
            f"load: {sidecar['negative']} of {sidecar['n']} requests took longer at the proxy than "
            "at the client, which cannot be"
        )
    apart = [name for name, agree in sidecar["agree"].items() if agree is False]
    if apart:
        found.append(
            f"load: {' and '.join(apart)} of the client, without its own share, and of its proxy "
            "are further apart than their intervals: its share depends on the latency"
        )
    most = sidecar["client_p95_ms"]["value"]
    if most is not None and most > LATE_US / 1000:
        found.append(
            f"load: the generator's own share exceeds {most:.1f} ms in 5 % of the requests; "
            "upper quantiles hold it"
        )
    return found


def rows(figures: dict[str, Any] | None) -> list[tuple[str, object, object, str, str]]:
    """Figure, ms, n, source and vantage point for a table; none without a load."""
    if not figures:
        return []
    beside = figures.get("sidecar") or {"n": 0}  # a lab may have been measured by an older version
    found: list[tuple[str, object, object, str, str]] = [
        ("mean west → east", figures["mean_ms"], figures["n"], "load", VANTAGE)
    ]
    found += [
        (f"{name} west → east", interval(figures[f"{name}_ms"]), figures["n"], "load", VANTAGE)
        for name in QUANTILES
    ]
    if beside["n"]:
        found += [
            (f"{name} west → east", interval(beside[f"{name}_ms"]), beside["n"], "tap", SIDECAR)
            for name in QUANTILES
        ]
    for name, bounds in (figures.get("viz") or {}).get("brackets_ms", {}).items():
        if bounds[0] is not None:
            n = figures["viz"]["n"]
            found.append((f"{name} west → east", bucket(bounds), n, "viz bucket", SIDECAR))
    if beside["n"]:
        share = interval(beside["client_p50_ms"], digits=2)
        found.append(("the generator's own share, p50", share, beside["n"], "load − tap", VANTAGE))
    return found


def bucket(bounds: Sequence[float | None]) -> str:
    """The bounds of a bucket as `(100, 200]`."""
    low, high = bounds
    return "-" if low is None else f"({low:g}, {'inf' if high is None else f'{high:g}'}]"


def interval(figure: dict[str, Any], *, digits: int = 1) -> str:
    """A quantile with its interval, or why there is none."""
    if figure["value"] is None:
        return f"not enough samples (needs {figure['needed']})"
    ends = ["?" if figure[end] is None else f"{figure[end]:.{digits}f}" for end in ("low", "high")]
    return f"{figure['value']:.{digits}f} [{ends[0]}, {ends[1]}]"


def _plain(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None
