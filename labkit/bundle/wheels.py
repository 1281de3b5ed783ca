"""Gets wheels by pip: those of the lock for one kind of machine, and labkit's own.

What was downloaded before stays in a folder and is not downloaded again, so a bundle that was
interrupted goes on. Every file has a hash of the lock. Nothing is built but labkit itself.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from labkit.bundle.lock import Pinned, for_target
from labkit.bundle.targets import Target
from labkit.errors import CommandError, InputError, LabkitError

_MOST_MISSING = 12
"""How many packages without a wheel are looked for before giving up."""
_OFFLINE = ("NewConnectionError", "ConnectTimeout", "Connection", "timed out", "Name or service")
_EACH = 10
"""Progress is said every so many packages."""
_QUIET = ("--disable-pip-version-check", "--no-input", "--progress-bar=off", "--no-color")


def download(
    packages: Sequence[Pinned], target: Target, folder: Path, say: Callable[[str], None]
) -> list[Path]:
    """The wheels that one kind of machine installs.

    Args:
        packages: of the lock, for all machines.
        target: the machine.
        folder: where wheels are kept; those there are checked and used.
        say: told what is going on.

    Raises:
        InputError: packages have no wheel for this machine; all of them are named.
        LabkitError: a file does not have the lock's hash, or the index cannot be reached.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wheels: list[Path] = []
    for environment, group in for_target(packages, target):
        options = target.pip_options(environment)
        try:
            _download(group, options, folder, lambda text: say(f"{target.name}: {text}"))
        except NoWheel as error:
            raise InputError(
                f"Not every package has a wheel for {target.name}",
                problems=[f"{package.name} {package.version}" for package in error.packages],
                fix="another --python, or another --platform; sources are not built for others",
            ) from error
        wheels += [_wheel_of(package, folder) for package in group]
    return sorted(set(wheels))


class NoWheel(Exception):  # noqa: N818 - reads as what happened
    """Packages without a wheel that pip may take."""

    def __init__(self, packages: Sequence[Pinned]) -> None:
        super().__init__(", ".join(package.name for package in packages))
        self.packages = packages


def _download(
    packages: Sequence[Pinned], options: Sequence[str], folder: Path, say: Callable[[str], None]
) -> None:
    """Get all of them; what is missing is found out in one go."""
    left = list(packages)
    missing: list[Pinned] = []
    while (output := _pip_download(left, options, folder, say)) is not None:
        package = _without_wheel(output, left)
        if package is None:
            raise _failure(output)
        missing.append(package)
        left.remove(package)
        if len(missing) > _MOST_MISSING or not left:
            break
    if missing:
        raise NoWheel(missing)


def _pip_download(
    packages: Sequence[Pinned], options: Sequence[str], folder: Path, say: Callable[[str], None]
) -> str | None:
    """Run pip; its output when it failed."""
    with tempfile.TemporaryDirectory() as place:
        wanted = Path(place) / "requirements.txt"
        wanted.write_text("".join(package.line(marked=False) for package in packages))
        argv = [sys.executable, "-m", "pip", "download", *_QUIET, "--no-deps", "--require-hashes"]
        argv += ["--only-binary=:all:", *options]
        argv += ["--dest", str(folder), "--requirement", str(wanted)]
        return _run(argv, lambda n, name: say(f"{n} of {len(packages)}, {name}"))


def _run(argv: Sequence[str], step: Callable[[int, str], None]) -> str | None:
    """Run pip and tell its progress; it ends with this process.

    Returns:
        None when all went well, else what it said.
    """
    output, collected = [], 0
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        try:
            for line in process.stdout or ():
                output.append(line)
                if found := re.match(r"(?:Collecting|Processing) (?:\S*/)?([\w.-]+)", line):
                    collected += 1
                    if collected % _EACH == 1:
                        step(collected, found[1].partition("-")[0])
        except BaseException:
            process.terminate()
            raise
    return "".join(output) if process.returncode else None


def _without_wheel(output: str, packages: Sequence[Pinned]) -> Pinned | None:
    """The package that pip did not find, if that is why it failed."""
    found = re.search(r"No matching distribution found for ([\w.-]+)==", output)
    if found is None or any(word in output for word in _OFFLINE):
        return None
    return next((p for p in packages if p.name.lower() == found[1].lower()), None)


def _failure(output: str) -> LabkitError:
    last = [line for line in output.splitlines() if line.startswith("ERROR")] or [output[-200:]]
    if "DO NOT MATCH THE HASHES" in output:
        return LabkitError(
            "A downloaded file does not have the hash of the lock file",
            seen=last[0],
            fix="empty the folder of wheels and try again; if it stays so, trust neither",
        )
    if any(word in output for word in _OFFLINE):
        return LabkitError(
            "pip cannot reach its index",
            seen=last[-1],
            fix="a bundle is made with a network; what was downloaded is kept for the next time",
        )
    return LabkitError("pip could not download the wheels", seen=last[-1])


def _wheel_of(package: Pinned, folder: Path) -> Path:
    """The file of a package, with a hash of the lock."""
    start = re.sub(r"[-_.]+", "-", package.name).lower()
    for path in sorted(folder.glob("*.whl")):
        name, version = path.name.split("-")[:2]
        same = re.sub(r"[-_.]+", "-", name).lower() == start and version == package.version
        if same and f"sha256:{sha256(path)}" in package.hashes:
            return path
    raise LabkitError(f"pip left no wheel of {package.name} {package.version} in {folder}")


def sha256(path: Path) -> str:
    """Of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def build_labkit(source: Path, folder: Path) -> Path:
    """Build labkit's own wheel from its clone.

    Raises:
        CommandError: it cannot be built.
    """
    with tempfile.TemporaryDirectory() as place:
        argv = [sys.executable, "-m", "pip", "wheel", *_QUIET, "--quiet", "--no-deps"]
        argv += ["--no-build-isolation", "--no-index", "--wheel-dir", place, str(source)]
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "SOURCE_DATE_EPOCH": "315532800"},
        )
        built = sorted(Path(place).glob("labkit-*.whl"))
        if done.returncode != 0 or len(built) != 1:
            raise CommandError(
                argv[:5],
                returncode=done.returncode,
                stderr=done.stderr,
                fix="make install: the wheel needs hatchling",
            )
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / built[0].name
        shutil.move(built[0], target)
    return target
