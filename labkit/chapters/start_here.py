"""Chapter 00: is everything there, and what will it cost?"""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

from labkit.checks import Check, Finding, failed, passed, verdict
from labkit.clouds import install_kubectl
from labkit.context import CLUSTERS, LabContext
from labkit.display import Step, Table
from labkit.doctor import examine
from labkit.errors import LabkitError
from labkit.progress import progress

MIN_PYTHON = (3, 11)
COMMAND_TIMEOUT_S = 20
MARKS = {"pass": "✔", "fail": "✘", "warn": "!"}


def doctor(lab: LabContext) -> Step:
    """Look at tools and the cloud; starts the embedded cloud if it is the lab's."""
    lab.folder.prepare()
    install_kubectl(lab.folder)
    with progress("Reaching the cloud"):
        lab.cloud.start()
    report = examine(lab)
    rows = [
        {
            "": MARKS[item.status],
            "what": item.title,
            "seen": item.reason,
            "fix": "" if item.status == "pass" else item.fix,
        }
        for item in report.outcomes
    ]
    versions = {"linkerd": linkerd_version(lab), "kubectl": _version(_kubectl(lab))}
    lab.record("versions", versions)
    return Step(
        "What the lab stands on.",
        by_hand=(
            "labkit doctor",
            "python3 --version",
            "kubectl version --client",
            "linkerd version --client",
        ),
        table=Table.of(rows),
    )


def quote(lab: LabContext) -> Step:
    """What the lab costs at list prices, and whether anything is billed."""
    found = lab.cloud.quote()
    note = (
        "This cloud bills it."
        if found.billed
        else "Nothing is billed here; these are DigitalOcean's list prices for the same lab."
    )
    return Step(
        "What it costs.",
        table=Table.of(found.rows(lab.params.ttl_hours)),
        notes=(f"{found.text}.", note),
    )


def _kubectl(lab: LabContext) -> list[str]:
    return [str(lab.folder.commands / "kubectl"), "version", "--client"]


def linkerd_version(lab: LabContext) -> str:
    """Version of the `linkerd` command, or what is wrong with it."""
    return _version([*lab.cloud.linkerd_command, "version", "--client", "--short"])


def _version(argv: list[str]) -> str:
    if not Path(argv[0]).exists() and shutil.which(argv[0]) is None:
        return "not found"
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False
    )
    if done.returncode != 0:
        return f"failed: {done.stderr.strip()[:80]}"
    return done.stdout.splitlines()[0].rpartition(" ")[2] if done.stdout else "no answer"


def _python(lab: LabContext) -> Finding:
    del lab
    return verdict(sys.version_info >= MIN_PYTHON, f"Python {platform.python_version()}")


def _tools(lab: LabContext) -> Finding:
    found = {"kubectl": _version(_kubectl(lab)), "linkerd": linkerd_version(lab)}
    text = ", ".join(f"{name} {version}" for name, version in found.items())
    good = all(v != "not found" and not v.startswith("failed") for v in found.values())
    return verdict(good, text)


def _cloud(lab: LabContext) -> Finding:
    try:
        status = lab.cloud.status()
        price = lab.cloud.quote()
    except LabkitError as error:
        return failed(str(error))
    if not status["running"]:
        return failed(f"the cloud {lab.cloud.name} does not answer")
    billed = "billed" if price.billed else "not billed"
    return passed(f"{lab.cloud.name} answers; {price.usd_per_hour:.2f} USD/h, {billed}")


CHECKS = (
    Check(
        id="00.python",
        title="Python is new enough",
        clusters=(),
        proves="labkit and its notebooks run",
        fix="install Python 3.11 or newer and run `make lab` again",
        look=_python,
    ),
    Check(
        id="00.tools",
        title="kubectl and linkerd answer",
        clusters=CLUSTERS,
        proves="the commands of the chapters can be typed by hand",
        fix="run the cell with lab.doctor(); on real clouds install the linkerd command",
        look=_tools,
    ),
    Check(
        id="00.cloud",
        title="the cloud answers and its price is known",
        clusters=CLUSTERS,
        proves="clusters can be created, and nobody is surprised by a bill",
        fix="`labkit status`; on DigitalOcean export DIGITALOCEAN_TOKEN",
        look=_cloud,
    ),
)
