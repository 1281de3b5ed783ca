"""The teardown at the end of a run, and what it could not end."""

import time
from contextlib import suppress
from typing import Any

from labkit.errors import LabkitError, StateError
from labkit.lab import Lab
from labkit.params import Params
from labkit.runs.folder import RunFolder, short
from labkit.runs.interrupting import insisting
from labkit.runs.turns import Turns


def tear_down(params: Params, folder: RunFolder, turns: Turns) -> dict[str, Any]:
    """Take the lab down; what is left, and why, in a dict for the summary."""
    folder.say("▶ teardown")
    started = time.monotonic()
    try:
        with insisting(folder.say), turns.working():
            result: dict[str, Any] = Lab.of(params).tear_down()
    except (LabkitError, KeyboardInterrupt) as caught:
        interrupted = StateError("The teardown was interrupted", fix=_again(folder))
        error = caught if isinstance(caught, LabkitError) else interrupted
        folder.say(f"✘ teardown: {error}")
        return {"processes_left": _processes(params), "leftovers": None, "error": str(error)}
    folder.say(f"✔ teardown ({time.monotonic() - started:.1f} s)")
    return result


def _again(folder: RunFolder) -> str:
    return f"run `labkit down --from-run {short(folder.root)}` until it succeeds"


def _processes(params: Params) -> list[Any]:
    with suppress(LabkitError):
        return list(Lab.of(params).cloud.status()["processes"])
    return []


def problem(teardown: dict[str, Any], folder: RunFolder) -> LabkitError | None:
    """What the teardown could not end: a run that leaves something behind has failed."""
    if "error" in teardown:
        return StateError("The teardown failed", seen=teardown["error"], fix=_again(folder))
    left = [*(teardown.get("leftovers") or []), *(teardown.get("processes_left") or [])]
    if not left:
        return None
    return StateError(
        "The teardown left something behind",
        seen=", ".join(map(str, left)),
        fix=_again(folder),
    )
