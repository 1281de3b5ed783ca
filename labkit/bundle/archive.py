"""Puts a bundle together: wheels, notebooks, params, docs, the installer and a manifest.

A zip without compression, since wheels are compressed already: it is made in seconds and unpacked
by Python itself. It appears under its name when it is whole.
"""

import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from labkit.bundle import install
from labkit.bundle.lock import Pinned, for_target, read_lock
from labkit.bundle.targets import Target
from labkit.bundle.wheels import build_labkit, download, sha256
from labkit.errors import StateError
from labkit.folder import home
from labkit.handouts.materials import PACKAGE
from labkit.progress import progress

LOCK = "requirements.lock"
SCHEMA = "labkit.bundle/1"
_FOLDERS = {"notebooks": "*.ipynb", "params": "*.*", "docs": "*.*"}
_OFTEN = 50
"""Progress is said every so many files."""
_FILES = ("README.md", "LICENSE", "CHANGELOG.md")


@dataclass(frozen=True)
class Bundle:
    """A bundle that was made.

    Attributes:
        path: of the archive.
        targets: machines that it is for.
        files: how many files it holds.
        bytes: of the archive.
        sha256: of the archive.
    """

    path: Path
    targets: tuple[str, ...]
    files: int
    bytes: int
    sha256: str

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**vars(self), "path": str(self.path), "targets": list(self.targets)}

    def __str__(self) -> str:
        targets = ", ".join(self.targets)
        return "\n".join(
            [
                f"{self.path}: {self.bytes / 1e6:.0f} MB, {self.files} files, for {targets}",
                f"sha256 {self.sha256}",
                "",
                "On the machine without a network:",
                f"$ python3 -m zipfile -e {self.path.name} .",
                f"$ python3 {_top()}/install.py",
            ]
        )


def _top() -> str:
    return f"labkit-{metadata.version('labkit')}-offline"


def source() -> Path:
    """The clone that labkit runs from: the lock file and the docs are there only.

    Raises:
        StateError: labkit was installed from a wheel.
    """
    clone = PACKAGE.parent
    if not (clone / LOCK).is_file() or not (clone / "pyproject.toml").is_file():
        raise StateError(
            "A bundle is made from a clone of labkit",
            seen=f"there is no {LOCK} beside {PACKAGE}",
            fix="run it from a clone, after: make install",
        )
    return clone


def make(
    targets: Sequence[Target], *, output: Path | None = None, clone: Path, lock: Path | None = None
) -> Bundle:
    """Make a bundle.

    Args:
        targets: machines that it is for.
        output: the archive; None: named after the machines, in the current folder.
        clone: of labkit.
        lock: another lock file than the clone's.

    Raises:
        InputError: a package has no wheel for a machine, or the lock does not fit.
        LabkitError: a wheel could not be had.
    """
    path = output or Path(f"{_top()}-{'-'.join(target.name for target in targets)}.zip")
    _require_writable(path)
    packages = read_lock(lock or clone / LOCK)
    cache = home() / ".bundle"
    with progress("Making a bundle") as shown, tempfile.TemporaryDirectory() as place:
        staged = Path(place)
        wheels = {
            target: download(packages, target, cache / target.name, shown.update)
            for target in targets
        }
        shown.update("building labkit's own wheel")
        own = build_labkit(clone, staged)
        files = dict(_materials(clone))
        files |= {f"wheels/{wheel.name}": wheel for found in wheels.values() for wheel in found}
        files[f"wheels/{own.name}"] = own
        for target in targets:
            listed = staged / f"requirements-{target.name}.txt"
            listed.write_text(_requirements(packages, target, own))
            files[listed.name] = listed
        readme = staged / "README-OFFLINE.txt"
        readme.write_text(_readme(targets))
        files[readme.name] = readme
        count = _write(path, files, targets, shown.update)
        shown.update("computing its hash")
        return Bundle(
            path, tuple(t.name for t in targets), count, path.stat().st_size, sha256(path)
        )


def _require_writable(path: Path) -> None:
    """Say before the download that the archive cannot be written.

    Raises:
        StateError: so it is.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=path.absolute().parent):
            pass
    except OSError as error:
        raise StateError(
            f"The archive {path} cannot be written",
            seen=error.strerror or str(error),
            fix="-o FILE in a folder that exists and can be written",
        ) from error


def _materials(clone: Path) -> Iterator[tuple[str, Path]]:
    for folder, pattern in _FOLDERS.items():
        for path in sorted((clone / folder).glob(pattern)):
            if path.is_file() and path.suffix != ".py":
                yield f"{folder}/{path.name}", path
    for name in _FILES:
        yield name, clone / name
    yield "install.py", Path(install.__file__)


def _requirements(packages: Sequence[Pinned], target: Target, own: Path) -> str:
    """The lock's lines for a machine, and labkit's own wheel, each with its hashes."""
    lines = [p.line(marked=True) for _, group in for_target(packages, target) for p in group]
    _, version = own.name.split("-")[:2]
    return "".join([*lines, f"labkit=={version} \\\n    --hash=sha256:{sha256(own)}\n"])


def _readme(targets: Sequence[Target]) -> str:
    text = (resources.files("labkit") / "data/bundle-readme.txt").read_text()
    machines = "\n".join(f"  {t.platform}, Python {t.python}" for t in targets)
    return text.replace("{version}", metadata.version("labkit")).replace("{machines}", machines)


def _write(
    path: Path,
    files: dict[str, Path],
    targets: Sequence[Target],
    say: Callable[[str], None],
) -> int:
    """Write the archive beside its place and move it there."""
    partial = path.with_name(f".{path.name}.partial")
    described = {}
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
            for number, (name, source_path) in enumerate(sorted(files.items())):
                if number % _OFTEN == 0:
                    say(f"writing {len(files)} files, {number} are done")
                described[name] = {
                    "sha256": sha256(source_path),
                    "bytes": source_path.stat().st_size,
                }
                archive.write(source_path, f"{_top()}/{name}")
            manifest = {
                "schema": SCHEMA,
                "labkit": metadata.version("labkit"),
                "made": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
                "targets": [
                    {
                        "platform": target.platform,
                        "python": target.python,
                        "requirements": f"requirements-{target.name}.txt",
                    }
                    for target in targets
                ],
                "files": described,
            }
            archive.writestr(f"{_top()}/{install.MANIFEST}", json.dumps(manifest, indent=1))
        partial.replace(path)
    except OSError as error:
        raise StateError(
            f"The archive {path} cannot be written", seen=error.strerror or str(error)
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return len(files) + 1
