"""Hands one record to a shared folder or to a collector, once; others decide about trying again."""

import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path

from labkit.certs import write_private
from labkit.errors import BoardError
from labkit.learner.record import LearnerRecord

LEARNERS = "/v1/learners"
"""Path of the learners at a collector; one learner is below it by id."""
KEY_HEADER = "Labkit-Learner-Key"
"""By which a collector knows a learner again; the join code is the whole room's."""

_TIMEOUT_S = (3.0, 5.0)
"""To connect, and to be answered."""
_LATER_S = 5.0
_LONGEST_PAUSE_S = 60.0
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Collector:
    """A collector, and this learner's credentials for it."""

    url: str
    code: str = field(repr=False)
    key: str = field(repr=False)


def to_folder(record: LearnerRecord, folder: Path) -> None:
    """Write `<id>.json`, whole or not at all, readable by all who can read the folder.

    Raises:
        BoardError: it cannot be written.
    """
    path = folder / f"{record.id}.json"
    try:
        write_private(path, record.to_json().encode())
        path.chmod(0o644)
    except OSError as error:
        raise BoardError(
            f"The shared folder {folder} cannot be written",
            seen=error.strerror or str(error),
            fix="is it mounted? `labkit progress --share` names another one",
            retry_after_s=_LATER_S,
        ) from error


def to_collector(record: LearnerRecord, collector: Collector) -> None:
    """Send the record.

    Raises:
        BoardError: it was refused, or nobody answers.
    """
    import requests

    url = f"{collector.url.rstrip('/')}{LEARNERS}/{record.id}"
    try:
        answer = requests.put(
            url,
            data=record.to_json().encode(),
            headers={
                "Content-Type": "application/json",
                "Authorization": f"Bearer {collector.code}",
                KEY_HEADER: collector.key,
            },
            timeout=_TIMEOUT_S,
            allow_redirects=False,
        )
    except (requests.RequestException, ValueError) as error:
        raise BoardError(
            f"The board at {collector.url} cannot be reached",
            seen=reason_of(error),
            fix="ask whether it runs, and for its address",
            retry_after_s=_LATER_S,
        ) from error
    if not answer.ok or answer.is_redirect:
        raise _refused(answer.status_code, answer.headers.get("Retry-After", ""), collector.url)


def _refused(status: int, retry_after: str, url: str) -> BoardError:
    fixes = {
        401: "the join code is wrong: `labkit progress --join` asks for it again",
        403: "the board knows this learner by another key, or is full: tell the instructor",
        404: "is this the board's address?",
    }
    pause = min(float(retry_after), _LONGEST_PAUSE_S) if retry_after.isdecimal() else _LATER_S
    return BoardError(
        f"The board at {url} refused the progress",
        status=status,
        seen=f"HTTP {status}",
        fix=fixes.get(status, "labkit of the board and of this lab may be of different versions"),
        retry_after_s=pause if status in _AGAIN else None,
    )


def reason_of(error: Exception) -> str:
    """The innermost reason: what surrounds it repeats the address with every layer."""
    cause: BaseException = error
    for _ in range(10):
        inner = getattr(cause, "reason", None) or (cause.args[0] if cause.args else None)
        if not isinstance(inner, BaseException):
            break
        cause = inner
    text = str(cause).rpartition(": ")[2]
    return text or type(cause).__name__


def clean_url(text: str) -> str | None:
    """A collector's address without a slash at its end, None when it is none."""
    parts = urllib.parse.urlsplit(text.strip())
    try:
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    if not fits or parts.username or parts.query or parts.fragment:
        return None
    return text.strip().rstrip("/")
