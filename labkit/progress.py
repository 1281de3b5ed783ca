"""Progress that reads the same in a notebook, on a terminal and in a headless run.

In a notebook a progress display is one output that is updated in place, so the saved notebook
holds its last text only; on a terminal each change of text is a line on standard error, and a text
that stays is a line again every half minute. There is no bar: a wait says what it waits for, how
long it has taken and what it has seen.
"""

import html
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from labkit.errors import WaitTimeout

RUN_LOG = "run.log"
"""The log in a run folder."""

REFRESH_S = 0.5
"""How often a display may change; more often is noise in a log."""

REPEAT_S = 30.0
"""After how long a line is written again though nothing has changed: somebody may be waiting."""


def in_notebook() -> bool:
    """Whether this code runs in a Jupyter kernel."""
    module = sys.modules.get("IPython")
    if module is None:
        return False
    shell = module.get_ipython()
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"


def show_now(value: object) -> None:
    """Show a value in the notebook at once, beside what the cell itself shows."""
    from IPython.display import display

    display(value)  # type: ignore[no-untyped-call]


def headless() -> bool:
    """Whether `labkit run` drives this notebook, so that a failed check must end it."""
    return os.environ.get("LABKIT_HEADLESS") == "1"


class Progress:
    """One display of what is going on.

    Args:
        title: what is being done, as `Creating clusters`.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._started = time.monotonic()
        self._lines: dict[str, str] = {}
        self._handle: Any = None
        self._shown = 0.0
        self._logged: dict[str, tuple[str, str, float]] = {}
        self._turn = threading.RLock()  # both clusters may report at the same time

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def update(self, text: str, *, key: str = "") -> None:
        """Say what is happening now.

        Args:
            text: the state, in a few words.
            key: which of several things it is about, as `west`.
        """
        with self._turn:
            if self._lines.get(key) == text and time.monotonic() - self._shown < REFRESH_S:
                return
            self._lines[key] = text
            self._log("…", key)
            self._show(state="…")

    def done(self, text: str = "done") -> None:
        """Say how it ended."""
        self._lines[""] = text
        self._log("✔")
        self._show(state="✔", final=True)

    def failed(self, text: str) -> None:
        """Say that it failed."""
        self._lines[""] = text
        self._log("✘")
        self._show(state="✘", final=True)

    def _show(self, *, state: str, final: bool = False) -> None:
        now = time.monotonic()
        if in_notebook() and not (final or self._handle is None or now - self._shown >= REFRESH_S):
            return
        if in_notebook():
            self._show_in_notebook(state)
        self._shown = now

    def _log(self, state: str, key: str = "") -> None:
        """Write what is new as a line: to the run's log in a notebook, else to standard error."""
        text = self._lines[key]
        *before, at = self._logged.get(key, ("", "", 0.0))
        if before == [state, text] and self.elapsed_s - at < REPEAT_S:
            return
        self._logged[key] = (state, text, self.elapsed_s)
        where = f"{key}: " if key else ""
        line = f"{state} {self.title}: {where}{text} ({self.elapsed_s:.1f} s)"
        if not in_notebook():
            sys.stderr.write(f"{line}\n")
        elif folder := os.environ.get("LABKIT_RUN_FOLDER"):
            # a full disk must not hide the failure that this line may be about
            with suppress(OSError), (Path(folder) / RUN_LOG).open("a") as log:
                log.write(f"{datetime.now(UTC):%H:%M:%S} {line}\n")

    def _show_in_notebook(self, state: str) -> None:
        from IPython.display import display

        lines = [f"{key}: {text}" if key else text for key, text in self._lines.items()]
        head = f"{state} {self.title} ({self.elapsed_s:.1f} s)"
        plain = "\n".join([head, *(f"    {line}" for line in lines)])
        rich = f"<pre style='margin:0'>{html.escape(plain)}</pre>"
        bundle = {"text/plain": plain, "text/html": rich}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(bundle, raw=True)


@contextmanager
def progress(title: str) -> Iterator[Progress]:
    """Show progress for the length of a block; it ends with ✔, or with ✘ and the reason."""
    shown = Progress(title)
    try:
        yield shown
    except BaseException as error:
        shown.failed(str(error) or type(error).__name__)
        raise
    shown.done()


Result = TypeVar("Result")


def wait_until(
    condition: Callable[[], Result | None],
    *,
    what: str,
    timeout_s: float,
    interval_s: float = 0.2,
    last_seen: Callable[[], str] = lambda: "",
    fix: str = "",
    report: Progress | None = None,
    key: str = "",
    told: str = "",
) -> Result:
    """Wait until `condition` returns something true, and return it.

    Args:
        condition: looked at every `interval_s`; its exceptions end the wait.
        what: what is awaited, as `web-svc-east to appear in west`.
        timeout_s: how long, in seconds.
        interval_s: pause between two looks.
        last_seen: tells what the last look found; quoted in the error.
        fix: what to do when it does not come true.
        report: where to say so while waiting.
        key: which of several things the wait is about, as `west`.
        told: what is said to be awaited while waiting, where `key` says a part of it; else `what`.

    Raises:
        WaitTimeout: it did not come true in time.
    """
    started = time.monotonic()
    while True:
        result = condition()
        if result:
            return result
        seen = last_seen()
        elapsed = time.monotonic() - started
        if elapsed > timeout_s:
            raise WaitTimeout(
                f"Waited {timeout_s:.0f} s in vain for {what}", seen=seen or "nothing", fix=fix
            )
        if report is not None and elapsed > REFRESH_S:
            report.update(f"waiting for {told or what}" + (f" ({seen})" if seen else ""), key=key)
        time.sleep(interval_s)
