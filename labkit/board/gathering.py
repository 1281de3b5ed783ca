"""Gathers the records of many learners from folders and collectors.

What cannot be read is listed with its reason and hides nothing else. Of two copies of one learner
the higher revision counts. Deliberately absent: trust in learners' clocks; a record's age is the
age of its file, or what the collector says.
"""

import stat
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.errors import InputError
from labkit.learner import LearnerRecord
from labkit.learner.delivering import LEARNERS, clean_url, reason_of

LARGEST_BYTES = 64 * 1024
"""A whole workshop is about 4 kB."""
MOST_FILES = 1000
INSTRUCTOR = "instructor"
"""User of the board's own page; its password is the collector's."""

_TIMEOUT_S = (3.0, 10.0)


@dataclass(frozen=True)
class Sighting:
    """A record, and when it last changed.

    Attributes:
        record: of one learner.
        age_s: seconds since its last change arrived.
    """

    record: LearnerRecord
    age_s: float


@dataclass(frozen=True)
class Unread:
    """What could not be read.

    Attributes:
        name: of the file or address.
        reason: in a few words.
    """

    name: str
    reason: str


@dataclass(frozen=True)
class Gathered:
    """All learners that were found, one sighting each, and what could not be read."""

    sightings: tuple[Sighting, ...] = ()
    unread: tuple[Unread, ...] = ()

    @classmethod
    def merged(cls, parts: Iterable["Gathered"]) -> "Gathered":
        """One sighting a learner: the newest revision, and of equal ones the older copy."""
        found: dict[str, Sighting] = {}
        unread: list[Unread] = []
        for part in parts:
            unread += part.unread
            for sighting in part.sightings:
                known = found.get(sighting.record.id)
                if known is None or _newer(sighting, known):
                    found[sighting.record.id] = sighting
        return cls(tuple(found.values()), tuple(unread))


def _newer(one: Sighting, other: Sighting) -> bool:
    """A later copy of one revision is a copy, no news: the larger age is when it happened."""
    return (one.record.revision, one.age_s) > (other.record.revision, other.age_s)


def check_sources(sources: Sequence[str]) -> None:
    """Let pass folders and addresses.

    Raises:
        InputError: some are neither; all of them together.
    """
    problems = [
        f"{source} is no folder and no http:// or https:// address"
        for source in sources
        if not Path(source).expanduser().is_dir() and not _is_url(source)
    ]
    if problems:
        raise InputError("The board has nothing to collect from", problems=problems)


def needs_password(sources: Sequence[str]) -> bool:
    """Whether one of them is a collector."""
    return any(_is_url(source) for source in sources)


def gather(sources: Sequence[str], *, password: str = "") -> Gathered:
    """Read all sources once.

    Args:
        sources: folders and addresses of collectors, mixed.
        password: of the collectors.
    """
    return Gathered.merged(
        from_collector(source, password)
        if _is_url(source)
        else from_folder(Path(source).expanduser())
        for source in sources
    )


def from_folder(folder: Path) -> Gathered:
    """Records in a shared folder, in a lab's folder, or in a folder of labs."""
    own = folder / "progress.json"
    try:
        if own.exists():
            paths = [own]
        else:
            paths = [path for path in folder.iterdir() if path.suffix == ".json"]
            paths += folder.glob("*/progress.json")
    except OSError as error:
        return Gathered(unread=(Unread(str(folder), error.strerror or str(error)),))
    paths = sorted(path for path in paths if not path.name.startswith("."))
    sightings, unread = [], []
    for path in paths[:MOST_FILES]:
        name = _printable(str(path.relative_to(folder)))
        try:
            sightings.append(_read(path))
        except OSError as error:
            unread.append(Unread(name, error.strerror or str(error)))
        except ValueError as error:
            unread.append(Unread(name, reason_in_words(error)))
    if len(paths) > MOST_FILES:
        left = len(paths) - MOST_FILES
        unread.append(Unread(str(folder), f"{left} more files; {MOST_FILES} are read at most"))
    return Gathered(tuple(sightings), tuple(unread))


def _read(path: Path) -> Sighting:
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise ValueError("no regular file")
    if about.st_size > LARGEST_BYTES:
        raise ValueError(f"{about.st_size} bytes; a record has {LARGEST_BYTES} at most")
    record = LearnerRecord.model_validate_json(path.read_bytes())
    return Sighting(record, max(0.0, time.time() - about.st_mtime))


def from_collector(url: str, password: str) -> Gathered:
    """Records that a collector has."""
    import requests

    address = clean_url(url) or url
    try:
        answer = requests.get(
            f"{address}{LEARNERS}",
            auth=(INSTRUCTOR, password),
            timeout=_TIMEOUT_S,
            allow_redirects=False,
        )
        if answer.status_code == 401:
            return Gathered(unread=(Unread(address, "the board's password is wrong"),))
        if answer.status_code != 200:
            return Gathered(unread=(Unread(address, f"answered HTTP {answer.status_code}"),))
        rows: Any = answer.json()["learners"]
        return Gathered.merged(_row(address, row) for row in rows)
    except requests.exceptions.JSONDecodeError:
        return Gathered(unread=(Unread(address, "does not answer as a board does"),))
    except requests.RequestException as error:
        return Gathered(unread=(Unread(address, f"cannot be reached: {reason_of(error)}"),))
    except (KeyError, TypeError, ValueError):
        return Gathered(unread=(Unread(address, "does not answer as a board does"),))


def _row(address: str, row: Any) -> Gathered:
    try:
        record = LearnerRecord.model_validate_json(row["progress"])
        return Gathered((Sighting(record, max(0.0, float(row["age_s"]))),))
    except ValueError as error:
        return Gathered(unread=(Unread(address, reason_in_words(error)),))


def reason_in_words(error: ValueError) -> str:
    """Where a record does not fit, without its content, which may be anything."""
    problems = getattr(error, "errors", None)
    if problems is None:
        return str(error)[:120]
    first = problems(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])[:60]
    text = f"{where}: {first['msg']}" if where else str(first["msg"])
    return _printable(text)[:160]


def _printable(text: str) -> str:
    """Names of files may hold anything, and terminals obey some of it."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _is_url(source: str) -> bool:
    return clean_url(source) is not None
