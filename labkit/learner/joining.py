"""The learner turns sharing on and off, and asks for what is still to be sent."""

import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from labkit.errors import BoardError, InputError, StateError
from labkit.folder import LabFolder
from labkit.learner.delivering import clean_url
from labkit.learner.keeping import change
from labkit.learner.locking import locked
from labkit.learner.record import LearnerRecord
from labkit.learner.sharing import (
    NOTHING_SENT,
    Sharing,
    note_delivery,
    read_sharing,
    write_sharing,
)

_KEY_BYTES = 16


def join(folder: LabFolder, url: str, code: str) -> LearnerRecord:
    """Share with a collector; it must answer and know the code, otherwise nothing is kept.

    Args:
        folder: of the lab, which need not exist yet.
        url: as the instructor's board shows it.
        code: join code of the room.

    Raises:
        InputError: this is no address, or no code was given.
        BoardError: the collector refused or did not answer.
    """
    cleaned = clean_url(url)
    problems = []
    if cleaned is None:
        problems.append(f"{url!r} is no address of a board, as http://192.0.2.7:8750")
    if not code.strip() or not code.isascii() or not code.strip().isprintable():
        problems.append("the join code is empty or has odd characters")
    if cleaned is None or problems:
        raise InputError("The board cannot be joined", problems=problems)
    return _turn_on(
        folder,
        lambda before: replace(
            before,
            url=cleaned,
            code=code.strip(),
            key=before.key or secrets.token_hex(_KEY_BYTES),
        ),
    )


def share(folder: LabFolder, shared: Path) -> LearnerRecord:
    """Share in a folder, which must exist; the record is written there at once.

    Raises:
        InputError: there is no such folder.
        BoardError: it cannot be written.
    """
    place = shared.expanduser().resolve()
    if not place.is_dir():
        raise InputError(
            "Progress cannot be shared there",
            problems=[f"{shared} is no folder"],
            fix="the instructor makes it; is it mounted?",
        )
    return _turn_on(folder, lambda before: replace(before, folder=str(place)))


def leave(folder: LabFolder) -> None:
    """Share with nobody any more; what others have, they keep.

    Raises:
        OSError: the settings cannot be removed.
    """
    if folder.root.is_dir():
        with locked(folder):
            folder.sharing_file.unlink(missing_ok=True)


def send_now(folder: LabFolder) -> bool:
    """Send what is still to be sent, once.

    Returns:
        Whether there was something.

    Raises:
        BoardError: it did not arrive.
    """
    sharing = read_sharing(folder)
    if not sharing.on:
        return False
    record = change(folder, lambda before: before)
    if record.revision == sharing.sent:
        return False
    _deliver(folder, sharing, record)
    return True


def _turn_on(folder: LabFolder, rule: Callable[[Sharing], Sharing]) -> LearnerRecord:
    folder.prepare()
    # A first record gets its id here, so that what is sent now and later is the same learner.
    record = change(folder, lambda before: before.named(before.learner))
    sharing = replace(rule(read_sharing(folder)), sent=NOTHING_SENT, away="")
    sharing.deliver(record)
    try:
        with locked(folder):
            write_sharing(folder, replace(sharing, sent=record.revision))
    except OSError as error:
        raise StateError(
            f"{folder.sharing_file} cannot be written", seen=error.strerror or str(error)
        ) from error
    return record


def _deliver(folder: LabFolder, sharing: Sharing, record: LearnerRecord) -> None:
    try:
        sharing.deliver(record)
    except BoardError as error:
        note_delivery(folder, away=error.seen or error.what)
        raise
    note_delivery(folder, sent=record.revision)
