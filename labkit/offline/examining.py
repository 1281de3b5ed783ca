"""Runs the trial inside the guard and makes its report."""

import json
import os
import sys

from labkit.checks import Outcome, Report
from labkit.offline.guard import Guarded, namespace_works, run_guarded

TRIAL = "labkit.offline.trial"
TIMEOUT_S = 900.0
_CHECK_AGAIN = "labkit doctor --offline"


def examine_offline(*, namespace: bool | None = None) -> Report:
    """Try everything without a network.

    Args:
        namespace: use a network namespace; None: where this user may have one.
    """
    isolated = namespace_works() if namespace is None else namespace
    argv = [sys.executable, "-m", TRIAL]
    done = run_guarded(argv, namespace=isolated, environ=os.environ, timeout_s=TIMEOUT_S)
    return Report((_guard(isolated=isolated), *_outcomes(done), _attempts(done)))


def _guard(*, isolated: bool) -> Outcome:
    if isolated:
        seen = "a network namespace with loopback only: no program had a way out"
        return Outcome("offline.guard", "nothing can leave this machine", (), "pass", seen, "")
    return Outcome(
        "offline.guard",
        "nothing can leave this machine",
        (),
        "warn",
        "Python processes were held; this system permits no network namespace, so other programs "
        "were not",
        f"pull the cable, then: {_CHECK_AGAIN}",
    )


def _outcomes(done: Guarded) -> list[Outcome]:
    try:
        return [Outcome(**{**row, "clusters": ()}) for row in json.loads(done.stdout)]
    except (ValueError, TypeError):
        how = "did not end" if done.returncode is None else f"ended with {done.returncode}"
        title = "the trial runs to its end"
        return [Outcome("offline.trial", title, (), "fail", f"it {how}", _CHECK_AGAIN)]


def _attempts(done: Guarded) -> Outcome:
    title = "nothing wants out"
    if not done.tried:
        return Outcome("offline.attempts", title, (), "pass", "no attempt was seen", "")
    wanted = ", ".join(done.tried[:5])
    return Outcome(
        "offline.attempts",
        title,
        (),
        "warn",
        f"Python processes wanted to reach {wanted}; they were refused",
        "if all else holds, it works without",
    )
