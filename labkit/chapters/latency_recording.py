"""From the instruments to the dataset: requests and counters become rows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from labkit.chapters import load
from labkit.chapters.load import Load
from labkit.chapters.mtls import GATEWAY_PORT
from labkit.chapters.multicluster_link import gateway_addresses
from labkit.chapters.vantage import GATEWAY, MIRRORED, PROBE, SOURCE, VANTAGES, Vantage
from labkit.clients.linkerd_values import Gateway
from labkit.clients.tap import TapRequest
from labkit.context import EAST, WEST, LabContext
from labkit.rtt import rtt

METRICS = (
    "response_total",
    "response_latency_ms_bucket",
    "response_latency_ms_sum",
    "response_latency_ms_count",
)
LABELS = ("deployment", "direction", "dst_target_cluster", "classification", "le")

Row = dict[str, Any]


def place(lab: LabContext, *, source: str = WEST, destination: str = EAST) -> Row:
    """The columns that place a row: run, regions, round trip."""
    regions = lab.regions
    known = rtt(regions[WEST], regions[EAST], override_ms=lab.given_rtt_ms())
    return {
        "run": lab.run_name,
        "repetition": lab.params.repetition,
        "source_cluster": source,
        "source_region": regions[source],
        "destination_cluster": destination,
        "destination_region": regions[destination],
        "rtt_ms": known.value_ms,
        "rtt_source": known.source,
    }


def tapped(
    lab: LabContext,
    requests: Iterable[TapRequest],
    *,
    started: float,
    vantage: str = SOURCE.name,
) -> list[Row]:
    """Rows of requests tapped in west; those whose response was not seen have no latency."""
    addresses = {f"{ip}:{GATEWAY_PORT}" for ip in gateway_addresses(lab, EAST)}
    places = {name: place(lab, destination=name) for name in (WEST, EAST)}
    return [
        _tapped(request, places[EAST if request.destination in addresses else WEST], started)
        | {"vantage": vantage}
        for request in requests
    ]


def tapped_behind(lab: LabContext, requests: Iterable[TapRequest], *, started: float) -> list[Row]:
    """Rows of what east's gateway passed on: the same requests, without the way to it."""
    here = place(lab, source=GATEWAY.cluster) | {"vantage": GATEWAY.name}
    passed_on = (request for request in requests if request.direction == GATEWAY.direction)
    return [_tapped(request, here, started) for request in passed_on]


def _tapped(request: TapRequest, here: Row, started: float) -> Row:
    answered = request.latency_us is not None
    number = request.headers.get(load.NUMBER_HEADER, "")
    row = here | {
        "instrument": "tap",
        "time_s": request.seen_at_s if answered else started,
        "service": request.authority.partition(":")[0],
        "method": request.method,
        "path": request.path.partition("?")[0],
        "status": request.status,
        "outcome": "response" if answered else "truncated",
        "latency_us": request.latency_us,
        "duration_us": request.duration_us if answered else None,
        "number": int(number) if number.isdigit() else None,
        "tls": request.is_tls,
        "server_id": request.server_id,
    }
    return _request(row, started=started)


def probed(lab: LabContext, gateway: Gateway | None, *, started: float, at: float) -> list[Row]:
    """The row of the last gateway probe; none when there was no probe yet."""
    if gateway is None:
        return []
    row = place(lab) | {
        "instrument": "probe",
        "time_s": at,
        "vantage": PROBE,
        "service": "linkerd-gateway.linkerd-multicluster",
        "method": "GET",
        "path": "/ready",
        "status": None,
        "outcome": "response" if gateway.alive else "error",
        "latency_us": round(gateway.latency_ms * 1000),
        "connection": "kept",
    }
    return [_request(row, started=started)]


def _request(row: Row, *, started: float) -> Row:
    blank = {
        "late_us": None,
        "duration_us": None,
        "number": None,
        "connection": "",
        "tls": None,
        "server_id": "",
    }
    return blank | row | {"warmup": row["time_s"] < started}


def loaded(lab: LabContext, found: Load) -> list[Row]:
    """Rows of the load generator's plan, then those of its sidecar; the lead is the warm-up."""
    here = place(lab) | {
        "instrument": "load",
        "vantage": load.VANTAGE,
        "service": MIRRORED,
        "method": "GET",
        "path": load.PATH,
        "connection": lab.params.load_connections,
    }
    lead = load.LEAD_S * lab.params.load_rate
    counted_from = found.requests[0].due_s + load.LEAD_S if found.requests else 0.0
    rows = [
        here
        | {
            "time_s": request.due_s,
            "status": request.status,
            "outcome": request.outcome,
            "latency_us": request.latency_us,
            "late_us": request.late_us,
            "number": request.number,
        }
        for request in found.requests
    ]
    rows += tapped(lab, found.tapped, started=counted_from, vantage=load.SIDECAR)
    # By number, where it is known: two machines have two clocks.
    return [
        _request(row, started=counted_from)
        | ({} if row["number"] is None else {"warmup": row["number"] < lead})
        for row in rows
    ]


def counted_of_load(lab: LabContext, found: Load) -> list[Row]:
    """Raw counters of viz at the load generator's own proxy; the lead is the warm-up.

    What is scraped while it sends is all there is: its sidecar ends with it.
    """
    if not found.requests:
        return []
    begun, ended = found.requests[0].due_s, found.requests[-1].due_s + load.TIMEOUT_S
    return counted(
        lab, begun=begun, started=begun + load.LEAD_S, ended=ended, vantages=(load.PROXY,)
    )


def counted(
    lab: LabContext,
    *,
    begun: float,
    started: float,
    ended: float,
    vantages: Sequence[Vantage] = VANTAGES,
) -> list[Row]:
    """Raw counters of viz at each vantage point, as scraped, as rows of the series table.

    Args:
        lab: the lab.
        begun: Unix seconds of the beginning of the warm-up.
        started: Unix seconds of its end.
        ended: Unix seconds of the last scrape that is taken.
        vantages: whose counters.
    """
    return [
        row
        for vantage in vantages
        for metric in METRICS
        for row in _readings(lab, vantage, metric, (begun, started, ended))
    ]


def _readings(
    lab: LabContext, vantage: Vantage, metric: str, times: tuple[float, float, float]
) -> Iterable[Row]:
    begun, started, ended = times
    here = place(lab, source=vantage.cluster, destination=vantage.destination) | {
        "instrument": "viz",
        "vantage": vantage.name,
        "service": vantage.service,
        "metric": metric,
    }
    selector = f"{metric}{{{vantage.selector}}}"
    for series in lab.prometheus(vantage.cluster).window(selector, start=begun, end=ended):
        labels = _labels(series.labels)
        for moment, value in series.points:
            time = {"time_s": moment, "warmup": moment < started, "value": value}
            yield here | labels | time


def _labels(labels: Mapping[str, str]) -> Row:
    named = {name: labels.get(name, "") for name in LABELS}
    others = sorted(labels.items() - named.items())
    bound = named.pop("le")
    return named | {
        "series": ",".join(f"{name}={value}" for name, value in others if name != "__name__"),
        "le_ms": float(bound) if bound else None,
    }
