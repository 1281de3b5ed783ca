"""Chapter 10: the artefact of a bucket is predicted, and so is the latency of another pair."""

from labkit.checks import Check, Finding, Reason, passed
from labkit.context import LabContext
from labkit.exercises.answering import HINTS, NOT_ANSWERED, answer_of, number
from labkit.exercises.exercise import Exercise
from labkit.latency.histogram import Histogram
from labkit.rtt import rtt

ARTEFACT, PREDICT = "10.exercise-artefact", "10.exercise-predict"
QUANTILES = (0.5, 0.95, 0.99)
BUCKET_MS = (200.0, 300.0)
MEASURED_BUCKET_MS = (100.0, 200.0)
TOLERANCE_MS = 0.5
PAIR = ("lon1", "blr1")
NEAR = 0.05
"""Share by which a prediction may be off: the in-region part differs from lab to lab."""

_THREE = Reason("{answer} is not three numbers, for p50, p95 and p99")
_FIRST_BUCKET = Reason(
    "these are what viz shows for the bucket (100, 200] ms; the question is about (200, 300]"
)
_QUANTILE = Reason(
    "{name} is not what viz would show: it draws a straight line through the bucket, from "
    "one bound to the other"
)
_NOT_MEASURED = Reason("this lab has no measurement yet", fix="# run lab.measure() in notebook 10")
_NOT_A_NUMBER = Reason("{answer} is no number of milliseconds")
_TOO_FAST = Reason("{answer:.1f} ms is less than light needs in fibre ({floor:.1f} ms)")
_OFF = Reason(
    "{answer:.1f} ms is off by more than {near:.0%}: a round trip, and the time in region"
)


def shown_by_viz(bucket_ms: tuple[float, float]) -> list[float]:
    """p50, p95 and p99 as `histogram_quantile` makes them up when one bucket holds all requests."""
    low, high = bucket_ms
    histogram = Histogram.of({low: 0.0, high: 100.0})
    found = [histogram.interpolated(quantile) for quantile in QUANTILES]
    return [value for value in found if value is not None]


def _artefact(lab: LabContext) -> Finding:
    answer = answer_of(lab, ARTEFACT)
    if answer in (None, []):
        return NOT_ANSWERED.seen()
    given = [number(item) for item in answer] if isinstance(answer, list) else []
    values = [value for value in given if value is not None]
    if len(values) != len(QUANTILES):
        return _THREE.seen(answer=answer)
    if _same(values, shown_by_viz(MEASURED_BUCKET_MS)):
        return _FIRST_BUCKET.seen()
    for quantile, value, right in zip(QUANTILES, values, shown_by_viz(BUCKET_MS), strict=True):
        if abs(value - right) > TOLERANCE_MS:
            return _QUANTILE.seen(name=f"p{quantile * 100:g}")
    return passed("whatever the requests did, viz would show these three")


def _same(one: list[float], other: list[float]) -> bool:
    return all(abs(a - b) <= TOLERANCE_MS for a, b in zip(one, other, strict=True))


def _predict(lab: LabContext) -> Finding:
    given = answer_of(lab, PREDICT)
    if given is None:
        return NOT_ANSWERED.seen()
    answer = number(given)
    if answer is None:
        return _NOT_A_NUMBER.seen(answer=given)
    measured = (lab.recorded("latency") or {}).get("viz") or {}
    in_region = measured.get("in_region_mean_ms")
    if in_region is None:
        return _NOT_MEASURED.seen()
    way = rtt(*PAIR)
    if answer < way.floor_ms:
        return _TOO_FAST.seen(answer=answer, floor=way.floor_ms)
    expected = way.value_ms + in_region
    if abs(answer - expected) > NEAR * expected:
        return _OFF.seen(answer=answer, near=NEAR)
    return passed(
        f"{way.value_ms:.1f} ms round trip ({way.source}) and {in_region:.1f} ms in region "
        f"(measured in this lab) make {expected:.1f} ms; you say {answer:.1f}"
    )


EXERCISES = (
    Exercise(
        Check(
            id=ARTEFACT,
            title="you can tell what viz shows when one bucket holds every request",
            clusters=(),
            proves="a quantile of viz may be made by the bucket's bounds and nothing else",
            fix=HINTS,
            look=_artefact,
            reasons=(NOT_ANSWERED, _THREE, _FIRST_BUCKET, _QUANTILE),
        )
    ),
    Exercise(
        Check(
            id=PREDICT,
            title=f"you can predict the mean latency from {PAIR[0]} to {PAIR[1]}",
            clusters=(),
            proves="distance is the larger part, and known before anything is built",
            fix=HINTS,
            look=_predict,
            reasons=(NOT_ANSWERED, _NOT_A_NUMBER, _NOT_MEASURED, _TOO_FAST, _OFF),
        )
    ),
)
