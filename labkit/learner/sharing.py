"""With whom a learner shares the record: a folder, a collector, both or nobody.

`sharing.json` beside the record, 0600, because it holds the room's join code and the key by which
the collector knows this learner again. It says what all of them have, so that nothing is lost when
one is away or the process is killed. Deliberately absent: trying again; see `sending`.
"""

import json
import logging
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from labkit.certs import write_private
from labkit.folder import LabFolder
from labkit.learner.delivering import Collector, to_collector, to_folder
from labkit.learner.locking import locked
from labkit.learner.record import LearnerRecord

logger = logging.getLogger(__name__)

NOTHING_SENT = -1


@dataclass(frozen=True)
class Sharing:
    """Where the record goes.

    Attributes:
        folder: a shared folder, or None.
        url: of a collector, or None.
        code: join code of the room.
        key: by which the collector knows this learner again.
        sent: revision that all of them have.
        away: what was said when one of them could not be reached; empty while all can.
    """

    folder: str | None = None
    url: str | None = None
    code: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    sent: int = NOTHING_SENT
    away: str = ""

    @property
    def on(self) -> bool:
        """Whether the record goes anywhere."""
        return self.folder is not None or self.url is not None

    def deliver(self, record: LearnerRecord) -> None:
        """Hand the record to all of them, once.

        Raises:
            BoardError: one of them does not have it.
        """
        if self.folder is not None:
            to_folder(record, Path(self.folder))
        if self.url is not None:
            to_collector(record, Collector(self.url, self.code, self.key))


def read_sharing(folder: LabFolder) -> Sharing:
    """The settings of a lab; damaged ones are nobody's, and said."""
    try:
        kept = json.loads(folder.sharing_file.read_bytes())
        values = {name: kept[name] for name in Sharing.__dataclass_fields__ if name in kept}
        return Sharing(**values)
    except (FileNotFoundError, NotADirectoryError):
        return Sharing()
    except (OSError, ValueError, TypeError) as error:
        logger.warning(
            "%s cannot be read (%s): nothing is shared; `labkit progress --join` or --share "
            "begins again",
            folder.sharing_file,
            type(error).__name__,
        )
        return Sharing()


def write_sharing(folder: LabFolder, sharing: Sharing) -> None:
    """Keep the settings.

    Raises:
        OSError: the folder cannot be written.
    """
    write_private(folder.sharing_file, json.dumps(asdict(sharing), indent=1).encode())


def note_delivery(folder: LabFolder, *, sent: int | None = None, away: str = "") -> bool:
    """Keep how a delivery went.

    Args:
        folder: of the lab.
        sent: revision that all have now; None: one of them could not be reached.
        away: what was seen of the one that could not.

    Returns:
        Whether that is news: the learner is told once, not at every try.
    """
    with locked(folder):
        before = read_sharing(folder)
        if not before.on:
            return False
        after = replace(before, away=away, sent=before.sent if sent is None else sent)
        if after != before:
            write_sharing(folder, after)
    return bool(after.away) and not before.away
