"""Operations between instant vectors: matching, arithmetic, comparison, sets, aggregation.

The rules (which labels survive, when a match is ambiguous) and the wording of the errors are
Prometheus' own, so that a query which fails here fails in the same way on a real cluster.
"""

import math
import operator
from collections.abc import Callable, Mapping, Sequence

from labkit.embedded.mesh.viz.promql_functions import quantile_of_values
from labkit.embedded.mesh.viz.promql_syntax import (
    COMPARISONS,
    SET_OPERATORS,
    Aggregation,
    Operation,
)
from labkit.embedded.mesh.viz.tsdb import Labels

Sample = tuple[Labels, float]
Vector = list[Sample]


class QueryFailed(ValueError):  # noqa: N818 - Prometheus calls it an execution error
    """The query is valid PromQL but cannot be computed over these series."""


def drop_labels(labels: Labels, *names: str) -> Labels:
    """Labels without some."""
    return tuple(pair for pair in labels if pair[0] not in names)


def keep_labels(labels: Labels, names: Sequence[str]) -> Labels:
    """Only some labels."""
    return tuple(pair for pair in labels if pair[0] in names)


def describe(labels: Labels) -> str:
    """Labels in Prometheus' notation."""
    values = dict(labels)
    name = values.pop("__name__", "")
    inner = ", ".join(f'{key}="{value}"' for key, value in values.items())
    return f"{name}{{{inner}}}"


def unique(vector: Vector) -> Vector:
    """The vector itself.

    Raises:
        QueryFailed: two samples have the same labels.
    """
    if len({labels for labels, _ in vector}) != len(vector):
        raise QueryFailed("vector cannot contain metrics with the same labelset")
    return vector


def _divide(left: float, right: float) -> float:
    if right:
        return left / right
    if left == 0 or math.isnan(left):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1, right)


def _modulo(left: float, right: float) -> float:
    return math.nan if right == 0 or math.isinf(left) else math.fmod(left, right)


def _power(left: float, right: float) -> float:
    try:
        return math.pow(left, right)
    except OverflowError:
        return math.inf
    except ValueError:
        return math.inf if left == 0 else math.nan


_ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    "%": _modulo,
    "^": _power,
}
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}


def combine(operation: Operation, left: float, right: float) -> float | None:
    """The value of two numbers; None if a comparison without `bool` filters it out."""
    if operation.operator not in COMPARISONS:
        return _ARITHMETIC[operation.operator](left, right)
    holds = _COMPARE[operation.operator](left, right)
    if operation.returns_bool:
        return float(holds)
    return left if holds else None


def _drops_name(operation: Operation) -> bool:
    return operation.operator not in COMPARISONS or operation.returns_bool


def with_scalar(
    operation: Operation, vector: Vector, number: float, *, number_left: bool
) -> Vector:
    """A vector and a number, the number on either side."""
    result = []
    for labels, value in vector:
        pair = (number, value) if number_left else (value, number)
        outcome = combine(operation, *pair)
        if outcome is None:
            continue
        if operation.operator in COMPARISONS and not operation.returns_bool:
            outcome = value
        result.append(
            (drop_labels(labels, "__name__") if _drops_name(operation) else labels, outcome)
        )
    return unique(result)


def _signature(operation: Operation) -> Callable[[Labels], Labels]:
    if operation.on:
        return lambda labels: keep_labels(labels, operation.labels)
    return lambda labels: drop_labels(labels, "__name__", *operation.labels)


def with_vector(operation: Operation, left: Vector, right: Vector) -> Vector:
    """Two vectors, matched by labels.

    Raises:
        QueryFailed: a match is ambiguous.
    """
    if operation.operator in SET_OPERATORS:
        return _sets(operation, left, right)
    swapped = operation.grouping == "right"
    many, one = (right, left) if swapped else (left, right)
    signature = _signature(operation)
    partners = _partners(one, signature, side="left" if swapped else "right")
    seen: set[tuple[Labels, Labels]] = set()
    result: Vector = []
    for labels, value in many:
        group = signature(labels)
        if group not in partners:
            continue
        other_labels, other = partners[group]
        outcome = combine(operation, *((other, value) if swapped else (value, other)))
        if outcome is None:
            continue
        merged = _merged_labels(operation, labels, other_labels)
        once = (group, merged if operation.grouping != "one" else ())
        if once in seen:
            raise QueryFailed(
                "multiple matches for labels: many-to-one matching must be explicit "
                "(group_left/group_right)"
                if operation.grouping == "one"
                else "multiple matches for labels: grouping labels must ensure unique matches"
            )
        seen.add(once)
        result.append((merged, outcome))
    return unique(result)


