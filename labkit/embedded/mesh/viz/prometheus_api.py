"""Prometheus' HTTP API over a database and a scrape pool.

Answers have Prometheus' shape: `{"status": "success", "data": …}`, or status `error` with
`errorType` `bad_data` (400: the request) or `execution` (422: the series). Evaluation runs in a
thread, because one question may take longer than the other servers of the loop can wait.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from aiohttp import web

from labkit.embedded.mesh.viz.promql import (
    BadQuery,
    Matrix,
    QueryFailed,
    Samples,
    instant,
    over_range,
)
from labkit.embedded.mesh.viz.promql_syntax import parse_duration, parse_selector
from labkit.embedded.mesh.viz.scrape import ScrapePool, Scraper
from labkit.embedded.mesh.viz.tsdb import Database, Series

Parameters = Mapping[str, list[str]]
_Answer = Callable[[Database, Parameters], Any]

_VERSION = "2.55.1"
"""What Linkerd's viz installs; the semantics of queries are those of this line."""

_MISSING = object()


def create_app(database: Database, pool: ScrapePool) -> web.Application:
    """The application that the `prometheus` container serves."""
    app = web.Application(client_max_size=2**20)

    def answering(answer: _Answer) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            parameters = await _parameters(request)
            return await asyncio.to_thread(_respond, answer, database, parameters)

        return handle

    for path, answer in (
        ("query", _query),
        ("query_range", _query_range),
        ("series", _series),
        ("labels", _labels),
    ):
        app.router.add_get(f"/api/v1/{path}", answering(answer))
        app.router.add_post(f"/api/v1/{path}", answering(answer))
    app.router.add_get("/api/v1/label/{name}/values", answering(_label_values))
    app.router.add_get("/api/v1/status/buildinfo", answering(_build_information))
    app.router.add_get("/api/v1/targets", answering(lambda *_: _targets(pool.scrapers)))
    app.router.add_get("/-/ready", _text("Prometheus Server is Ready.\n"))
    app.router.add_get("/-/healthy", _text("Prometheus Server is Healthy.\n"))
    return app


def _text(text: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(_request: web.Request) -> web.Response:
        return web.Response(text=text)

    return handle


async def _parameters(request: web.Request) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in request.query.items():
        found.setdefault(name, []).append(value)
    if request.method == "POST":
        for name, field in (await request.post()).items():
            found.setdefault(name, []).append(str(field))
    if "name" in request.match_info:
        found["name"] = [request.match_info["name"]]
    return found


def _respond(answer: _Answer, database: Database, parameters: Parameters) -> web.Response:
    try:
        data = answer(database, parameters)
    except QueryFailed as error:
        return _error(422, "execution", str(error))
    except BadQuery as error:
        return _error(400, "bad_data", str(error))
    return web.json_response({"status": "success", "data": data})


def _error(status: int, kind: str, message: str) -> web.Response:
    return web.json_response(
        {"status": "error", "errorType": kind, "error": message}, status=status
    )


def _one(parameters: Parameters, name: str) -> str:
    found = parameters.get(name, [""])[0]
    if not found:
        raise BadQuery(f'invalid parameter "{name}": it is missing or empty')
    return found


def _time_ms(parameters: Parameters, name: str, default: object = _MISSING) -> int:
    if default is not _MISSING and not parameters.get(name, [""])[0]:
        return round(float(str(default)) * 1000)
    text = _one(parameters, name)
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise BadQuery(
                f'invalid parameter "{name}": cannot parse "{text}" to a valid timestamp'
            ) from None
        seconds = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    if not math.isfinite(seconds):
        raise BadQuery(f'invalid parameter "{name}": cannot parse "{text}" to a valid timestamp')
    return round(seconds * 1000)


def _duration_ms(parameters: Parameters, name: str) -> int:
    text = _one(parameters, name)
    try:
        seconds = float(text)
    except ValueError:
        seconds = parse_duration(text).total_seconds()
    if not math.isfinite(seconds):
        raise BadQuery(f'invalid parameter "{name}": cannot parse "{text}" to a valid duration')
    return round(seconds * 1000)


def format_value(value: float) -> str:
    """A number as Prometheus prints it: shortest exact digits, no exponent, NaN, +Inf, -Inf."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return f"{Decimal(repr(value)):f}".removesuffix(".0")


def _point(at_ms: int, value: float) -> list[float | str]:
    seconds = at_ms / 1000
    return [int(seconds) if seconds.is_integer() else seconds, format_value(value)]


def _matrix(matrix: Matrix) -> list[dict[str, object]]:
    return [
        {"metric": dict(labels), "values": [_point(at_ms, value) for at_ms, value in points]}
        for labels, points in matrix
    ]


def _query(database: Database, parameters: Parameters) -> dict[str, object]:
    query = _one(parameters, "query")
    at_ms = _time_ms(parameters, "time", time.time())
    result = instant(database, query, at_ms)
    if isinstance(result, float):
        return {"resultType": "scalar", "result": _point(at_ms, result)}
    if isinstance(result, Samples):
        return {"resultType": "matrix", "result": _matrix(result.matrix)}
    samples = [{"metric": dict(labels), "value": _point(at_ms, value)} for labels, value in result]
    return {"resultType": "vector", "result": samples}


def _query_range(database: Database, parameters: Parameters) -> dict[str, object]:
    matrix = over_range(
        database,
        _one(parameters, "query"),
        start_ms=_time_ms(parameters, "start"),
        end_ms=_time_ms(parameters, "end"),
        step_ms=_duration_ms(parameters, "step"),
    )
    return {"resultType": "matrix", "result": _matrix(matrix)}


def _matching(database: Database, parameters: Parameters, *, required: bool) -> list[Series]:
    start_ms = _time_ms(parameters, "start", 0)
    end_ms = _time_ms(parameters, "end", 1e12)
    selectors = parameters.get("match[]", [])
    if not selectors:
        if required:
            raise BadQuery("no match[] parameter provided")
        found = list(database)
    else:
        found = list({s: None for text in selectors for s in database.select(parse_selector(text))})
    return [series for series in found if series.between(start_ms, end_ms)[0]]


def _series(database: Database, parameters: Parameters) -> list[dict[str, str]]:
    matching = _matching(database, parameters, required=True)
    return [dict(labels) for labels in sorted(series.labels for series in matching)]


def _labels(database: Database, parameters: Parameters) -> list[str]:
    matching = _matching(database, parameters, required=False)
    return sorted({name for series in matching for name, _ in series.labels})


def _label_values(database: Database, parameters: Parameters) -> list[str]:
    wanted = _one(parameters, "name")
    matching = _matching(database, parameters, required=False)
    return sorted({v for series in matching for name, v in series.labels if name == wanted})


def _build_information(_database: Database, _parameters: Parameters) -> dict[str, str]:
    return {"version": _VERSION, "revision": "labkit", "branch": "embedded", "goVersion": ""}


def _targets(scrapers: list[Scraper]) -> dict[str, object]:
    active = [
        {
            "discoveredLabels": dict(scraper.target.discovered),
            "labels": dict(scraper.target.labels),
            "scrapePool": scraper.target.job,
            "scrapeUrl": scraper.target.url,
            "lastError": scraper.state.last_error,
            "lastScrape": datetime.fromtimestamp(scraper.state.last_scrape, UTC).isoformat(),
            "lastScrapeDuration": scraper.state.duration_s,
            "health": scraper.state.health,
        }
        for scraper in scrapers
    ]
    return {"activeTargets": active, "droppedTargets": []}
