"""A small stand-in for curl: enough of it to ask questions from inside a pod.

Exit codes and messages are curl's. A `http://` URL goes to the pod's proxy in absolute form and a
`https://` URL through CONNECT, as curl itself does with `http_proxy` set; `--proxytunnel` forces
CONNECT. Options that are not listed by `--help` are refused with exit code 2. Deliberately
absent: redirects, cookies, authentication, HTTP/2, uploads from files and several URLs.
"""

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import NoReturn

from labkit.embedded.images.curl_transfer import Failure, Transfer, container_file, fetch

_RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        known = " ".join(o for a in self._actions for o in a.option_strings)
        sys.stderr.write(f"curl: {message}\ncurl: this stand-in supports: {known}\n")
        raise SystemExit(2)


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = _Parser(prog="curl", allow_abbrev=False)
    for names, text in (
        (("-s", "--silent"), "no error messages"),
        (("-S", "--show-error"), "error messages even with -s"),
        (("-f", "--fail"), "exit code 22 for HTTP statuses from 400"),
        (("-k", "--insecure"), "do not verify the server's certificate"),
        (("-i", "--include"), "print the response's head, too"),
        (("-I", "--head"), "ask for the head only"),
        (("-v", "--verbose"), "tell what happens"),
        (("-p", "--proxytunnel"), "CONNECT through the proxy for http:// as well"),
        (("--http1.1",), "has no effect: always so"),
        (("--retry-connrefused",), "retry refused connections"),
        (("--retry-all-errors",), "retry all errors"),
    ):
        options.add_argument(*names, action="store_true", help=text)
    options.add_argument("-o", "--output", metavar="FILE", help="write the body there")
    options.add_argument("-w", "--write-out", default="", metavar="FORMAT")
    options.add_argument("-m", "--max-time", type=float, metavar="SECONDS")
    options.add_argument("--connect-timeout", type=float, metavar="SECONDS")
    options.add_argument("-H", "--header", action="append", default=[], metavar="NAME: VALUE")
    options.add_argument("-X", "--request", metavar="METHOD")
    options.add_argument("-d", "--data", action="append", metavar="DATA")
    options.add_argument("--cert", metavar="FILE", help="client certificate, PEM")
    options.add_argument("--key", metavar="FILE", help="its key, PEM")
    options.add_argument("--cacert", metavar="FILE", help="trusted roots, PEM")
    options.add_argument("--resolve", action="append", default=[], metavar="HOST:PORT:ADDRESS")
    options.add_argument("--retry", type=int, default=0, metavar="TIMES")
    options.add_argument("--retry-delay", type=float, default=0, metavar="SECONDS")
    options.add_argument("--url", dest="url_option", metavar="URL")
    options.add_argument("url", nargs="?", metavar="URL")
    return options


def main() -> NoReturn:
    """Run as `python -m …curl OPTIONS URL`; ends with curl's exit code."""
    options = parser().parse_args()
    options.url = options.url or options.url_option
    if not options.url:
        sys.stderr.write("curl: (2) no URL specified\n")
        raise SystemExit(2)
    for attempt in range(options.retry + 1):
        code, again = _attempt(options, last=attempt == options.retry)
        if not again:
            break
        time.sleep(options.retry_delay or min(2**attempt, 600))
    raise SystemExit(code)


def _attempt(options: argparse.Namespace, *, last: bool) -> tuple[int, bool]:
    """One transfer; returns the exit code and whether to try again."""
    transfer = Transfer()
    code = 0
    failed: Failure | None = None
    try:
        with _time_limit(options.max_time, transfer):
            body = fetch(options, transfer)
        if transfer.status in _RETRIED_STATUSES and not last:
            return 22, True
        if options.fail and transfer.status >= 400:
            text = f"The requested URL returned error: {transfer.status}"
            raise Failure(22, text)  # noqa: TRY301 - one place reports
        _write(options, body)
    except Failure as failure:
        code, failed = failure.code, failure
    if failed is not None and not last and _is_retried(options, failed):
        return code, True
    if failed is not None and (not options.silent or options.show_error):
        sys.stderr.write(f"curl: ({failed.code}) {failed}\n")
    sys.stdout.write(_write_out(options, transfer, code))
    sys.stdout.flush()
    return code, False


def _is_retried(options: argparse.Namespace, failure: Failure) -> bool:
    refused = failure.code == 7 and options.retry_connrefused
    return failure.code == 28 or refused or options.retry_all_errors


@contextlib.contextmanager
def _time_limit(seconds: float | None, transfer: Transfer) -> Iterator[None]:
    """End a transfer with error 28 when it takes longer."""

    def expired(*_: object) -> None:
        waited = round(transfer.elapsed_s() * 1000)
        raise Failure(28, f"Operation timed out after {waited} milliseconds with 0 bytes received")

    signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, seconds or 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _write(options: argparse.Namespace, body: bytes) -> None:
    try:
        if options.output and options.output != "-":
            target = (
                options.output if options.output == os.devnull else container_file(options.output)
            )
            with open(target, "wb") as stream:  # noqa: PTH123 - /dev/null included
                stream.write(body)
        else:
            sys.stdout.buffer.write(body)
            sys.stdout.buffer.flush()
    except OSError as error:
        raise Failure(23, f"Failure writing output to destination: {error.strerror}") from error


def _write_out(options: argparse.Namespace, transfer: Transfer, code: int) -> str:
    text: str = options.write_out
    for name, value in {
        "http_code": f"{transfer.status:03d}",
        "response_code": f"{transfer.status:03d}",
        "exitcode": str(code),
        "size_download": str(transfer.size),
        "time_connect": f"{transfer.connected_s:.6f}",
        "time_starttransfer": f"{transfer.first_byte_s:.6f}",
        "time_total": f"{transfer.elapsed_s():.6f}",
        "url": options.url,
    }.items():
        text = text.replace(f"%{{{name}}}", value)
    return text.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r")


if __name__ == "__main__":
    main()
