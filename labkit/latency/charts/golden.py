"""The golden metrics of every workload, both clusters side by side."""

import math
from typing import Any

import pandas as pd

from labkit.latency import style
from labkit.latency.charts.sheet import Caption, Chart, said, sheet

_ROW_IN, _REST_IN = 0.3, 1.8


def golden(frame: pd.DataFrame, *, title: str, caption: Caption) -> Chart:
    """Draw success and requests per second of every workload, both clusters side by side.

    Args:
        frame: columns cluster, deployment, direction, success (0 to 1), rps.
        title: of the chart.
        caption: below it.
    """
    with style.styled():
        height = max(style.HEIGHT_IN, _REST_IN + _ROW_IN * len(frame))
        chart = sheet(title, caption, height_in=height)
        left, right = chart.subplots(1, 2, sharey=True)
        workloads = frame[["cluster", "deployment", "direction"]].astype("str").to_numpy()
        names = [f"{cluster}: {name} {direction}" for cluster, name, direction in workloads]
        successes = (frame["success"].astype("float64") * 100).tolist()
        rates = frame["rps"].astype("float64").tolist()
        looks = {"west": style.WEST_EAST, "east": style.IN_REGION}
        for place, (success, rps) in enumerate(zip(successes, rates, strict=True)):
            look = looks.get(str(workloads[place][0]), style.THIRD)
            how: Any = {"color": look.color, "hatch": look.hatch, "height": 0.6}
            known = 0.0 if math.isnan(success) else success
            left.barh(place, known, **how)
            text = " no requests" if math.isnan(success) else f" {success:.1f}"
            left.text(known, place, text, va="center", fontsize=style.SMALL)
            right.barh(place, rps, **how)
            right.text(rps, place, f" {rps:.2f}", va="center", fontsize=style.SMALL)
        if not names:
            said(left, "no workloads")
            right.set_xticks([])
        left.set_yticks(range(len(names)), names, fontsize=style.SMALL)
        left.set(xlabel="success (%)", xlim=(0, 118))
        right.set(xlabel="requests (1/s)")
        right.margins(x=0.18)
        left.invert_yaxis()
    return chart
