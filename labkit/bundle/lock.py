"""Reads the hashed lock file, and takes from it what one kind of machine installs."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement

from labkit.bundle.targets import Target
from labkit.errors import InputError


@dataclass(frozen=True)
class Pinned:
    """One package of the lock.

    Attributes:
        name: of the package.
        version: the only one that fits.
        marker: on which machines, None: on all.
        hashes: `sha256:…` of its files.
    """

    name: str
    version: str
    marker: Marker | None
    hashes: tuple[str, ...]

    def line(self, *, marked: bool) -> str:
        """As in a requirements file."""
        marker = f" ; {self.marker}" if marked and self.marker is not None else ""
        hashes = "".join(f" \\\n    --hash={digest}" for digest in self.hashes)
        return f"{self.name}=={self.version}{marker}{hashes}\n"

    def fits(self, environment: dict[str, str]) -> bool:
        """Whether a machine installs it."""
        return self.marker is None or self.marker.evaluate(dict(environment))


def read_lock(path: Path) -> list[Pinned]:
    """The packages of a lock file.

    Raises:
        InputError: it cannot be read, or a package has no version or no hash; all together.
    """
    try:
        text = path.read_text()
    except (OSError, ValueError) as error:
        raise InputError(f"The lock file {path} cannot be read", problems=[str(error)]) from error
    logical = re.sub(r"\\\n\s*", " ", text)
    lines = [line for line in logical.splitlines() if line.strip() and line.strip()[0] != "#"]
    pinned, problems = [], []
    for line in lines:
        try:
            pinned.append(_pinned(line))
        except (InvalidRequirement, ValueError) as error:
            problems.append(f"{line[:60].strip()}: {str(error).splitlines()[0]}")
    if problems or not pinned:
        raise InputError(
            f"The lock file {path} does not fit", problems=problems or ["it names no package"]
        )
    return pinned


def _pinned(line: str) -> Pinned:
    hashes = tuple(re.findall(r"--hash=(sha256:[0-9a-f]{64})\b", line))
    requirement = Requirement(line.partition(" --hash=")[0].strip())
    versions = [item.version for item in requirement.specifier if item.operator == "=="]
    if len(versions) != 1 or len(requirement.specifier) != 1:
        raise ValueError("no single version with ==")
    if not hashes:
        raise ValueError("no hash")
    return Pinned(requirement.name, versions[0], requirement.marker, hashes)


def for_target(
    packages: Sequence[Pinned], target: Target
) -> list[tuple[dict[str, str], list[Pinned]]]:
    """What a machine installs, by patch release of its Python.

    Returns:
        Environments with the packages that are new in them; each has a package once.
    """
    seen: set[tuple[str, str]] = set()
    groups = []
    for environment in target.environments():
        group = [
            package
            for package in packages
            if package.fits(environment) and (package.name, package.version) not in seen
        ]
        seen.update((package.name, package.version) for package in group)
        groups.append((environment, group))
    return [(environment, group) for environment, group in groups if group]
