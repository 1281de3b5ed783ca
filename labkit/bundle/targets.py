"""The machines a bundle may be for: wheel tags for pip, and environments for markers."""

import platform
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from labkit.errors import InputError

OLDEST_PYTHON = (3, 11)
_GLIBC = 31
"""Envoy's wheel needs glibc 2.31; wheels for older ones fit as well."""
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_LAST_PATCH = 99


@dataclass(frozen=True)
class Target:
    """One kind of machine.

    Attributes:
        platform: as `linux-x86_64`.
        python: as `3.12`.
    """

    platform: str
    python: str

    @property
    def name(self) -> str:
        """As in names of files."""
        return f"{self.platform}-py{self.python}"

    def pip_options(self, environment: dict[str, str]) -> list[str]:
        """What makes pip choose wheels for this machine instead of the one it runs on."""
        version = self.python.replace(".", "")
        full = environment["python_full_version"]
        options = ["--python-version", full, "--implementation", "cp"]
        for abi in (f"cp{version}", "abi3", "none"):
            options += ["--abi", abi]
        for tag in PLATFORMS[self.platform].tags:
            options += ["--platform", tag]
        return options

    def environments(self) -> list[dict[str, str]]:
        """For markers: of the first and of a last patch release, which may differ."""
        facts = PLATFORMS[self.platform].facts
        return [
            {
                **facts,
                "python_version": self.python,
                "python_full_version": f"{self.python}.{patch}",
                "implementation_version": f"{self.python}.{patch}",
                "implementation_name": "cpython",
                "platform_python_implementation": "CPython",
                "os_name": "posix",
                "platform_release": "",
                "platform_version": "",
                "extra": "",
            }
            for patch in (0, _LAST_PATCH)
        ]


@dataclass(frozen=True)
class _Platform:
    tags: tuple[str, ...]
    facts: dict[str, str]


def _linux(machine: str) -> _Platform:
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(_GLIBC, 4, -1)]
    tags += [f"{name}_{machine}" for name in _LEGACY.values()]
    facts = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": machine}
    return _Platform((*tags, f"linux_{machine}"), facts)


PLATFORMS = {
    "linux-x86_64": _linux("x86_64"),
    "linux-aarch64": _linux("aarch64"),
    "macos-arm64": _Platform(
        ("macosx_15_0_arm64",),
        {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"},
    ),
}
"""The platforms of Envoy's wheel."""


def here() -> Target:
    """This machine.

    Raises:
        InputError: labkit does not run on such a one.
    """
    systems = {"Linux": "linux", "Darwin": "macos"}
    name = f"{systems.get(platform.system(), platform.system())}-{platform.machine()}"
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return choose([name], [version])[0]


def choose(platforms: Sequence[str], pythons: Sequence[str]) -> list[Target]:
    """Every platform with every Python.

    Raises:
        InputError: some are not supported; all problems together.
    """
    problems = [
        f"--platform {name}: choose among {', '.join(PLATFORMS)}"
        for name in platforms
        if name not in PLATFORMS
    ]
    problems += [
        f"--python {version}: a version as 3.12, from {OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]} on"
        for version in pythons
        if not _is_python(version)
    ]
    if problems:
        raise InputError("No bundle for such a machine", problems=problems)
    return [Target(name, version) for name in dict.fromkeys(platforms) for version in pythons]


def _is_python(version: str) -> bool:
    found = re.fullmatch(r"(\d)\.(\d{1,2})", version)
    return found is not None and (int(found[1]), int(found[2])) >= OLDEST_PYTHON
