"""One process at a time at the learner's files of a lab."""

import errno
import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager

from labkit.folder import LabFolder

_PATIENCE_S = 3.0
"""A note takes milliseconds; who holds the lock for longer is stopped."""
_PAUSE_S = 0.02
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


@contextmanager
def locked(folder: LabFolder) -> Iterator[None]:
    """Hold the lock; where the file system has none, the last writer wins.

    Raises:
        OSError: another process holds it and does not let go, or the folder is not there.
    """
    with (folder.root / "progress.lock").open("a") as file:
        give_up = time.monotonic() + _PATIENCE_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(_PAUSE_S)
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                break
        yield
