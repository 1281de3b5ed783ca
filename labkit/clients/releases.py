"""Gets a pinned `linkerd` from its release, a mirror or a folder, and keeps it in labkit's own.

A file counts only when its SHA-256 is the known one: from labkit/data/linkerd-releases.yaml, or
said by the user. It is put in place whole or not at all, below `$LABKIT_HOME/.tools`, and never
into the system. Deliberately absent: choosing the newest version, and trusting a hash that came
with the file.
"""

import os
import platform
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from labkit.errors import InputError, LabkitError, StateError
from labkit.folder import home
from labkit.progress import Progress, progress

LINKERD = "linkerd"
_MODE = 0o755
_TIMEOUT_S = 60
_RETRIES = 2
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_HEX = re.compile(r"[0-9a-f]{64}")
_VERSION = re.compile(r"(edge|stable|enterprise)-\d+(\.\d+){1,3}")


@dataclass(frozen=True)
class Release:
    """One file of a release.

    Attributes:
        version: as `edge-26.6.3`.
        platform: as `linux-amd64`.
        base: URL that versions are below.
        sha256: of the file, in hex.
    """

    version: str
    platform: str
    base: str
    sha256: str

    @property
    def name(self) -> str:
        """The file's name as published."""
        return f"linkerd2-cli-{self.version}-{self.platform}"

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{self.base.rstrip('/')}/{self.version}/{self.name}"


def tools() -> Path:
    """Folder of the commands that labkit downloaded; no lab can have this name."""
    return home() / ".tools"


def command_folder() -> Path:
    """What goes on PATH."""
    return tools() / "bin"


def linkerd_command() -> tuple[str, ...]:
    """The downloaded `linkerd`, else the one on PATH."""
    own = command_folder() / LINKERD
    return (str(own),) if own.exists() else (LINKERD,)


@cache
def _table() -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.safe_load(
        (files("labkit") / "data" / "linkerd-releases.yaml").read_text()
    )
    return found


def this_platform() -> str:
    """This machine as releases name it.

    Raises:
        StateError: there is no release for it.
    """
    system, machine = platform.system().lower(), platform.machine()
    if system not in ("linux", "darwin") or machine not in _MACHINES:
        raise StateError(
            f"There is no linkerd for {system} on {machine}",
            fix="use Linux or macOS on x86_64 or arm64",
        )
    return f"{system}-{_MACHINES[machine]}"


def release(version: str = "", *, mirror: str = "", sha256: str = "") -> Release:
    """The file to get, with the hash it must have.

    Args:
        version: empty for the one that labkit is tried with.
        mirror: URL in the place of the project's own.
        sha256: hex; needed where the table has none, and must agree where it has one.

    Raises:
        InputError: everything that does not fit, together.
    """
    table, where = _table(), this_platform()
    chosen = version or str(table["default"])
    known = (table["versions"].get(chosen) or {}).get(where, "")
    given = sha256.strip().lower()
    problems = []
    if not _VERSION.fullmatch(chosen):
        problems.append(f"--version {chosen}: expected a release such as edge-26.6.3")
    if mirror and not mirror.startswith(("https://", "http://")):
        problems.append(f"--mirror {mirror}: expected a URL; a folder is given by --from")
    if given and not _HEX.fullmatch(given):
        problems.append("--sha256: expected 64 hexadecimal digits")
    elif given and known and given != known:
        problems.append(f"--sha256 {given}: labkit knows {known} for {chosen} on {where}")
    found = Release(chosen, where, mirror or str(table["base"]), given or known)
    if not found.sha256 and not problems:
        official = Release(chosen, where, str(table["base"]), "")
        problems.append(
            f"the SHA-256 of {chosen} for {where} is not known: read it at {official.url}.sha256 "
            "and give it by --sha256"
        )
    if problems:
        with_hash = ", ".join(name for name, hashes in table["versions"].items() if hashes)
        raise InputError(
            "linkerd cannot be installed so",
            problems=problems,
            fix=f"versions with a known hash: {with_hash}",
        )
    return found


