"""What hostile clients send, and what a server must still be and do afterwards.

Used by the fuzz tests of both APIs. Requests are written to the socket as bytes, so that nothing
corrects them on the way. `LABKIT_FUZZ_SECONDS` is how long each API is tried (default: some
seconds); the long form is in CONTRIBUTING.md.
"""

import contextlib
import http.client
import io
import json
import os
import random
import re
import socket
import ssl
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis.strategies import integers

SECONDS = float(os.environ.get("LABKIT_FUZZ_SECONDS", "8"))
HANG_S = 30.0
"""Far above what any request takes; a loaded machine must not look like a hang."""
GROWTH_MB = 150.0

# --- requests -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    """One request as it is sent; `target` and header values are bytes of the wire."""

    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def __str__(self) -> str:
        body = f"{self.body[:300]!r}{'…' if len(self.body) > 300 else ''}"
        shown = {k: v[:80] for k, v in self.headers.items() if k != "Authorization"}
        return f"{self.method} {self.target[:300]} {shown} {body}"

    def encode(self, host: str, token: str) -> bytes:
        """The bytes of the request."""
        headers = {"Host": host, "Authorization": f"Bearer {token}", **self.headers}
        if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
            headers["Content-Length"] = str(len(self.body))
        lines = [
            f"{self.method} {self.target} HTTP/1.1",
            *(f"{k}: {v}" for k, v in headers.items()),
        ]
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + self.body


