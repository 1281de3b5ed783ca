"""What a page says of one run: where and how, figures, checks, cost, caveats, repetition."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from labkit.params import Params
from labkit.rtt import REGIONS
from labkit.runs.figures import Figure, figures, number, pick, rows, word, words
from labkit.runs.reading import KeptRun
from labkit.runs.report.pictures import PagePicture

_MARKS = {"pass": "✔", "fail": "✘", "warn": "!"}
_NO_COMMAND = ("lab_name",)
"""Parameters that do not change what is measured."""


@dataclass(frozen=True)
class CheckRow:
    """A check that ran: its mark, which, where, what it saw."""

    mark: str
    status: str
    id: str
    title: str
    clusters: str
    reason: str


@dataclass(frozen=True)
class Receipt:
    """What a run has cost: a sentence, and rows of cells."""

    text: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    prices: str


@dataclass(frozen=True)
class Section:
    """Everything that the page says of one run; each text is escaped by the template."""

    anchor: str
    name: str
    title: str
    status: str
    error: str
    facts: list[tuple[str, str]]
    figures: list[Figure]
    caveats: list[str]
    missing: list[str]
    pictures: list[PagePicture]
    checks: list[CheckRow]
    checks_text: str
    receipt: Receipt | None
    params: list[tuple[str, str]]
    timings: list[tuple[str, str]]
    versions: list[tuple[str, str]]
    commands: list[str]


def section(
    run: KeptRun, *, anchor: str, pictures: list[PagePicture], missing: Sequence[str]
) -> Section:
    """Put together what the page says of a run.

    Args:
        run: as it was read.
        anchor: of the section.
        pictures: its charts.
        missing: what the pictures lack, in addition to what the run lacks.
    """
    checks = _checks(run)
    good = sum(1 for check in checks if check.status == "pass")
    return Section(
        anchor=anchor,
        name=run.name,
        title=run.title,
        status=word(run.summary, "status") or "unknown",
        error=word(run.summary, "error", "message"),
        facts=_facts(run),
        figures=figures(run) if run.summary else [],
        caveats=[*words(run.summary, "warnings"), *_caveats(run)],
        missing=[*run.missing, *missing],
        pictures=pictures,
        checks=checks,
        checks_text=f"{good} of {len(checks)} passed" if checks else "no check ran",
        receipt=_receipt(run),
        params=[(key, _plain(value)) for key, value in run.params.items()],
        timings=_timings(run),
        versions=_versions(run),
        commands=commands(run),
    )


def _facts(run: KeptRun) -> list[tuple[str, str]]:
    """What was measured, where and how."""
    west, east = run.regions
    measured, params = run.measurement, run.params
    found = [
        ("From (west)", _place(west)),
        ("To (east)", _place(east)),
        ("Cloud", word(run.summary, "cloud") or str(params.get("cloud", "?"))),
        ("What", "HTTP requests of vote-bot in west to web in east through the mesh's gateways"),
        (
            "Closed loop",
            "vote-bot: about two requests a second; a slow answer delays the next (viz and tap)",
        ),
    ]
    rate = number(run.summary, "load", "rate_per_s")
    if rate is not None:
        connection = word(run.summary, "load", "connection")
        text = f"{rate:g} requests a second whatever the answers do, {connection} connections"
        found.append(("Open model", f"{text}; latencies count from intended send times (load)"))
    started, ended = number(measured, "started"), number(measured, "ended")
    if started is not None and ended is not None:
        length = (
            f"{ended - started:.0f} s, after a warm-up of {number(measured, 'warmup_s') or 0:g} s"
        )
        found.append(
            ("Measured", f"{_moment(started)} to {_moment(ended)} ({length} that is not used)")
        )
    network = pick(measured, "wan")
    if isinstance(network, dict):
        found.append(
            (
                "Network",
                "emulated: round trip {} ms, jitter {} ms, loss {}".format(
                    *(_short(network.get(key)) for key in ("rtt_ms", "jitter_ms", "loss"))
                ),
            )
        )
    found.append(("Seed", str(params.get("seed", "?"))))
    return found


def _short(value: object) -> str:
    known = number({"value": value}, "value")
    return "?" if known is None else f"{known:.4g}"


def _place(slug: str) -> str:
    known = REGIONS.get(slug)
    return f"{slug}, {known.city}" if known else slug


def _moment(time_s: float) -> str:
    try:
        return f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return "?"


def _caveats(run: KeptRun) -> list[str]:
    """What a reader must know beyond the run's own warnings."""
    found = []
    if word(run.summary, "status") == "failed":
        found.append("the run did not go through: figures may be missing or of a part of it")
    if isinstance(pick(run.measurement, "wan"), dict):
        found.append(
            "the network between the regions was emulated with a round trip that is known from "
            "elsewhere: the figures show mesh and method, not a provider's network"
        )
    for name, what in (("processes_left", "processes"), ("billable_left", "billable things")):
        left = pick(run.summary, name)
        if left:
            found.append(f"{what} were left after the teardown: {_plain(left)}")
    failed = [check.id for check in _checks(run) if check.status == "fail"]
    if failed:
        found.append(f"checks failed: {', '.join(failed)}")
    return found