def _partners(
    one: Vector, signature: Callable[[Labels], Labels], *, side: str
) -> dict[Labels, Sample]:
    partners: dict[Labels, Sample] = {}
    for sample in one:
        group = signature(sample[0])
        if group in partners:
            raise QueryFailed(
                f"found duplicate series for the match group {describe(group)} on the {side} "
                f"hand-side of the operation: [{describe(sample[0])}, "
                f"{describe(partners[group][0])}];many-to-many matching not allowed: matching "
                "labels must be unique on one side"
            )
        partners[group] = sample
    return partners


def _merged_labels(operation: Operation, many: Labels, one: Labels) -> Labels:
    labels = drop_labels(many, "__name__") if _drops_name(operation) else many
    if operation.grouping == "one":
        if operation.on:
            labels = keep_labels(labels, operation.labels)
        else:
            labels = drop_labels(labels, *operation.labels)
    if operation.include:
        copied = keep_labels(one, operation.include)
        labels = tuple(sorted((*drop_labels(labels, *operation.include), *copied)))
    return labels


def _sets(operation: Operation, left: Vector, right: Vector) -> Vector:
    signature = _signature(operation)
    if operation.operator == "or":
        known = {signature(labels) for labels, _ in left}
        return unique([*left, *(s for s in right if signature(s[0]) not in known)])
    wanted = {signature(labels) for labels, _ in right}
    keep = operation.operator == "and"
    return [sample for sample in left if (signature(sample[0]) in wanted) is keep]


def _without_nan(values: Sequence[float]) -> list[float]:
    return [value for value in values if not math.isnan(value)] or [math.nan]


def _variance(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / len(values)


def _sum(values: Sequence[float]) -> float:
    return math.fsum(values) if all(map(math.isfinite, values)) else sum(values)


_REDUCERS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "sum": _sum,
    "avg": lambda values: _sum(values) / len(values),
    "min": lambda values: min(_without_nan(values)),
    "max": lambda values: max(_without_nan(values)),
    "count": lambda values: float(len(values)),
    "group": lambda values: 1.0,  # noqa: ARG005 - the aggregation is defined so
    "stdvar": _variance,
    "stddev": lambda values: math.sqrt(_variance(values)),
}


def aggregate(aggregation: Aggregation, vector: Vector, parameter: float) -> Vector:
    """One sample for each group of labels; topk and bottomk keep whole samples."""
    groups: dict[Labels, Vector] = {}
    for sample in vector:
        if aggregation.without:
            group = drop_labels(sample[0], "__name__", *aggregation.labels)
        else:
            group = keep_labels(sample[0], aggregation.labels)
        groups.setdefault(group, []).append(sample)
    if aggregation.operator in ("topk", "bottomk"):
        return _ranked(groups, parameter, best=aggregation.operator == "topk")
    result = []
    for group, samples in groups.items():
        values = [value for _, value in samples]
        if aggregation.operator == "quantile":
            result.append((group, quantile_of_values(parameter, values)))
        else:
            result.append((group, _REDUCERS[aggregation.operator](values)))
    return result


def _ranked(groups: Mapping[Labels, Vector], size: float, *, best: bool) -> Vector:
    if math.isnan(size) or size < 1:
        return []

    def rank(sample: Sample) -> tuple[bool, float]:
        value = sample[1]
        return math.isnan(value), -value if best else value

    count = int(min(size, 2**31))
    return [sample for samples in groups.values() for sample in sorted(samples, key=rank)[:count]]
