"""The state folder of one embedded cloud: what is where, and what is secret.

One folder holds one cloud. Files with secrets are 0600, the folder is 0700. Unix sockets live in
a second, short folder below the system's temporary folder, because socket paths are limited to
about 100 bytes; it is recorded here and removed with the cloud.
"""

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from labkit.errors import StateError, WaitTimeout

if TYPE_CHECKING:  # cryptography takes 70 ms to import, and a walk looks at the state twenty times
    from labkit import certs

SHORT_TEMPORARY = Path("/tmp")  # noqa: S108 - $TMPDIR is too long for sockets on macOS
START_TIME_TOLERANCE_S = 2.0
"""The kernel's boot time, a term of a start time, moves when the clock is set."""


@dataclass(frozen=True)
class StateFolder:
    """Paths of one embedded cloud."""

    root: Path

    @property
    def daemon_file(self) -> Path:
        """JSON about the running daemon: pid, start time, endpoint."""
        return self.root / "daemon.json"

    @property
    def lock_file(self) -> Path:
        """Held by the daemon while it runs; names the last holder."""
        return self.root / "daemon.lock"

    @property
    def turn_file(self) -> Path:
        """Held by whoever starts or stops the daemon."""
        return self.root / "turn.lock"

    @property
    def log_file(self) -> Path:
        """The daemon's log."""
        return self.root / "daemon.log"

    @property
    def token_file(self) -> Path:
        """The API token of the cloud (0600)."""
        return self.root / "token"

    @property
    def ca_file(self) -> Path:
        """The CA of the cloud's API, PEM."""
        return self.root / "ca.crt"

    @property
    def settings_file(self) -> Path:
        """Ports and options that outlive the daemon."""
        return self.root / "settings.json"

    @property
    def wan_file(self) -> Path:
        """Round-trip times between regions, given by whoever starts the cloud."""
        return self.root / "wan.json"

    @property
    def live_wan_file(self) -> Path:
        """What was changed of them while the cloud ran, and when."""
        return self.root / "wan-live.json"

    @property
    def database(self) -> Path:
        """The DigitalOcean side's SQLite file."""
        return self.root / "digitalocean.sqlite"

    @property
    def trace_file(self) -> Path:
        """Who holds the cloud, outside of the folder: it outlives a folder removed by hand."""
        return self.run_dir / "daemon.json"

    @property
    def run_dir(self) -> Path:
        """Short folder for unix sockets."""
        digest = hashlib.sha256(str(self.root.resolve()).encode()).hexdigest()[:10]
        return SHORT_TEMPORARY / f"labkit-{os.getuid()}-{digest}"

    def cluster_dir(self, cluster_id: str) -> Path:
        """State of one cluster."""
        return self.root / "clusters" / cluster_id

    def prepare(self) -> None:
        """Create the folder, the token and the CA where they are missing.

        Raises:
            StateError: the folder cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.root.chmod(0o700)
            if not self.token_file.exists():
                _write_private(self.token_file, f"dop_v1_{secrets.token_hex(32)}".encode())
            if not self.ca_file.exists():
                from labkit import certs

                ca = certs.create_root("labkit embedded cloud")
                certs.write_credential(ca, self.ca_file, self.root / "ca.key")
        except OSError as error:
            raise StateError(
                f"The state folder {self.root} of the embedded cloud cannot be written",
                seen=error.strerror or str(error),
                fix="free space, or point LABKIT_HOME to a folder you can write",
            ) from error

    def forget(self) -> None:
        """Remove everything the cloud knows; only its log and its locks stay."""
        for path in self.root.iterdir():
            if path in (self.log_file, self.lock_file, self.turn_file):
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def prepare_run_dir(self) -> Path:
        """Create the socket folder with this process's trace, refusing one of somebody else."""
        self.run_dir.mkdir(mode=0o700, exist_ok=True)
        if self.run_dir.stat().st_uid != os.getuid():
            raise StateError(
                f"The folder for sockets {self.run_dir} belongs to another user",
                fix="remove it, or use another lab folder",
            )
        self.run_dir.chmod(0o700)
        _write_private(self.trace_file, json.dumps(own_facts()).encode())
        return self.run_dir

    def remove_run_dir(self) -> None:
        """Remove the socket folder."""
        shutil.rmtree(self.run_dir, ignore_errors=True)

    def ca(self) -> "certs.Credential":
        """The CA of the cloud's API."""
        from labkit import certs

        return certs.read_credential(self.ca_file, self.root / "ca.key")

    def token(self) -> str:
        """The API token of the cloud."""
        return self.token_file.read_text().strip()

    def read_settings(self) -> dict[str, Any]:
        """Ports and options; empty at the first start."""
        return _read_json(self.settings_file)

    def write_settings(self, settings: dict[str, Any]) -> None:
        """Keep ports and options for the next start."""
        _write_private(self.settings_file, json.dumps(settings, indent=1).encode())

    def read_daemon(self) -> dict[str, Any]:
        """What the daemon wrote when it became ready; empty when it never did."""
        return _read_json(self.daemon_file)

    def write_daemon(self, facts: dict[str, Any]) -> None:
        """Announce that the daemon is ready."""
        _write_private(self.daemon_file, json.dumps(facts, indent=1).encode())

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the cloud; only one daemon can.

        Raises:
            StateError: another daemon holds it.
        """
        with self.lock_file.open("a+") as file:  # "w" would erase the holder's name
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StateError(
                    f"Another daemon holds the lab folder {self.root}",
                    seen=f"pid {self.read_holder().get('pid', 'unknown')}",
                    fix="`labkit status` shows it, `labkit down` ends it",
                ) from None
            file.truncate(0)
            file.write(json.dumps(own_facts()))
            file.flush()
            yield

    def read_trace(self) -> dict[str, Any]:
        """The daemon that took the folder for sockets last; it may have ended."""
        try:
            own = self.run_dir.stat().st_uid == os.getuid()
        except FileNotFoundError:
            return {}
        return _read_json(self.trace_file) if own else {}

    def read_holder(self) -> dict[str, Any]:
        """The daemon that took the lock last, ready or not; it may have ended."""
        return _read_json(self.lock_file)

    @contextmanager
    def turn(self, timeout_s: float) -> Iterator[None]:
        """Start and stop one after the other, whoever asks.

        Raises:
            WaitTimeout: somebody else takes longer than that.
        """
        self.prepare()
        give_up = time.monotonic() + timeout_s
        with self.turn_file.open("a") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > give_up:
                        raise WaitTimeout(
                            f"Somebody else has been starting or stopping the embedded cloud in "
                            f"{self.root} for {timeout_s:.0f} s",
                            fix="wait for the other `labkit` command to end",
                        ) from None
                    time.sleep(0.05)
            yield


def _write_private(path: Path, data: bytes) -> None:
    from labkit import certs

    certs.write_private(path, data)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def own_facts() -> dict[str, Any]:
    """Pid and start time of this process, which together name it for ever."""
    process = psutil.Process()
    return {"pid": process.pid, "create_time": process.create_time()}


def find_process(facts: dict[str, Any]) -> psutil.Process | None:
    """The process that `own_facts` described, if it still runs."""
    try:
        process = psutil.Process(int(facts["pid"]))
        same = abs(process.create_time() - facts["create_time"]) < START_TIME_TOLERANCE_S
        alive = process.status() != psutil.STATUS_ZOMBIE
    except (KeyError, psutil.Error):
        return None
    return process if same and alive else None