def _checks(run: KeptRun) -> list[CheckRow]:
    return [
        CheckRow(
            mark=_MARKS.get(word(check, "status"), "?"),
            status=word(check, "status") if word(check, "status") in _MARKS else "unknown",
            id=word(check, "id"),
            title=word(check, "title"),
            clusters=", ".join(words(check, "clusters")),
            reason=word(check, "reason"),
        )
        for check in rows(run.summary, "checks")
    ]


def _receipt(run: KeptRun) -> Receipt | None:
    if not run.receipt:
        return None
    items = rows(run.receipt, "items")
    columns = ("what", "count", "since", "until", "hours", "usd_per_hour", "list_usd")
    names = (
        "what",
        "count",
        "since (UTC)",
        "until (UTC)",
        "hours",
        "USD/h each",
        "list price, USD",
    )
    sources = dict.fromkeys(
        f"{item.get('source', '?')} ({item.get('seen', '?')})" for item in items
    )
    billed, listed = (_plain(run.receipt.get(key, "?")) for key in ("usd", "list_usd"))
    text = f"{billed} USD billed, {listed} USD at list prices. {word(run.receipt, 'note')}"
    return Receipt(
        text=text,
        columns=names,
        rows=tuple(tuple(_plain(item.get(column)) for column in columns) for item in items),
        prices="; ".join(sources),
    )


def _timings(run: KeptRun) -> list[tuple[str, str]]:
    timings = pick(run.summary, "timings_s")
    known = timings if isinstance(timings, dict) else {}
    found = [(str(name), number(known, name)) for name in known]
    return [(name, "?" if value is None else f"{value:.1f}") for name, value in found]


def _versions(run: KeptRun) -> list[tuple[str, str]]:
    kept = pick(run.summary, "versions")
    versions = {**run.versions, **(kept if isinstance(kept, dict) else {})}
    return [(str(name), _plain(version)) for name, version in versions.items()]


def _plain(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def commands(run: KeptRun) -> list[str]:
    """Shell commands that measure the same again, and compare."""
    given = [
        f"-p {shlex.quote(f'{key}={_plain(value)}')}"
        for key, value in run.params.items()
        if key not in _NO_COMMAND and value is not None and not _is_default(key, value)
    ]
    west, east = run.regions
    again = f"runs/NEW-{west}-{east}"
    return [
        " ".join(["labkit run", *given]),
        shlex.join(["labkit", "latency", "compare", f"runs/{run.name}", again]),
        shlex.join(["labkit", "report", f"runs/{run.name}", again]),
    ]


def _is_default(key: str, value: object) -> bool:
    """Whether a parameter need not be said; both regions always are."""
    field = Params.model_fields.get(key)
    return field is not None and field.default == value and not key.endswith("_region")
