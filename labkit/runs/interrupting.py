"""Signals of a run, and its log on the terminal while kernels write it."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

TAIL_INTERVAL_S = 0.2


@contextmanager
def insisting(say: Callable[[str], None]) -> Iterator[None]:
    """Go on through the first Ctrl-C or SIGTERM: half a teardown leaves what is billed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def first(number: int, frame: FrameType | None) -> None:
        del number, frame
        say("… the teardown goes on; interrupt once more to end it and leave things")
        for one, handler in before.items():
            signal.signal(one, handler)

    before = {one: signal.signal(one, first) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextmanager
def terminate_as_interrupt() -> Iterator[None]:
    """SIGTERM ends the run like Ctrl-C, so that the teardown runs; a second one changes nothing."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        # Asked once is enough, the lab is to go down; SIG_IGN would pass on to commands.
        signal.signal(signal.SIGTERM, lambda *_: None)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def echo(log: Path) -> Iterator[None]:
    """Show the run's log on standard error while kernels write it."""
    ended = threading.Event()
    log.touch()
    already = log.stat().st_size  # a run that goes on has shown this before

    def tail() -> None:
        with log.open() as file:
            file.seek(already)
            while True:
                last = ended.is_set()
                sys.stderr.write(file.read())
                sys.stderr.flush()
                if last:
                    return
                ended.wait(TAIL_INTERVAL_S)

    thread = threading.Thread(target=tail, name="run log", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
