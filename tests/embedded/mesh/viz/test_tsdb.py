"""The in-memory database."""

import math

import pytest

from labkit.embedded.mesh.viz.tsdb import (
    RETENTION_MS,
    STALE,
    Database,
    Matcher,
    Series,
    is_stale,
    make_labels,
)


def test_only_the_staleness_marker_is_stale() -> None:
    assert is_stale(STALE)
    assert math.isnan(STALE)
    assert not is_stale(math.nan)
    assert not is_stale(0.0)


def test_the_marker_survives_being_stored() -> None:
    series = Series(())
    series.append(1, STALE)
    assert is_stale(series.samples[1][0])


def test_older_samples_are_refused() -> None:
    series = Series(())
    assert series.append(10, 1)
    assert not series.append(10, 2)
    assert not series.append(9, 2)
    assert list(series.samples[1]) == [1]


def test_empty_labels_do_not_exist() -> None:
    assert make_labels({"b": "1", "a": "", "__name__": "x"}) == (("__name__", "x"), ("b", "1"))


def test_samples_older_than_six_hours_are_forgotten() -> None:
    database = Database()
    old, new = make_labels({"__name__": "old"}), make_labels({"__name__": "new"})
    database.append(old, 0, 1)
    database.append(new, 0, 1)
    database.append(new, RETENTION_MS + 1, 2)
    database.expire(RETENTION_MS + 1)
    assert [series.labels for series in database] == [new]
    assert list(database.series(new).samples[0]) == [RETENTION_MS + 1]


@pytest.mark.parametrize(
    ("operator", "value", "accepted"),
    [
        ("=", "web", ["web"]),
        ("!=", "web", ["", "webs"]),
        ("=~", "we.", ["web"]),
        ("!~", "we.", ["", "webs"]),
        ("=~", ".*", ["", "web", "webs"]),
        ("=~", "a|webs?", ["web", "webs"]),
    ],
)
def test_matchers_match_the_whole_value(operator: str, value: str, accepted: list[str]) -> None:
    matcher = Matcher("x", operator, value)  # type: ignore[arg-type]
    assert [v for v in ("", "web", "webs") if matcher.accepts(v)] == accepted
