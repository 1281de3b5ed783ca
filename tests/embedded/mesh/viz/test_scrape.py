"""Scraping: what is stored, under which labels, and how series end."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest
from aiohttp import web

from labkit.embedded.mesh.viz.promql import instant
from labkit.embedded.mesh.viz.scrape import ScrapePool, Scraper, Target
from labkit.embedded.mesh.viz.tsdb import Database, make_labels
from labkit.embedded.serving import served

TARGET = Target("http://127.0.0.1:1/metrics", make_labels({"job": "linkerd-proxy", "pod": "web-1"}))
BASE = 1_700_000_000_000


@dataclass
class Exposition:
    """A server whose metrics the test sets."""

    url: str = ""
    text: str = 'response_total{direction="inbound"} 1\n'
    status: int = 200


@pytest.fixture
async def exposition() -> AsyncIterator[Exposition]:
    state = Exposition()

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(text=state.text, status=state.status)

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    async with served(app, ["127.0.0.1:0"]) as (socket,):
        state.url = f"http://{socket}/metrics"
        yield state


def value(database: Database, query: str, at_ms: int) -> list[float]:
    return [number for _, number in instant(database, query, at_ms)]  # type: ignore[union-attr]


def test_samples_carry_the_targets_labels() -> None:
    database = Database()
    Scraper(database, TARGET).store('# TYPE a counter\na_total{x="y"} 3\nb 1.5\n', BASE)
    ((labels, number),) = instant(database, "a_total", BASE)  # type: ignore[misc, union-attr]
    assert dict(labels) == {"__name__": "a_total", "x": "y", "job": "linkerd-proxy", "pod": "web-1"}
    assert number == 3
    assert value(database, "b", BASE) == [1.5]


def test_a_label_of_the_target_wins_and_the_scraped_one_is_renamed() -> None:
    database = Database()
    Scraper(database, TARGET).store('a{job="mine"} 1\n', BASE)
    ((labels, _),) = instant(database, "a", BASE)  # type: ignore[misc, union-attr]
    assert dict(labels)["job"] == "linkerd-proxy"
    assert dict(labels)["exported_job"] == "mine"


def test_label_values_with_spaces_quotes_and_braces_are_kept() -> None:
    database = Database()
    scraper = Scraper(database, TARGET)
    text = 'a{x="two words \\"quoted\\" }"} 1\n'
    scraper.store(text, BASE)
    scraper.store(text.replace(" 1\n", " 2\n"), BASE + 10_000)
    ((labels, number),) = instant(database, "a", BASE + 10_000)  # type: ignore[misc, union-attr]
    assert dict(labels)["x"] == 'two words "quoted" }'
    assert number == 2


def test_a_series_missing_from_a_scrape_is_stale_at_once() -> None:
    database = Database()
    scraper = Scraper(database, TARGET)
    scraper.store("a 1\nb 1\n", BASE)
    scraper.store("a 2\n", BASE + 10_000)
    assert value(database, "a", BASE + 10_000) == [2]
    assert value(database, "b", BASE + 9_999) == [1]
    assert value(database, "b", BASE + 10_000) == []


def test_a_returning_series_goes_on() -> None:
    database = Database()
    scraper = Scraper(database, TARGET)
    for step, text in enumerate(("a 1\nb 1\n", "a 2\n", "a 3\nb 5\n")):
        scraper.store(text, BASE + step * 10_000)
    assert value(database, "increase(b[1m])", BASE + 20_000)[0] > 0
    assert value(database, "b", BASE + 20_000) == [5]


def test_a_malformed_text_stores_nothing() -> None:
    database = Database()
    with pytest.raises(ValueError):
        Scraper(database, TARGET).store("a 1\nthis is not a metric\n", BASE)
    assert value(database, "a", BASE) == []


async def test_a_scrape_reports_up_and_its_failure_ends_the_series(
    exposition: Exposition, session: aiohttp.ClientSession
) -> None:
    database = Database()
    scraper = Scraper(database, Target(exposition.url, TARGET.labels))
    await scraper.scrape(session, timeout_s=5)
    now = round(time.time() * 1000)
    assert value(database, "up", now) == [1]
    assert value(database, "scrape_samples_scraped", now) == [1]
    exposition.status = 503
    await scraper.scrape(session, timeout_s=5)
    now = round(time.time() * 1000)
    assert value(database, "up", now) == [0]
    assert value(database, "response_total", now) == []
    assert scraper.state.health == "down"
    assert "503" in scraper.state.last_error


async def test_a_pool_scrapes_at_once_and_forgets_what_vanished(
    exposition: Exposition, helpers: type
) -> None:
    database = Database()
    pool = ScrapePool(database, interval_s=lambda: 0.1)
    pool.set_targets({Target(exposition.url, TARGET.labels)})

    async def several() -> bool:
        found = value(database, "count_over_time(response_total[1m])", round(time.time() * 1000))
        return bool(found) and found[0] >= 3

    await helpers.until(several)
    pool.set_targets(set())
    now = round(time.time() * 1000) + 1
    assert value(database, "response_total", now) == []
    assert value(database, "up", now) == []
    assert pool.scrapers == []
    await pool.close()
