"""A small stand-in for vegeta: a constant rate of requests, each with its time.

`vegeta attack` and `vegeta encode`, with vegeta's flags, defaults and encodings. `attack` writes
its results as JSON lines where vegeta writes gob, its binary encoding; `encode` reads JSON or CSV
and detects which, so the usual pipeline works. Flags that are not listed by `-help` are refused.
Deliberately absent: bodies, TLS, HTTP/2, changing rates, `report` and `plot`.
"""

import argparse
import csv
import json
import re
import sys
from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, NoReturn

from labkit.embedded.images.runtime import root_path

_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_BILLION = 1_000_000_000


@dataclass(frozen=True)
class Target:
    """One request of the targets' list."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        known = " ".join(o for a in self._actions for o in a.option_strings)
        sys.stderr.write(f"vegeta: {message}\nvegeta: this stand-in supports: {known}\n")
        raise SystemExit(1)


def duration_s(text: str) -> float:
    """Seconds of a duration as Go writes it, as `1m30s` or `0`.

    Raises:
        ArgumentTypeError: it is none.
    """
    parts = _PART.findall(text)
    if text == "0" or (parts and "".join(map("".join, parts)) == text):
        return sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    raise argparse.ArgumentTypeError(f'time: invalid duration "{text}"')


def rate_per_s(text: str) -> float:
    """Requests per second of `50`, `50/1s` or `3000/1m`.

    Raises:
        ArgumentTypeError: it is none.
    """
    count, _, unit = text.partition("/")
    per_s = duration_s(unit if unit[:1].isdigit() else f"1{unit or 's'}")
    if not count.isdigit() or int(count) <= 0 or per_s <= 0:
        raise argparse.ArgumentTypeError(f"-rate format {text!r} doesn't match the freq/duration")
    return int(count) / per_s


def _boolean(text: str) -> bool:
    if text not in ("true", "false", "1", "0"):
        raise argparse.ArgumentTypeError(f"invalid boolean value {text!r}")
    return text in ("true", "1")


def parser() -> argparse.ArgumentParser:
    """The commands and their flags."""
    commands = _Parser(prog="vegeta", allow_abbrev=False)
    choice = commands.add_subparsers(dest="command", required=True, parser_class=_Parser)
    attack = choice.add_parser("attack", allow_abbrev=False)
    for names, kind, default in (
        (("-rate", "--rate"), rate_per_s, 50.0),
        (("-duration", "--duration"), duration_s, 0.0),
        (("-timeout", "--timeout"), duration_s, 30.0),
        (("-targets", "--targets"), str, "stdin"),
        (("-output", "--output"), str, "stdout"),
        (("-name", "--name"), str, ""),
        (("-max-workers", "--max-workers"), int, 2**63),
        (("-workers", "--workers"), int, 10),
        (("-connections", "--connections"), int, 10_000),
        (("-max-body", "--max-body"), int, -1),
    ):
        attack.add_argument(*names, type=kind, default=default)
    attack.add_argument(
        "-keepalive", "--keepalive", type=_boolean, nargs="?", const=True, default=True
    )
    attack.add_argument("-header", "--header", action="append", default=[])
    encode = choice.add_parser("encode", allow_abbrev=False)
    encode.add_argument("-to", "--to", choices=("csv", "json"), default="json")
    encode.add_argument("-output", "--output", default="stdout")
    encode.add_argument("file", nargs="?", default="stdin")
    return commands


def main() -> None:
    """Run as `python -m …vegeta attack FLAGS` or `… encode FLAGS`."""
    options = parser().parse_args()
    try:
        if options.command == "encode":
            _encode(options)
        else:
            _attack(options)
    except BrokenPipeError:
        raise SystemExit(1) from None
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{datetime.now():%Y/%m/%d %H:%M:%S} {error}\n")  # noqa: DTZ005 - as Go's log
        raise SystemExit(1) from None


def _attack(options: argparse.Namespace) -> None:
    from labkit.embedded.images.vegeta_attack import attack

    with _reading(options.targets) as lines:
        targets = list(read_targets(lines, [_header(text) for text in options.header]))
    if not targets:
        raise ValueError("no targets to attack")
    with _writing(options.output) as output:
        attack(targets, options, output)


def read_targets(lines: Iterable[str], headers: list[tuple[str, str]]) -> Iterator[Target]:
    """Targets in vegeta's HTTP format: `METHOD URL`, its headers below, an empty line between.

    Raises:
        ValueError: a line is neither.
    """
    found: Target | None = None
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        method, _, url = text.partition(" ")
        if method.isupper() and "://" in url:
            if found:
                yield found
            found = Target(method, url.strip(), tuple(headers))
        elif found and ":" in text:
            found = Target(found.method, found.url, (*found.headers, _header(text)))
        else:
            raise ValueError(f"bad target on line {number}: {text[:80]}")
    if found:
        yield found


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ValueError(f"bad header: {text[:80]}")
    return name.strip(), value.strip()


def _encode(options: argparse.Namespace) -> None:
    with _reading(options.file) as lines, _writing(options.output) as output:
        table = csv.writer(output, lineterminator="\n")
        for result in _results(lines):
            if options.to == "csv":
                table.writerow(to_csv(result))
            else:
                output.write(json.dumps(result, separators=(",", ":")) + "\n")
            output.flush()


def _results(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            yield json.loads(line) if line.startswith("{") else _from_csv(line)
        except (ValueError, IndexError):
            raise ValueError("encode: can't detect encoding of its input") from None


def to_csv(result: dict[str, Any]) -> list[object]:
    """The columns of vegeta's CSV encoding."""
    headers = "".join(
        f"{name}: {value}\r\n" for name, values in result["headers"].items() for value in values
    )
    return [
        nanoseconds(result["timestamp"]),
        result["code"],
        result["latency"],
        result["bytes_out"],
        result["bytes_in"],
        result["error"],
        result["body"] or "",
        result["attack"],
        result["seq"],
        result["method"],
        result["url"],
        b64encode(headers.encode()).decode(),
    ]


def _from_csv(line: str) -> dict[str, Any]:
    row = next(csv.reader([line]))
    return {
        "attack": row[7],
        "seq": int(row[8]),
        "code": int(row[1]),
        "timestamp": timestamp(int(row[0])),
        "latency": int(row[2]),
        "bytes_out": int(row[3]),
        "bytes_in": int(row[4]),
        "error": row[5],
        "body": row[6],
        "method": row[9],
        "url": row[10],
        "headers": {},
    }


def timestamp(nanos: int) -> str:
    """RFC 3339 with nanoseconds, as Go writes times."""
    whole, rest = divmod(nanos, _BILLION)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def nanoseconds(text: str) -> int:
    """Nanoseconds since 1970 of such a time."""
    head, _, rest = text.removesuffix("Z").partition(".")
    whole = int(datetime.fromisoformat(f"{head}+00:00").timestamp())
    return whole * _BILLION + int(rest.ljust(9, "0") or 0)


@contextmanager
def _reading(name: str) -> Iterator[IO[str]]:
    if name == "stdin":
        yield sys.stdin
    else:
        with _place(name).open(encoding="utf-8") as stream:
            yield stream


@contextmanager
def _writing(name: str) -> Iterator[IO[str]]:
    if name == "stdout":
        yield sys.stdout
    else:
        with _place(name).open("w", encoding="utf-8") as stream:
            yield stream


def _place(name: str) -> Path:
    return root_path(name) if name.startswith("/") and root_path(name).exists() else Path(name)


if __name__ == "__main__":
    main()