def install(wanted: Release, *, folder: Path | None = None) -> Path:
    """Get the file and make it the `linkerd` of labkit.

    Args:
        wanted: which file, and its hash.
        folder: take it from here, where it has its published name; None downloads it.

    Returns:
        The command's path.

    Raises:
        InputError: the folder has no such file.
        StateError: the file has another hash, or cannot be written.
        LabkitError: it cannot be downloaded.
    """
    place = tools() / LINKERD / wanted.version
    target = place / LINKERD
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (target.exists() and _sha256(target) == wanted.sha256):
            partial = _copied(wanted, folder, place) if folder else _downloaded(wanted, place)
            partial.chmod(_MODE)
            partial.replace(target)
        _link(target)
    except OSError as error:
        raise StateError(
            f"linkerd could not be put into {place}",
            seen=error.strerror or str(error),
            fix="free space, or point LABKIT_HOME to a folder you can write",
        ) from error
    return target


def _link(target: Path) -> None:
    """Point `.tools/bin/linkerd` to a version, at one blow."""
    command_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = command_folder() / f".{LINKERD}.{os.getpid()}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(os.path.relpath(target, command_folder()))
    fresh.replace(command_folder() / LINKERD)


def _sha256(path: Path) -> str:
    import pooch

    return str(pooch.file_hash(str(path), alg="sha256"))


def _verified(partial: Path, wanted: Release, source: str) -> Path:
    seen = _sha256(partial)
    if seen != wanted.sha256:
        partial.unlink()
        raise StateError(
            f"{source} is not what it must be; nothing was installed",
            seen=f"SHA-256 {seen}, expected {wanted.sha256}",
            fix="get it again from another source; if --sha256 was typed, compare it",
        )
    return partial


def _copied(wanted: Release, folder: Path, place: Path) -> Path:
    source = folder / wanted.name
    if not source.is_file():
        raise InputError(
            "The folder has no such release",
            problems=[f"--from {folder}: no file {wanted.name}"],
            fix=f"put {wanted.url} there",
        )
    partial = place / f".{LINKERD}.{os.getpid()}"
    shutil.copyfile(source, partial)
    return _verified(partial, wanted, str(source))


def _downloaded(wanted: Release, place: Path) -> Path:
    import pooch
    import requests

    name = f".{LINKERD}.{os.getpid()}"
    cabinet = pooch.create(
        path=place,
        base_url="",
        registry={
            name: None
        },  # the hash is checked below, so that a wrong one is told in our words
        urls={name: wanted.url},
        retry_if_failed=_RETRIES,
    )
    pooch.get_logger().setLevel("ERROR")
    with progress(f"Downloading {wanted.name}") as shown:
        loader = pooch.HTTPDownloader(progressbar=_Shown(shown), timeout=_TIMEOUT_S)
        try:
            partial = Path(cabinet.fetch(name, downloader=loader))
        except (requests.RequestException, ValueError) as error:
            raise LabkitError(
                f"{wanted.url} could not be downloaded ({_RETRIES + 1} tries)",
                seen=str(error),
                fix="behind a proxy set HTTPS_PROXY; give --mirror URL, or --from FOLDER with a "
                f"file {wanted.name}",
            ) from error
        return _verified(partial, wanted, wanted.url)


class _Shown:
    """What pooch takes for a progress bar: tells megabytes."""

    def __init__(self, shown: Progress) -> None:
        self._shown = shown
        self._bytes = 0
        self.total = 0

    def update(self, count: int) -> None:
        """So many bytes more."""
        self._bytes += count
        self._shown.update(f"{self._bytes / 1e6:.0f} of {self.total / 1e6:.0f} MB")

    def reset(self) -> None:
        """Pooch ends with this."""

    def close(self) -> None:
        """Nothing to close."""
