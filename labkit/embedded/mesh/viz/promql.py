"""PromQL evaluation with the semantics of Prometheus 2.x over the in-memory database.

`instant` and `over_range` are the two questions that the HTTP API asks. A value is a number (for
scalars), a `Vector` or, for a bare range selector, a list of series with their points.
What PromQL offers beyond `promql_syntax` is refused there.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from labkit.embedded.mesh.viz import promql_syntax as syntax
from labkit.embedded.mesh.viz.promql_functions import (
    MAPPED_FUNCTIONS,
    RANGE_FUNCTIONS,
    quantile_of_buckets,
)
from labkit.embedded.mesh.viz.promql_syntax import BadQuery, Node
from labkit.embedded.mesh.viz.promql_vectors import (
    QueryFailed,
    Vector,
    aggregate,
    combine,
    drop_labels,
    unique,
    with_scalar,
    with_vector,
)
from labkit.embedded.mesh.viz.tsdb import Database, Labels, Matcher, Series

__all__ = ["LOOKBACK_MS", "BadQuery", "QueryFailed", "Samples", "instant", "over_range"]

LOOKBACK_MS = 5 * 60 * 1000
"""How old a sample may be and still be the current value (Prometheus' default)."""

MAX_POINTS = 11_000
"""Steps per series that a range query may ask for, as in Prometheus."""

Point = tuple[int, float]
"""Unix milliseconds and a value."""
Matrix = list[tuple[Labels, list[Point]]]


@dataclass(frozen=True)
class Samples:
    """The result of a bare range selector: raw samples instead of computed values."""

    matrix: Matrix


def instant(database: Database, query: str, at_ms: int) -> float | Vector | Samples:
    """Evaluate a query at one moment.

    Returns:
        A number for a scalar expression, samples for a bare range selector, else a vector.

    Raises:
        BadQuery: not PromQL, or not supported.
        QueryFailed: valid, but not computable over these series.
    """
    node = syntax.parse(query)
    evaluation = _Evaluation(database, start_ms=at_ms, end_ms=at_ms)
    if isinstance(node, syntax.Range):
        return Samples(evaluation.points(node, at_ms))
    return evaluation.value(node, at_ms)


def over_range(
    database: Database, query: str, *, start_ms: int, end_ms: int, step_ms: int
) -> Matrix:
    """Evaluate a query at `start`, `start + step`, … up to `end`.

    Raises:
        BadQuery: not PromQL, not supported, or too many or impossible steps.
        QueryFailed: valid, but not computable over these series.
    """
    if step_ms <= 0:
        raise BadQuery(
            "zero or negative query resolution step widths are not accepted. Try a positive integer"
        )
    if end_ms < start_ms:
        raise BadQuery("end timestamp must not be before start time")
    if (end_ms - start_ms) // step_ms > MAX_POINTS:
        raise BadQuery(
            "exceeded maximum resolution of 11,000 points per timeseries. "
            "Try decreasing the query resolution (?step=XX)"
        )
    node = syntax.parse(query)
    if isinstance(node, syntax.Range):
        raise BadQuery(
            'invalid expression type "range vector" for range query, must be Scalar '
            "or instant Vector"
        )
    evaluation = _Evaluation(database, start_ms=start_ms, end_ms=end_ms)
    found: dict[Labels, list[Point]] = {}
    for at_ms in range(start_ms, end_ms + 1, step_ms):
        value = evaluation.value(node, at_ms)
        for labels, number in [((), value)] if isinstance(value, float) else value:
            found.setdefault(labels, []).append((at_ms, number))
    return sorted(found.items())


@dataclass
class _Evaluation:
    """One question: the series behind each selector are looked up once."""

    database: Database
    start_ms: int
    end_ms: int
    _selected: dict[tuple[Matcher, ...], list[Series]] = field(default_factory=dict)

    def value(self, node: Node, at_ms: int) -> float | Vector:
        match node:
            case syntax.Number():
                return float(node.value)
            case syntax.Selector():
                return self._instant_vector(node, at_ms)
            case syntax.Call():
                return self._call(node, at_ms)
            case syntax.Negation():
                return self._negation(node, at_ms)
            case syntax.Aggregation():
                parameter = node.parameter
                number = 0.0 if parameter is None else self._number(parameter, at_ms)
                return aggregate(node, self._vector(node.operand, at_ms), number)
            case syntax.Operation():
                return self._operation(node, at_ms)
            case syntax.Range():
                raise BadQuery("parse error: a range vector is only valid inside a function")

    def points(self, node: syntax.Range, at_ms: int) -> Matrix:
        """The samples of a bare range selector."""
        start, end = self._window(node, at_ms)
        found = []
        for series in self._series(node.selector):
            times, values = series.between(start, end)
            if times:
                found.append((series.labels, list(zip(times, values, strict=True))))
        return sorted(found)

    def _vector(self, node: Node, at_ms: int) -> Vector:
        value = self.value(node, at_ms)
        if isinstance(value, float):
            raise BadQuery("parse error: expected type instant vector, got scalar")
        return value

    def _number(self, node: Node, at_ms: int) -> float:
        value = self.value(node, at_ms)
        if not isinstance(value, float):
            raise BadQuery("parse error: expected type scalar, got instant vector")
        return value

    def _series(self, selector: syntax.Selector) -> Sequence[Series]:
        found = self._selected.get(selector.matchers)
        if found is None:
            found = self._selected[selector.matchers] = self.database.select(selector.matchers)
        return found

    def _moment(self, selector: syntax.Selector, at_ms: int) -> int:
        bounds: Mapping[object, int] = {"start": self.start_ms, "end": self.end_ms, None: at_ms}
        at = selector.at
        moment = round(at * 1000) if isinstance(at, float) else bounds[at]
        return moment - selector.offset_ms

    def _window(self, node: syntax.Range, at_ms: int) -> tuple[int, int]:
        end = self._moment(node.selector, at_ms)
        return end - node.range_ms, end

    def _instant_vector(self, selector: syntax.Selector, at_ms: int) -> Vector:
        moment = self._moment(selector, at_ms)
        found = ((s.labels, s.at(moment, LOOKBACK_MS)) for s in self._series(selector))
        return [(labels, value) for labels, value in found if value is not None]

    def _negation(self, node: syntax.Negation, at_ms: int) -> float | Vector:
        value = self.value(node.operand, at_ms)
        if isinstance(value, float):
            return -value
        return unique([(drop_labels(labels, "__name__"), -number) for labels, number in value])

    def _operation(self, node: syntax.Operation, at_ms: int) -> float | Vector:
        left, right = self.value(node.left, at_ms), self.value(node.right, at_ms)
        if isinstance(left, float):
            if isinstance(right, float):
                outcome = combine(node, left, right)
                return math.nan if outcome is None else outcome
            return with_scalar(node, right, left, number_left=True)
        if isinstance(right, float):
            return with_scalar(node, left, right, number_left=False)
        return with_vector(node, left, right)

    def _call(self, node: syntax.Call, at_ms: int) -> float | Vector:
        name, arguments = node.function, node.arguments
        if name in RANGE_FUNCTIONS:
            return self._over_window(name, arguments[0], at_ms)
        if name == "time":
            return at_ms / 1000
        if name == "vector":
            return [((), self._number(arguments[0], at_ms))]
        if name == "histogram_quantile":
            quantile = self._number(arguments[0], at_ms)
            return _histogram_quantile(quantile, self._vector(arguments[1], at_ms))
        vector = self._vector(arguments[0], at_ms)
        if name == "scalar":
            return vector[0][1] if len(vector) == 1 else math.nan
        if name in MAPPED_FUNCTIONS:
            mapped = MAPPED_FUNCTIONS[name]
            return unique([(drop_labels(s, "__name__"), mapped(value)) for s, value in vector])
        return sorted(vector, key=lambda s: _order(s[1], reverse=name == "sort_desc"))

    def _over_window(self, name: str, argument: Node, at_ms: int) -> Vector:
        if not isinstance(argument, syntax.Range):
            raise BadQuery(f"parse error: expected type range vector in call to function {name!r}")
        window = self._window(argument, at_ms)
        function = RANGE_FUNCTIONS[name]
        result: Vector = []
        for series in self._series(argument.selector):
            value = function(*series.between(*window), window)
            if value is not None:
                keeps = name == "last_over_time"
                labels = series.labels if keeps else drop_labels(series.labels, "__name__")
                result.append((labels, value))
        return unique(result)


def _order(value: float, *, reverse: bool) -> tuple[bool, float]:
    return math.isnan(value), -value if reverse else value


def _histogram_quantile(quantile: float, vector: Vector) -> Vector:
    groups: dict[Labels, list[tuple[float, float]]] = {}
    for labels, value in vector:
        try:
            bound = float(dict(labels).get("le", ""))
        except ValueError:
            continue
        group = drop_labels(labels, "__name__", "le")
        groups.setdefault(group, []).append((bound, value))
    return [(group, quantile_of_buckets(quantile, buckets)) for group, buckets in groups.items()]
