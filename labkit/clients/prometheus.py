"""viz' Prometheus, reached through the cluster as the CLI does it: by port-forward.

The API server's service proxy is refused by viz' own policy, so it is not tried. Queries come back
as typed series. Deliberately absent: building of queries and any statistics.
"""

import http.client
import json
import math
import threading
import time
import urllib.parse
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Self

from labkit.clients.kubernetes import Kubernetes
from labkit.clients.kubernetes_errors import translated
from labkit.clients.portforward import ForwardedConnection
from labkit.errors import KubernetesError

_NAMESPACE, _TARGET, _PORT = "linkerd-viz", "deploy/prometheus", 9090


@dataclass(frozen=True)
class Sample:
    """One series of an instant query.

    Attributes:
        labels: of the series, without `__name__`.
        value: may be NaN.
        time_s: of the evaluation, Unix seconds.
    """

    labels: Mapping[str, str]
    value: float
    time_s: float


@dataclass(frozen=True)
class Series:
    """One series of a range query.

    Attributes:
        labels: of the series, without `__name__`.
        points: (Unix seconds, value) in order.
    """

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


class Prometheus:
    """Queries to one cluster's Prometheus. The forwarded connection is kept until `close`.

    Args:
        cluster: where viz is installed.

    Example:
        >>> with Prometheus(west) as prometheus:
        ...     prometheus.query('sum(rate(request_total{direction="outbound"}[1m]))')
    """

    def __init__(self, cluster: Kubernetes) -> None:
        self.cluster = cluster
        self._stack = ExitStack()
        self._connection: ForwardedConnection | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the port-forward; the next query opens it again."""
        self._connection = None
        self._stack.close()

    def query(self, expression: str, *, at: float | None = None) -> tuple[Sample, ...]:
        """An instant query.

        Args:
            expression: PromQL.
            at: Unix seconds, None for now.

        Raises:
            KubernetesError: viz does not answer, or Prometheus refuses the expression (400).
        """
        data = self._call("query", query=expression, time=f"{at or time.time():.3f}")
        if data["resultType"] == "scalar":
            moment, text = data["result"]
            return (Sample({}, _number(text), float(moment)),)
        return tuple(
            Sample(_labels(item), _number(item["value"][1]), float(item["value"][0]))
            for item in data["result"]
        )

    def value(self, expression: str, *, at: float | None = None) -> float | None:
        """The single number an expression yields; None when there is no series or it is NaN.

        Raises:
            KubernetesError: no answer, a refused expression, or more than one series.
        """
        samples = self.query(expression, at=at)
        if len(samples) > 1:
            raise KubernetesError(
                f"{expression} yields {len(samples)} series where one is wanted",
                fix="aggregate it with sum(…)",
            )
        if not samples or math.isnan(samples[0].value):
            return None
        return samples[0].value

    def query_range(
        self, expression: str, *, start: float, end: float, step_s: float
    ) -> tuple[Series, ...]:
        """A range query from `start` to `end` (Unix seconds) in steps of `step_s` seconds.

        Raises:
            KubernetesError: viz does not answer, or Prometheus refuses the expression (400).
        """
        data = self._call(
            "query_range",
            query=expression,
            start=f"{start:.3f}",
            end=f"{end:.3f}",
            step=f"{step_s:g}",
        )
        return tuple(
            Series(_labels(item), tuple((float(t), _number(v)) for t, v in item["values"]))
            for item in data["result"]
        )

    def window(self, selector: str, *, start: float, end: float) -> tuple[Series, ...]:
        """The raw samples of a selector as scraped, from `start` to `end` (Unix seconds).

        Raises:
            KubernetesError: viz does not answer, or Prometheus refuses the selector (400).
        """
        length = max(1, math.ceil(end - start))
        data = self._call("query", query=f"{selector}[{length}s]", time=f"{end:.3f}")
        return tuple(
            Series(
                item["metric"],
                tuple((float(t), _number(v)) for t, v in item["values"] if start <= float(t)),
            )
            for item in data["result"]
        )

    def series(self, matcher: str, *, start: float, end: float) -> tuple[Mapping[str, str], ...]:
        """Label sets of the series that match, with `__name__`."""
        query = {"match[]": matcher, "start": f"{start:.3f}", "end": f"{end:.3f}"}
        return tuple(self._call("series", **query))

    def _call(self, operation: str, **query: str) -> Any:
        path = f"/api/v1/{operation}?{urllib.parse.urlencode(query)}"
        what = f"Prometheus {operation} in {self.cluster.context}"
        with self._lock:
            status, content = self._get(path, what)
        try:
            answer = json.loads(content)
        except ValueError as error:
            raise KubernetesError(
                f"{what}: the answer is no JSON",
                status=status,
                seen=content[:200].decode("latin-1"),
            ) from error
        if status != http.client.OK or answer.get("status") != "success":
            raise KubernetesError(
                f"{what} was refused",
                status=status,
                reason=str(answer.get("errorType", "")),
                seen=str(answer.get("error", "")),
            )
        return answer["data"]

    def _get(self, path: str, what: str) -> tuple[int, bytes]:
        """One request on the kept connection, once more on a new one when that has ended."""
        with translated(what, server=self.cluster.server):
            if self._connection is not None:
                try:
                    return self._exchange(path)
                except (OSError, http.client.HTTPException):
                    self.close()
            try:
                return self._exchange(path)
            except BaseException:
                self.close()
                raise

    def _exchange(self, path: str) -> tuple[int, bytes]:
        connection = self._connected()
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()

    def _connected(self) -> ForwardedConnection:
        if self._connection is None:
            self._connection = self._stack.enter_context(
                self.cluster.forward(_NAMESPACE, _TARGET, _PORT)
            )
        return self._connection


def _labels(item: Mapping[str, Any]) -> dict[str, str]:
    return {key: value for key, value in item["metric"].items() if key != "__name__"}


def _number(text: str) -> float:
    return float(text)
