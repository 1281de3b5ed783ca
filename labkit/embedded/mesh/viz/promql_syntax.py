"""PromQL text to our own tree, refusing at once what the evaluator does not know.

The grammar is that of the `promql_parser` package; this module translates its tree into small
frozen values with times in milliseconds, so that evaluation cannot meet a surprise half-way.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import promql_parser as parser

from labkit.embedded.mesh.viz.promql_functions import FUNCTIONS
from labkit.embedded.mesh.viz.tsdb import Matcher, MatchOperator

AGGREGATIONS = frozenset(
    {
        "sum",
        "avg",
        "min",
        "max",
        "count",
        "group",
        "stddev",
        "stdvar",
        "topk",
        "bottomk",
        "quantile",
    }
)
_WITH_NUMBER = frozenset({"topk", "bottomk", "quantile"})
_ARITHMETIC = frozenset(["+", "-", "*", "/", "%", "^"])
COMPARISONS = frozenset(["==", "!=", ">", "<", ">=", "<="])
SET_OPERATORS = frozenset(["and", "or", "unless"])
_OPERATORS = _ARITHMETIC | COMPARISONS | SET_OPERATORS
_MATCH_OPERATORS: tuple[tuple[object, MatchOperator], ...] = (
    (parser.MatchOp.Equal, "="),
    (parser.MatchOp.NotEqual, "!="),
    (parser.MatchOp.Re, "=~"),
    (parser.MatchOp.NotRe, "!~"),
)


class BadQuery(ValueError):  # noqa: N818 - Prometheus calls it bad_data
    """The query is not PromQL, or uses a part of PromQL that is not supported."""


@dataclass(frozen=True)
class Number:
    """A literal."""

    value: float


@dataclass(frozen=True)
class Selector:
    """An instant vector selector."""

    matchers: tuple[Matcher, ...]
    offset_ms: int = 0
    at: float | Literal["start", "end"] | None = None
    """Modifier `@`: Unix seconds, or a bound of the query; None without it."""


@dataclass(frozen=True)
class Range:
    """A range vector selector."""

    selector: Selector
    range_ms: int


@dataclass(frozen=True)
class Call:
    """A function with its arguments."""

    function: str
    arguments: tuple["Node", ...]


@dataclass(frozen=True)
class Negation:
    """Unary minus."""

    operand: "Node"


@dataclass(frozen=True)
class Aggregation:
    """An aggregation; `without` says whether `labels` are dropped or kept."""

    operator: str
    operand: "Node"
    labels: tuple[str, ...]
    without: bool
    parameter: "Node | None" = None


@dataclass(frozen=True)
class Operation:
    """A binary operation with its vector matching."""

    operator: str
    left: "Node"
    right: "Node"
    returns_bool: bool
    on: bool
    """True: match on `labels` only; false: on all labels but these."""
    labels: tuple[str, ...]
    grouping: Literal["one", "left", "right"]
    include: tuple[str, ...]
    """Labels that group_left/group_right copies from the "one" side."""


Node = Number | Selector | Range | Call | Negation | Aggregation | Operation


def parse(query: str) -> Node:
    """Parse a query.

    Raises:
        BadQuery: not PromQL, or a part of it that is not supported here.
    """
    if not query.strip():
        raise BadQuery("unknown position: parse error: no expression found in input")
    try:
        tree = parser.parse(query)
    except ValueError as error:
        raise BadQuery(f"parse error: {error}") from error
    return _node(tree)


def parse_selector(text: str) -> tuple[Matcher, ...]:
    """The matchers of a plain selector, as `match[]` of the HTTP API takes them.

    Raises:
        BadQuery: anything else than a plain selector.
    """
    node = parse(text)
    if not isinstance(node, Selector) or node.offset_ms or node.at is not None:
        raise BadQuery(f"parse error: {text!r} is not a plain series selector")
    return node.matchers


def parse_duration(text: str) -> timedelta:
    """A Prometheus duration, as `1h30m`.

    Raises:
        BadQuery: not a duration.
    """
    try:
        return parser.parse_duration(text)
    except ValueError as error:
        raise BadQuery(f"cannot parse {text!r} to a valid duration") from error


def _milliseconds(duration: timedelta | None) -> int:
    return 0 if duration is None else duration // timedelta(milliseconds=1)


def _node(tree: parser.Expr) -> Node:
    match tree:
        case parser.NumberLiteral():
            return Number(tree.val)
        case parser.ParenExpr():
            return _node(tree.expr)
        case parser.UnaryExpr():
            return Negation(_node(tree.expr))
        case parser.VectorSelector():
            return _selector(tree)
        case parser.MatrixSelector():
            return Range(_selector(tree.vector_selector), _milliseconds(tree.range))
        case parser.Call():
            return _call(tree)
        case parser.AggregateExpr():
            return _aggregation(tree)
        case parser.BinaryExpr():
            return _operation(tree)
        case parser.SubqueryExpr():
            raise BadQuery("subqueries (`[range:step]`) are not supported by the lab's Prometheus")
        case _:
            raise BadQuery("string literals are not supported by the lab's Prometheus")


def _selector(tree: parser.VectorSelector) -> Selector:
    if tree.matchers.or_matchers:
        raise BadQuery("`or` inside a selector is not supported by the lab's Prometheus")
    matchers = [Matcher("__name__", "=", tree.name)] if tree.name else []
    for found in tree.matchers.matchers:
        operator = next(word for op, word in _MATCH_OPERATORS if found.op == op)
        try:
            matchers.append(Matcher(found.name, operator, found.value))
        except re.error as error:
            raise BadQuery(f"parse error: invalid regular expression: {error}") from error
    return Selector(tuple(matchers), _milliseconds(tree.offset), _at(tree.at))


def _at(modifier: parser.AtModifier | None) -> float | Literal["start", "end"] | None:
    if modifier is None:
        return None
    kinds = parser.AtModifierType
    if modifier.type == kinds.Start:
        return "start"
    if modifier.type == kinds.End:
        return "end"
    return None if modifier.at is None else modifier.at.timestamp()


def _call(tree: parser.Call) -> Call:
    name = tree.func.name
    if name not in FUNCTIONS:
        known = ", ".join(sorted(FUNCTIONS))
        raise BadQuery(
            f"function {name}() is not supported by the lab's Prometheus; it has {known}"
        )
    return Call(name, tuple(_node(argument) for argument in tree.args))


def _aggregation(tree: parser.AggregateExpr) -> Aggregation:
    operator = str(tree.op)
    if operator not in AGGREGATIONS:
        known = ", ".join(sorted(AGGREGATIONS))
        raise BadQuery(f"{operator} is not supported by the lab's Prometheus; it has {known}")
    if (tree.param is not None) is not (operator in _WITH_NUMBER):
        raise BadQuery(
            f"parse error: wrong number of arguments for aggregate expression {operator}"
        )
    modifier = tree.modifier
    return Aggregation(
        operator=operator,
        operand=_node(tree.expr),
        labels=tuple(modifier.labels) if modifier else (),
        without=modifier is not None and modifier.type == parser.AggModifierType.Without,
        parameter=None if tree.param is None else _node(tree.param),
    )


def _operation(tree: parser.BinaryExpr) -> Operation:
    operator = str(tree.op)
    if operator not in _OPERATORS:
        raise BadQuery(f"operator {operator} is not supported by the lab's Prometheus")
    modifier = tree.modifier
    matching = modifier.matching if modifier else None
    cardinality = modifier.card if modifier else None
    grouping: Literal["one", "left", "right"] = "one"
    if cardinality == parser.VectorMatchCardinality.ManyToOne:
        grouping = "left"
    elif cardinality == parser.VectorMatchCardinality.OneToMany:
        grouping = "right"
    return Operation(
        operator=operator,
        left=_node(tree.lhs),
        right=_node(tree.rhs),
        returns_bool=bool(modifier and modifier.return_bool),
        on=matching is not None and matching.type == parser.LabelModifierType.Include,
        labels=tuple(matching.labels) if matching else (),
        grouping=grouping,
        include=tuple((modifier.group_labels if modifier else None) or ()),
    )
