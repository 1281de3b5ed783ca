"""Chapter 00: is everything there, and what will it cost?"""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

from labkit.checks import Check, Finding, Reason, passed
from labkit.clouds import install_kubectl
from labkit.context import CLUSTERS, LabContext
from labkit.display import Step, Table
from labkit.doctor import examine
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


_OLD_PYTHON = Reason("this is Python {version}; labkit needs {wanted} or newer")


def _python(lab: LabContext) -> Finding:
    del lab
    version = platform.python_version()
    if sys.version_info < MIN_PYTHON:
        return _OLD_PYTHON.seen(version=version, wanted=".".join(map(str, MIN_PYTHON)))
    return passed(f"Python {version}")


_NO_KUBECTL = Reason("kubectl: {kubectl}; linkerd: {linkerd}", fix="labkit up  # puts it back")
_NO_LINKERD = Reason("kubectl: {kubectl}; linkerd: {linkerd}")


def _tools(lab: LabContext) -> Finding:
    found = {"kubectl": _version(_kubectl(lab)), "linkerd": linkerd_version(lab)}
    text = ", ".join(f"{name} {version}" for name, version in found.items())
    missing = [k for k, v in found.items() if v == "not found" or v.startswith("failed")]
    if missing:
        return (_NO_KUBECTL if "kubectl" in missing else _NO_LINKERD).seen(**found)
    return passed(text)


_NO_CLOUD = Reason("the cloud {cloud} does not answer", coming=True)


def _cloud(lab: LabContext) -> Finding:
    if not lab.cloud.status()["running"]:
        return _NO_CLOUD.seen(cloud=lab.cloud.name)
    price = lab.cloud.quote()
    billed = "billed" if price.billed else "not billed"
    return passed(f"{lab.cloud.name} answers; {price.usd_per_hour:.2f} USD/h, {billed}")


CHECKS = (
    Check(
        id="00.python",
        title="Python is new enough",
        clusters=(),
        proves="labkit and its notebooks run",
        fix="make clean install PYTHON=python3.12  # or any from 3.11 on",
        look=_python,
        reasons=(_OLD_PYTHON,),
    ),
    Check(
        id="00.tools",
        title="kubectl and linkerd answer",
        clusters=CLUSTERS,
        proves="the commands of the chapters can be typed by hand",
        fix="labkit tools install linkerd",
        look=_tools,
        reasons=(_NO_KUBECTL, _NO_LINKERD),
        limit_s=2 * COMMAND_TIMEOUT_S,
    ),
    Check(
        id="00.cloud",
        title="the cloud answers and its price is known",
        clusters=CLUSTERS,
        proves="clusters can be created, and nobody is surprised by a bill",
        fix="labkit up  # labkit doctor says what is missing",
        look=_cloud,
        reasons=(_NO_CLOUD,),
    ),
)
