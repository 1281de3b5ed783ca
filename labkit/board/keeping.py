"""What a collector keeps: its credentials, and each learner's newest record, as files.

`board.json` (0600) has the join code and the instructor's password, `keys.json` (0600) the digests
of learners' keys, `learners/<id>.json` the records: a folder that `labkit board` can read as well.
Every file is replaced as a whole, so a kill loses nothing that was acknowledged.
"""

import fcntl
import hashlib
import hmac
import json
import logging
import secrets
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from labkit.board.gathering import Gathered, Sighting, from_folder
from labkit.certs import write_private
from labkit.errors import StateError
from labkit.learner import LearnerRecord

logger = logging.getLogger(__name__)

MOST_LEARNERS = 200
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without characters that look alike when read from a projector."""
_PART = 4


@dataclass(frozen=True)
class Credentials:
    """Of one collector.

    Attributes:
        join_code: for the room; shown to it.
        password: of the instructor, for the page.
    """

    join_code: str = field(repr=False)
    password: str = field(repr=False)

    def admits(self, code: str) -> bool:
        """Whether this is the join code; case and hyphens do not matter."""
        return hmac.compare_digest(_plain(code), _plain(self.join_code))

    def is_instructor(self, password: str) -> bool:
        """Whether this is the password."""
        return hmac.compare_digest(password.encode(), self.password.encode())


def _plain(code: str) -> bytes:
    return code.strip().lower().replace("-", "").encode()


class Refused(Exception):  # noqa: N818 - reads as what happened
    """A record is not taken; the text says why."""


class Kept:
    """The state folder of a collector, held by one process at a time.

    Args:
        folder: is made when it is not there.

    Raises:
        StateError: another collector holds it, or it cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.learners = folder / "learners"
        try:
            for place in (folder, self.learners):
                place.mkdir(parents=True, exist_ok=True, mode=0o700)
            with ExitStack() as opened:
                self._lock = opened.enter_context(_hold(folder / "lock"))
                self.credentials = _credentials(folder / "board.json")
                self._keys: dict[str, str] = _keys(folder / "keys.json")
                opened.pop_all()
        except OSError as error:
            raise StateError(
                f"The board's folder {folder} cannot be used",
                seen=error.strerror or str(error),
                fix="--state names another one",
            ) from error
        found = from_folder(self.learners)
        self.unread = found.unread
        now = time.time()
        self._records = {s.record.id: (s.record, now - s.age_s) for s in found.sightings}

    def close(self) -> None:
        """Let the folder go."""
        self._lock.close()

    def gathered(self) -> Gathered:
        """All learners with the age of their last change."""
        now = time.time()
        kept = list(self._records.values())  # a thread may put one meanwhile
        found = tuple(Sighting(record, max(0.0, now - at)) for record, at in kept)
        return Gathered(found, self.unread)

    def put(self, record: LearnerRecord, key: str) -> bool:
        """Keep a record; on disk before it returns.

        Args:
            record: checked already.
            key: the learner's; the first one that comes with an id belongs to it from then on.

        Returns:
            Whether it was newer than what was there.

        Raises:
            Refused: the key is another learner's, or the board is full.
            OSError: it cannot be written; nothing was changed.
        """
        digest = hashlib.sha256(key.encode()).hexdigest()
        owner = self._keys.get(record.id)
        if owner is None:
            if len(self._keys) >= MOST_LEARNERS:
                raise Refused(f"the board is full: {MOST_LEARNERS} learners")
            keys = {**self._keys, record.id: digest}
            write_private(self.folder / "keys.json", json.dumps(keys, indent=1).encode())
            self._keys = keys
        elif not hmac.compare_digest(owner, digest):
            raise Refused("another learner has this id")
        known = self._records.get(record.id)
        if known is not None and known[0].revision >= record.revision:
            return False
        write_private(self.learners / f"{record.id}.json", record.to_json().encode())
        self._records[record.id] = (record, time.time())
        return True


def _hold(path: Path) -> IO[str]:
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise StateError(
            f"Another board keeps its state in {path.parent}",
            seen="its lock is held",
            fix="end that one, or give this one another folder by --state",
        ) from error
    return file


def _credentials(path: Path) -> Credentials:
    """Of the last time, so that learners need not join again; new ones when there are none."""
    try:
        return Credentials(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        pass
    except (ValueError, TypeError) as error:
        raise StateError(
            f"The board's credentials in {path} cannot be read",
            seen=type(error).__name__,
            fix="remove that file: the board makes new ones, and learners join again",
        ) from error
    code = "-".join("".join(secrets.choice(_ALPHABET) for _ in range(_PART)) for _ in range(2))
    made = Credentials(code, secrets.token_urlsafe(16))
    content = {"join_code": made.join_code, "password": made.password}
    write_private(path, json.dumps(content, indent=1).encode())
    return made


def _keys(path: Path) -> dict[str, str]:
    """Digests of keys; without them, whoever comes first with an id gets it."""
    try:
        kept = json.loads(path.read_bytes())
        return {str(name): str(digest) for name, digest in kept.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError):
        logger.warning("%s cannot be read; learners are known by whoever comes first", path)
        return {}