@dataclass(frozen=True)
class Answer:
    """What came back; `complete` is false for a stream that was left."""

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool = True

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection at a time to a server under TLS."""

    def __init__(self, url: str, ca_file: Path, token: str) -> None:
        self.host, port = re.fullmatch(r"https://([\d.]+):(\d+)/?", url).groups()
        self.port, self.token = int(port), token
        self._tls = ssl.create_default_context(cafile=str(ca_file))
        self._socket: ssl.SSLSocket | None = None

    def connect(self) -> ssl.SSLSocket:
        """A new connection; the caller closes it."""
        plain = socket.create_connection((self.host, self.port), timeout=HANG_S)
        return self._tls.wrap_socket(plain, server_hostname=self.host)

    def send(self, request: Request) -> Answer:
        """Send a request and read its answer; streams are left after their head.

        Raises:
            TimeoutError: no answer in time.
            ConnectionError: the server closed the connection without an answer.
        """
        data = request.encode(f"{self.host}:{self.port}", self.token)
        fresh = self._socket is None
        try:
            return self._exchange(request, data)
        except (ConnectionError, http.client.HTTPException):
            self.close()
            if fresh:
                raise
            return self._exchange(request, data)  # the kept connection had gone

    def _exchange(self, request: Request, data: bytes) -> Answer:
        if self._socket is None:
            self._socket = self.connect()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self._socket.sendall(data)
        response = http.client.HTTPResponse(self._socket, method=request.method)
        try:
            response.begin()
            headers = {k.lower(): v for k, v in response.getheaders()}
            stream = response.status == 101 or (
                response.status == 200 and re.search(r"watch|follow", request.target) is not None
            )
            body = b"" if stream else response.read()
        except (http.client.BadStatusLine, ssl.SSLError) as error:
            raise ConnectionError(f"no answer: {error!r}") from error
        if stream or response.will_close or headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(response.status, headers, body, complete=not stream)

    def raw(self, data: bytes, *, linger_s: float = 5.0) -> bytes:
        """Send bytes on a connection of their own and return what comes within the time."""
        with self.connect() as connection:
            connection.settimeout(linger_s)
            received = io.BytesIO()
            try:
                connection.sendall(data)
                while chunk := connection.recv(65536):
                    received.write(chunk)
            except (OSError, ssl.SSLError):
                pass
            return received.getvalue()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


# --- values -------------------------------------------------------------------------------

TEXTS = (
    "", " ", "a", "A", "-", ".", "..", "../../../../tmp/fuzz-escape", "/etc/passwd", "a/b", "a\x00b",
    "\x00", "\n", "a\r\nX-Injected: 1", "é", "💥", "\ud800", "\u202e", "ﬀ", "²", "0", "-1", "1e999",
    "NaN", "true", "null", "{}", "%s%n", "%2e%2e%2f", "${jndi:x}", "{{.}}", "$(id)", "`id`",
    "a" * 64, "a" * 254, "a" * 5000, "=", ",", "!", "in ()", "a in (", "(((((", "[" * 50, "\\",
    "9" * 400, "kubernetes.io/x", "system:masters", "1Gi", "1" + "0" * 40 + "Ei", "100%", "1h",
    "2026-01-01T00:00:00Z", "0000-00-00T99:99:99Z", "10.96.0.1", "999.1.1.1", "::1", "Always",
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 2, 80, 443, 65535, 65536, 2**31 - 1, 2**31, -(2**31) - 1, 2**53, 2**63 - 1, 2**63,
    2**64, 10**30, 0.5, -0.0, 1e308,
)  # fmt: skip


def deep(levels: int, kind: str = "list") -> Any:
    """A value of so many levels."""
    value: Any = "x"
    for _ in range(levels):
        value = [value] if kind == "list" else {"a": value}
    return value


# Drawing each value by hypothesis would take ten times as long as sending it. Hypothesis draws the
# seed of a burst of requests; these have the same names and take their values from that seed.

Strategy = Callable[[random.Random], Any]


class st:  # noqa: N801 - reads as hypothesis' strategies
    """Strategies as functions of a random number generator."""

    @staticmethod
    def just(value: Any) -> Strategy:
        return lambda _: value

    @staticmethod
    def sampled_from(items: Any) -> Strategy:
        items = list(items)
        return lambda dice: dice.choice(items)

    @staticmethod
    def integers(least: int, most: int) -> Strategy:
        return lambda dice: dice.randint(least, most)

    @staticmethod
    def booleans() -> Strategy:
        return lambda dice: dice.random() < 0.5

    @staticmethod
    def one_of(*strategies: Strategy) -> Strategy:
        return lambda dice: dice.choice(strategies)(dice)

    @staticmethod
    def lists(inner: Strategy, *, max_size: int) -> Strategy:
        return lambda dice: [inner(dice) for _ in range(dice.randint(0, max_size))]

    @staticmethod
    def dictionaries(keys: Strategy, inner: Strategy, *, max_size: int) -> Strategy:
        return lambda dice: {keys(dice): inner(dice) for _ in range(dice.randint(0, max_size))}

    @staticmethod
    def text(max_size: int) -> Strategy:
        return lambda dice: "".join(
            chr(dice.choice((dice.randrange(128), dice.randrange(0x110000))))
            for _ in range(dice.randint(0, max_size))
        )

    @staticmethod
    def binary(max_size: int) -> Strategy:
        return lambda dice: dice.randbytes(dice.randint(0, max_size))

    @staticmethod
    def composite(function: Callable[..., Any]) -> Callable[..., Strategy]:
        def made(*args: Any) -> Strategy:
            return lambda dice: function(lambda strategy: strategy(dice), *args)

        return made


texts = st.sampled_from(TEXTS)
numbers = st.sampled_from(NUMBERS)
leaves: Strategy = st.one_of(
    texts,
    numbers,
    st.sampled_from(
        (None, True, False, {}, [], deep(30), deep(30, "map"), [None], [{}], {"": 1}, {"a": None})
    ),
    st.text(max_size=8),
)
values = st.one_of(
    leaves,
    leaves,
    leaves,
    st.lists(leaves, max_size=3),
    st.dictionaries(texts, leaves, max_size=2),
    st.lists(st.dictionaries(texts, leaves, max_size=2), max_size=2),
)
"""Any JSON value, mostly odd ones."""
_hows = st.sampled_from(("replace", "replace", "wrap", "double", "extend"))
_damages = st.integers(0, 24)
_some = st.integers(0, 1000)


def paths_in(value: Any, prefix: tuple[Any, ...] = ()) -> Iterable[tuple[Any, ...]]:
    """The path of every part of a value."""
    yield prefix
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, part in items:
        yield from paths_in(part, (*prefix, key))


def changed(value: Any, path: tuple[Any, ...], change: Callable[[Any], Any]) -> Any:
    """A copy with one part changed."""
    if not path:
        return change(value)
    if isinstance(value, dict):
        return {k: changed(v, path[1:], change) if k == path[0] else v for k, v in value.items()}
    return [changed(v, path[1:], change) if i == path[0] else v for i, v in enumerate(value)]


@st.composite
def mutated(draw: Any, value: Any, most: int = 3) -> Any:
    """A value with a few parts replaced, removed, doubled or wrapped."""
    for _ in range(draw(st.integers(0, most))):
        paths = list(paths_in(value))
        path = paths[draw(_some) % len(paths)]
        how = draw(_hows)
        other = draw(values)
        match how:
            case "replace":
                value = changed(value, path, lambda _, other=other: other)
            case "wrap":
                value = changed(value, path, lambda part: [part])
            case "double":
                value = changed(
                    value, path, lambda part: [*part, *part] if isinstance(part, list) else part
                )
            case "extend":
                key = draw(texts)
                value = changed(
                    value,
                    path,
                    lambda part, key=key, other=other: (
                        {**part, key: other} if isinstance(part, dict) else part
                    ),
                )
    return value


def encoded(value: Any) -> bytes:
    """JSON; lone surrogates and huge numbers stay as they are."""
    return json.dumps(value).encode()


@st.composite
def bodies(draw: Any, value: Any) -> bytes:
    """The JSON of a value, seldom cut, damaged, huge or no JSON at all."""
    data = encoded(value)
    match draw(_damages):
        case 0:
            return data[: draw(st.integers(0, len(data)))]
        case 1:
            at = draw(st.integers(0, len(data)))
            return (
                data[:at]
                + draw(st.sampled_from((b"\x00", b"\xff\xfe", b"\xc3(", b"}", b"\\u")))
                + data[at:]
            )
        case 2:
            return draw(st.binary(max_size=40))
        case 3:
            return draw(st.sampled_from(BODIES))
    return data


BODIES = (
    b"", b"null", b"[]", b'""', b"0", b"NaN", b'{"metadata":NaN}', b'{"a":1,"a":2}', b"\xef\xbb\xbf{}",
    "{}".encode("utf-16"), b"k8s\x00", b"k8s\x00\x0a\xff\xff\xff\xff\x7f", b"k8s\x00" + b"\x12\x80" * 50,
    b"[" * 100_000, b'{"a":' * 50_000, b"{" * 3000, b'{"metadata":{"name":"' + b"a" * 2_000_000 + b'"}}',
    b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 9)) for i in range(8)
    ),
    b"a: &a\n  b: *a\n", b"--- 1\n--- 2\n", b"!!python/object/apply:os.system [id]", b"- " * 20_000 + b"x",
    b"? ? ? ?", b"a: !!binary x", b"a: 2026-01-01\nb: 0o17\nc: .inf\n1: 2\n[a]: b\n", b"\t", b"%YAML 9.9\n---\n",
)  # fmt: skip


def segment(text: str) -> str:
    """A path segment with everything encoded that would end it."""
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


# --- what must hold -----------------------------------------------------------------------


class Findings:
    """Counts answers, and collects what must not be."""

    def __init__(self) -> None:
        self.answers: Counter[int] = Counter()
        self.wrong: dict[str, str] = {}
        self.hangs = 0
        self._before: Request | None = None

    def add(self, what: str, request: object) -> None:
        """Keep one example of each kind of wrong."""
        key = re.sub(r"0x[0-9a-f]+|\d+|'[^']*'|\"[^\"]*\"", "_", what)[:160]
        self.wrong.setdefault(key, f"{what[:600]}\n    {request}")

    def judge(
        self, client: Client, request: Request, problem_of: Callable[[Request, Answer], str]
    ) -> None:
        """Send a request, and keep what is wrong with the answer."""
        try:
            answer = client.send(request)
        except TimeoutError:
            client.close()
            self.hangs += 1
            self.add(f"no answer in {HANG_S:.0f} s", f"{request}\n    after {self._before}")
            return
        except ConnectionError as error:
            client.close()
            self.add(f"no answer: {error}", request)
            return
        self._before = request
        self.answers[answer.status] += 1
        if problem := problem_of(request, answer):
            self.add(problem, request)

    def tell(self, what: str, daemon: "Daemon") -> None:
        """Write the figures of a run to the test's output."""
        sys.stdout.write(f"{what}: {self.report()}\npeak memory {daemon.peak_mb:.0f} MB\n")

    def report(self) -> str:
        counts = ", ".join(f"{code}: {n}" for code, n in sorted(self.answers.items()))
        return f"{sum(self.answers.values())} requests ({counts})\n" + "\n".join(
            self.wrong.values()
        )


