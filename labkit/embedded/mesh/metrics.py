"""Linkerd's metrics of one proxy, counted from its access log.

Requests, responses and latencies are exact: one log line is one observation, latency is the time
to the first byte in whole milliseconds, cut off as Linkerd does. Connections and bytes are
Envoy's own counters, asked for at each scrape. Deliberately absent: ServiceProfile metrics, and
the removal of idle series.
"""

from collections.abc import Iterator, Mapping

from labkit.embedded.mesh.access_log import Entry
from labkit.embedded.mesh.exposition import Counter, Histogram
from labkit.embedded.mesh.requests import Labels, Request, requests_of

LATENCY_BOUNDS_MS = tuple(
    factor * scale for scale in (1, 10, 100, 1000, 10_000) for factor in (1, 2, 3, 4, 5)
)
"""1, 2, 3, 4, 5, 10, 20, … 50000: Linkerd's `response_latency_ms` buckets."""

_ROUTE_BOUNDS_S = (0.05, 0.5, 1.0, 10.0)
_BACKEND_BOUNDS_S = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 10.0)


class ProxyMetrics:
    """What one proxy has seen.

    Args:
        pod_ip: virtual address of its pod.
        prefix: of the pod's names in a shared Envoy.
    """

    def __init__(self, pod_ip: str, *, prefix: str = "") -> None:
        self._pod_ip = pod_ip
        self._prefix = prefix
        self.requests = Counter("request_total", "Total count of HTTP requests.")
        self.responses = Counter("response_total", "Total count of HTTP responses.")
        self.latency = Histogram(
            "response_latency_ms",
            "Elapsed times between a request's headers being received and its response "
            "stream starting.",
            LATENCY_BOUNDS_MS,
        )
        self._errors = {
            True: Counter("outbound_http_errors_total", "HTTP requests that got no response."),
            False: Counter("inbound_http_errors_total", "HTTP requests that got no response."),
        }
        self._refused = Counter(
            "inbound_tcp_errors_total", "Connections that ended before a request was possible."
        )
        self._rights = {
            True: Counter("inbound_http_authz_deny_total", "Requests that a policy refused."),
            False: Counter("inbound_http_authz_allow_total", "Requests that a policy let in."),
        }
        self._routes = RouteMetrics()
        self._peers: dict[str, Labels] = {}

    def observe(self, entry: Entry) -> tuple[Request, ...]:
        """Count a line of the access log; the requests it told of (a tunnel is none)."""
        if entry.direction == "conn":
            if entry.text("reason"):
                self._refused.add((("error", "tls"), ("target_port", entry.text("port"))))
            return ()
        found = tuple(requests_of(entry, self._pod_ip))
        for request in found:
            self._count(request)
        return found if entry.text("method") != "CONNECT" else ()

    def _count(self, request: Request) -> None:
        if request.entry.text("method") == "CONNECT":
            # A tunnel: its bytes and connections count, it is no request.
            self._peers[request.entry.text("cluster")] = request.labels
            return
        if request.outbound:
            self._routes.count(request)
            if not request.destination:
                reason = "failfast" if request.status == "504" else "unknown authority"
                self._errors[True].add((("error", reason),))
                return
            self._peers[request.entry.text("cluster")] = request.labels
        if not request.outbound:
            self._count_right(request)
        if request.error:
            self._errors[request.outbound].add((("error", request.error),))
        status = ("status_code", request.status)
        self.requests.add(request.labels)
        classification = "success" if request.success else "failure"
        self.responses.add(
            (
                *request.labels,
                status,
                ("classification", classification),
                ("grpc_status", request.grpc_status),
                ("error", request.error),
            )
        )
        if request.status:
            self.latency.observe((*request.labels, status), request.entry.first_byte_us // 1000)

    def _count_right(self, request: Request) -> None:
        wanted = ("srv_", "authz_", "tls")
        labels = tuple(pair for pair in request.labels if pair[0].startswith(wanted))
        if request.denied:  # nothing let it in
            labels = tuple(pair for pair in labels if not pair[0].startswith("authz_"))
        self._rights[request.denied].add(labels)

    def render(self, counters: Mapping[str, int], extra: Mapping[str, float]) -> str:
        """The text Prometheus scrapes.

        Args:
            counters: Envoy's counters by name.
            extra: further gauges by name.
        """
        metrics: list[Counter | Histogram] = [self.requests, self.responses, self.latency]
        metrics += [*self._errors.values(), *self._rights.values(), self._refused]
        lines = [line for metric in metrics for line in metric.lines()]
        lines += self._routes.lines()
        tcp = TcpMetrics(self._pod_ip, self._prefix, self._peers)
        lines += tcp.lines(counters)
        for name, value in extra.items():
            lines += Counter(name, name.replace("_", " "), "gauge", {(): value}).lines()
        return "\n".join(lines) + "\n"


class RouteMetrics:
    """Linkerd's newer outbound metrics by parent service and route (the default one)."""

    def __init__(self) -> None:
        self._durations = Histogram(
            "outbound_http_route_request_duration_seconds",
            "The time between request initialization and response completion.",
            _ROUTE_BOUNDS_S,
        )
        self._statuses = Counter(
            "outbound_http_route_request_statuses_total",
            "Completed request-response streams.",
        )
        self._backend_requests = Counter(
            "outbound_http_route_backend_requests_total", "The total number of requests dispatched."
        )
        self._backend_durations = Histogram(
            "outbound_http_route_backend_response_duration_seconds",
            "The time between request completion and response completion.",
            _BACKEND_BOUNDS_S,
        )
        self._backend_statuses = Counter(
            "outbound_http_route_backend_response_statuses_total", "Completed responses."
        )

    def count(self, request: Request) -> None:
        """Count an outbound request to a service; others have no parent."""
        route, host = request.entry.labels("route"), request.entry.labels("host")
        if "dst_service" not in route and "parent_service" not in route:
            return
        parent = _service("parent", route, "parent" if "parent_service" in route else "dst")
        default = tuple((key, route.get(key, value)) for key, value in _DEFAULT_ROUTE)
        status = (("http_status", request.status), ("error", _route_error(request)))
        seconds = request.entry.last_byte_us / 1e6
        labels = (*parent, *default, ("hostname", ""))
        self._durations.observe(labels, seconds)
        self._statuses.add((*labels, *status))
        if request.destination:
            backend = (*parent, *default, *_service("backend", {**host, **route}, "dst"))
            self._backend_requests.add(backend)
            self._backend_durations.observe(backend, seconds)
            self._backend_statuses.add((*backend, *status))

    def lines(self) -> Iterator[str]:
        """The metrics in text format."""
        yield from self._durations.lines()
        yield from self._statuses.lines()
        yield from self._backend_requests.lines()
        yield from self._backend_durations.lines()
        yield from self._backend_statuses.lines()


_DEFAULT_ROUTE = (
    *(("route_group", ""), ("route_kind", "default")),
    *(("route_namespace", ""), ("route_name", "http")),
)


def _service(role: str, found: Mapping[str, str], prefix: str) -> Labels:
    return (
        (f"{role}_group", "core"),
        (f"{role}_kind", "Service"),
        (f"{role}_namespace", found.get(f"{prefix}_namespace", "")),
        (f"{role}_name", found.get(f"{prefix}_service", "")),
        (f"{role}_port", found.get(f"{prefix}_port", "")),
        (f"{role}_section_name", ""),
    )


def _route_error(request: Request) -> str:
    if not request.destination and request.status == "504":
        return "FAIL_FAST"
    return {"unexpected": "CANCEL", "i/o": "IO", "timeout": "REQUEST_TIMEOUT"}.get(
        request.error, ""
    )


class TcpMetrics:
    """Connections and bytes from Envoy's counters, under Linkerd's names.

    Args:
        pod_ip: virtual address of the pod.
        prefix: of the pod's names in a shared Envoy.
        peers: labels of outbound clusters that were used, by cluster name.
    """

    def __init__(self, pod_ip: str, prefix: str, peers: Mapping[str, Labels]) -> None:
        self._pod_ip = pod_ip
        self._prefix = prefix
        self._peers = peers

    def lines(self, counters: Mapping[str, int]) -> Iterator[str]:
        """The metrics in text format."""
        metrics = {
            name: Counter(name, text, kind)
            for name, text, kind in (
                ("tcp_open_total", "Total count of opened connections.", "counter"),
                ("tcp_open_connections", "Number of currently-open connections.", "gauge"),
                ("tcp_read_bytes_total", "Total count of bytes read from peers.", "counter"),
                ("tcp_write_bytes_total", "Total count of bytes written to peers.", "counter"),
            )
        }
        for counter, value in counters.items():
            scope, _, measure = counter.rpartition(".")
            kind, name = _MEASURES.get(measure, ("", ""))
            owner = scope.removeprefix(f"{kind}.")
            if not kind or owner == scope or ".worker_" in owner:
                continue
            labels = self._labels(kind, owner)
            if labels is not None:
                metrics[name].add(labels, value)
        for metric in metrics.values():
            yield from metric.lines()

    def _labels(self, kind: str, name: str) -> Labels | None:
        """Labels of a cluster that was used, or of a listener; None: nothing of a pod's."""
        if kind == "cluster":
            peer = self._peers.get(name)
            return (("peer", "dst"), *peer) if peer is not None else None
        own = name.removeprefix(self._prefix)
        if own == "outbound":
            return (("peer", "src"), ("direction", "outbound"))
        if not own.startswith("in/"):
            return None
        port = own.removeprefix("in/")
        address = f"{self._pod_ip}:{port}"
        return (
            *(("peer", "src"), ("direction", "inbound"), ("target_addr", address)),
            *(("target_ip", self._pod_ip), ("target_port", port)),
        )


_MEASURES = {
    "upstream_cx_total": ("cluster", "tcp_open_total"),
    "upstream_cx_active": ("cluster", "tcp_open_connections"),
    "upstream_cx_rx_bytes_total": ("cluster", "tcp_read_bytes_total"),
    "upstream_cx_tx_bytes_total": ("cluster", "tcp_write_bytes_total"),
    "downstream_cx_total": ("listener", "tcp_open_total"),
    "downstream_cx_active": ("listener", "tcp_open_connections"),
    "downstream_cx_rx_bytes_total": ("http", "tcp_read_bytes_total"),
    "downstream_cx_tx_bytes_total": ("http", "tcp_write_bytes_total"),
}
"""Ending of Envoy's counter: which of its scopes has it, and Linkerd's name."""
