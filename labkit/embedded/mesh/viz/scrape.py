"""Fetching metrics from their targets into the database, as a Prometheus scrape pool does.

Each target has one task: a first scrape at once, then one per interval at a moment of its own,
so that two dozen proxies are not asked together. A series that is missing from a scrape, a
failed scrape and a vanished target end their series with the staleness marker, so that a query
sees "no value" and not the last one for five minutes.

Lines seen before are recognised by their text up to the value; only new ones go through the
strict parser of prometheus-client. Which targets exist is decided in `targets`.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from labkit.embedded.mesh.viz.tsdb import STALE, Database, Labels, Series, make_labels

logger = logging.getLogger(__name__)

ACCEPT = "text/plain;version=0.0.4"
_LONG_TEXT = 512 * 1024
"""Texts above this size, and the first of a target, are parsed in a thread: 400 new lines take
25 ms, known ones less than 1 ms, and the event loop serves everything else meanwhile."""


@dataclass(frozen=True)
class Target:
    """Something to scrape.

    Attributes:
        url: where the metrics are really served (a loopback socket).
        labels: labels of every series, `job` and `instance` (the virtual address) included.
        discovered: labels before relabelling, for the targets page.
    """

    url: str
    labels: Labels
    discovered: Labels = ()

    @property
    def job(self) -> str:
        """Name of the scrape job."""
        return dict(self.labels)["job"]


@dataclass
class TargetState:
    """What the targets page says about one target.

    Attributes:
        health: `unknown` until the first scrape has ended.
        last_error: of the newest scrape, empty if it succeeded.
        last_scrape: Unix seconds, 0 before the first.
        duration_s: of the newest scrape.
    """

    health: Literal["unknown", "up", "down"] = "unknown"
    last_error: str = ""
    last_scrape: float = 0.0
    duration_s: float = 0.0


@dataclass
class Scraper:
    """Writes one target's samples and remembers which series it has.

    Attributes:
        database: receives the samples.
        target: what is scraped.
        state: result of the newest scrape.
    """

    database: Database
    target: Target
    state: TargetState = field(default_factory=TargetState)
    _lines: dict[str, Series] = field(default_factory=dict)
    _present: set[Series] = field(default_factory=set)

    def store(self, text: str, at_ms: int) -> int:
        """Store one exposition text; series of the last scrape that are gone become stale.

        Raises:
            ValueError: a line is not Prometheus' text format; nothing is stored then.
        """
        found = [self._sample(line) for line in text.splitlines() if line and line[0] != "#"]
        present = set()
        for series, value in found:
            present.add(series)
            series.append(at_ms, value)
        for series in self._present - present:
            series.append(at_ms, STALE)
        self._present = present
        if len(self._lines) > 2 * len(present) + 100:
            self._lines = {text: s for text, s in self._lines.items() if s in present}
        return len(found)

    def _sample(self, line: str) -> tuple[Series, float]:
        text, _, value = line.rpartition(" ")
        series = self._lines.get(text)
        if series is not None:
            return series, float(value)
        (family,) = text_string_to_metric_families(line + "\n")
        (sample,) = family.samples
        series = self.database.series(_target_labels(sample.name, sample.labels, self.target))
        if sample.timestamp is None:
            self._lines[text] = series
        return series, float(sample.value)

    def report(self, at_ms: int, *, up: bool, duration_s: float, samples: int) -> None:
        """Store the series that describe the scrape itself."""
        own = {
            "up": float(up),
            "scrape_duration_seconds": duration_s,
            "scrape_samples_scraped": float(samples),
        }
        for name, value in own.items():
            labels = make_labels({"__name__": name, **dict(self.target.labels)})
            self.database.append(labels, at_ms, value)

    def end(self, at_ms: int) -> None:
        """Mark all series of the target stale."""
        for series in self._present:
            series.append(at_ms, STALE)
        self._present = set()

    def vanish(self, at_ms: int) -> None:
        """The target is gone: its own series end, and those about its scrapes."""
        self.end(at_ms)
        for name in ("up", "scrape_duration_seconds", "scrape_samples_scraped"):
            labels = make_labels({"__name__": name, **dict(self.target.labels)})
            self.database.append(labels, at_ms, STALE)

    async def scrape(self, session: aiohttp.ClientSession, *, timeout_s: float) -> None:
        """Scrape once. A failure is recorded (`up` 0), never raised."""
        began = time.time()
        at_ms, samples = round(began * 1000), 0
        try:
            text = await _fetch(session, self.target.url, timeout_s=timeout_s)
            if not self._lines or len(text) > _LONG_TEXT:
                samples = await asyncio.to_thread(self.store, text, at_ms)
            else:
                samples = self.store(text, at_ms)
            self.state.health, self.state.last_error = "up", ""
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            self.end(at_ms)
            self.state.health = "down"
            self.state.last_error = (str(error) or type(error).__name__)[:256]
        self.state.last_scrape, self.state.duration_s = began, time.time() - began
        up = self.state.health == "up"
        self.report(at_ms, up=up, duration_s=self.state.duration_s, samples=samples)


def _target_labels(name: str, sample: Mapping[str, str], target: Target) -> Labels:
    own = dict(target.labels)
    labels = {f"exported_{key}" if key in own else key: value for key, value in sample.items()}
    return make_labels({"__name__": name, **labels, **own})


async def _fetch(session: aiohttp.ClientSession, url: str, *, timeout_s: float) -> str:
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    async with session.get(url, headers={"Accept": ACCEPT}, timeout=timeout) as response:
        if response.status != 200:
            raise ValueError(f"server returned HTTP status {response.status} {response.reason}")
        return await response.text()


class ScrapePool:
    """Keeps one scraping task for each target.

    Args:
        database: receives the samples.
        interval_s: asked before each wait, so that a changed configuration takes effect.
    """

    def __init__(self, database: Database, *, interval_s: Callable[[], float]) -> None:
        self._database = database
        self._interval_s = interval_s
        self._tasks: dict[Target, asyncio.Task[None]] = {}
        self._scrapers: dict[Target, Scraper] = {}
        self._session: aiohttp.ClientSession | None = None

    @property
    def scrapers(self) -> list[Scraper]:
        """All current targets with their state."""
        return list(self._scrapers.values())

    def set_targets(self, targets: set[Target]) -> None:
        """Start scraping new targets, stop scraping those that are gone."""
        for target in self._tasks.keys() - targets:
            self._tasks.pop(target).cancel()
            self._scrapers.pop(target).vanish(round(time.time() * 1000))
        if self._session is None:
            self._session = aiohttp.ClientSession()
        for target in targets - self._tasks.keys():
            scraper = self._scrapers[target] = Scraper(self._database, target)
            self._tasks[target] = asyncio.create_task(
                self._follow(scraper, self._session), name=f"scrape {target.url}"
            )

    async def _follow(self, scraper: Scraper, session: aiohttp.ClientSession) -> None:
        share = _share(scraper.target)
        while True:
            interval = self._interval_s()
            try:
                await scraper.scrape(session, timeout_s=interval)
            except Exception:
                logger.exception("scrape of %s failed", scraper.target.url)
            await asyncio.sleep(_until_next(time.time(), interval, share))

    async def close(self) -> None:
        """Stop all scraping."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None


def _share(target: Target) -> float:
    """A fixed fraction of the interval at which this target is scraped."""
    digest = hashlib.sha256(repr((target.url, target.labels)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _until_next(now: float, interval: float, share: float) -> float:
    """Seconds to the target's next moment, at least half an interval away from a first scrape."""
    wait = (share * interval - now) % interval
    return wait if wait >= interval / 2 else wait + interval