def fuzz(
    requests: Strategy,
    one: Callable[[Request], None],
    findings: Findings,
    *,
    seconds: float = SECONDS,
    between: Callable[[], None] = lambda: None,
) -> int:
    """Draw and send requests until the time is over; returns how many."""
    sent = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end and findings.hangs < 2:

        @settings(
            max_examples=20,
            database=None,
            derandomize=False,
            phases=[Phase.generate],
            verbosity=Verbosity.quiet,
            suppress_health_check=list(HealthCheck),
            deadline=None,
        )
        @given(integers(0, 2**64))
        def burst(number: int) -> None:
            nonlocal sent
            dice = random.Random(number)
            for _ in range(20):
                if time.monotonic() < end and findings.hangs < 2:
                    one(requests(dice))
                    sent += 1

        burst()
        between()
    return sent


class Daemon:
    """The process behind the APIs: what it remembers, writes and logs."""

    def __init__(self, state: Path, pid: int) -> None:
        self.state, self.pid = state, pid
        self._start_mb, self.peak_mb = self.memory_mb(), 0.0
        self._log_start = (state / "daemon.log").stat().st_size
        self._outside = self._files()

    def memory_mb(self) -> float:
        """Memory that only this process uses, MB."""
        return float(psutil.Process(self.pid).memory_full_info().uss) / 2**20

    def look(self) -> None:
        """Note the memory of now."""
        self.peak_mb = max(self.peak_mb, self.memory_mb())

    def problems(self) -> list[str]:
        """What is wrong with the process after all that."""
        found = []
        self.look()
        if self.memory_mb() - self._start_mb > GROWTH_MB:
            found.append(f"memory grew from {self._start_mb:.0f} to {self.memory_mb():.0f} MB")
        with (self.state / "daemon.log").open(errors="replace") as log:
            log.seek(self._log_start)
            text = log.read()
        for mark in (
            "Traceback",
            "never retrieved",
            "never awaited",
            "Unhandled",
            "ResourceWarning",
        ):
            if mark in text:
                at = text.index(mark)
                found.append(f"the log tells of {mark}:\n{text[max(0, at - 300) : at + 2500]}")
        if fresh := self._files() - self._outside:
            found.append(f"files outside of the state folder: {sorted(fresh)}")
        return found

    def _files(self) -> set[str]:
        """What lies where a path that escapes would lead, and what the process has open."""
        lab = self.state.parent
        around = {str(p) for p in lab.parent.iterdir()} | {str(p) for p in lab.iterdir()}
        around |= {str(p) for p in Path("/tmp").glob("fuzz-escape*")}
        around |= {str(p) for p in Path(psutil.Process(self.pid).cwd()).iterdir()}
        return around
