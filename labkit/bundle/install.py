"""Installs labkit from a bundle, without a network: python3 install.py [FOLDER].

Makes a virtual environment in FOLDER (default `.venv` beside this file) from the wheels of the
bundle. Every file is checked against the manifest first, and pip checks every wheel against the
hashes of the lock. It may be run again after it was interrupted. Standard library only: labkit is
not there yet, and this Python may be too old for it, which must be told and not be a traceback.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
SYSTEMS = {"Linux": "linux", "Darwin": "macos"}
CHUNK = 1 << 20


class CannotInstall(Exception):  # noqa: N818 - reads as what happened
    """Why not, and what to do."""


def main() -> int:
    """Install; the exit code: 0 done, 1 it failed, 2 the input does not fit."""
    given = sys.argv[1:]
    if len(given) > 1 or any(word.startswith("-") for word in given):
        sys.stdout.write("usage: python3 install.py [FOLDER OF THE VIRTUAL ENVIRONMENT]\n")
        return 0 if given in (["-h"], ["--help"]) else 2
    root = Path(__file__).resolve().parent
    target = Path(given[0]) if given else root / ".venv"
    try:
        manifest = read_manifest(root)
        requirements = requirements_for_here(manifest)
        check_files(root, manifest["files"])
        install(root, target, requirements)
    except CannotInstall as error:
        sys.stderr.write(f"labkit cannot be installed: {error}\n")
        return 1
    command = target / "bin" / "labkit"
    sys.stdout.write(
        f"\nlabkit {manifest['labkit']} is installed. Is everything there, without a network?\n"
        f"    {command} doctor --offline\n"
        f"Then, in JupyterLab:\n"
        f"    {command} init workshop && {command} jupyter workshop\n"
    )
    return 0


def read_manifest(root: Path) -> dict[str, Any]:
    """What the bundle holds."""
    try:
        content: dict[str, Any] = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CannotInstall(
            f"{MANIFEST} cannot be read ({error}). Unpack the whole archive again"
        ) from error
    return content


def requirements_for_here(manifest: dict[str, Any]) -> str:
    """The list of packages for this machine and this Python."""
    system = SYSTEMS.get(platform.system(), platform.system())
    name, version = f"{system}-{platform.machine()}", ".".join(map(str, sys.version_info[:2]))
    for target in manifest["targets"]:
        if (target["platform"], target["python"]) == (name, version):
            return str(target["requirements"])
    known = ", ".join(f"{t['platform']} with Python {t['python']}" for t in manifest["targets"])
    raise CannotInstall(
        f"this is {name} with Python {version}, and the bundle is for {known}. Start install.py "
        f"with such a Python, or have another bundle made: labkit bundle --platform {name} "
        f"--python {version}"
    )


def check_files(root: Path, files: dict[str, dict[str, Any]]) -> None:
    """Every file is there and is what was packed."""
    sys.stdout.write(f"checking {len(files)} files\n")
    wrong = []
    for name, known in sorted(files.items()):
        path = root / name
        if not path.is_file():
            wrong.append(f"{name} is missing")
        elif digest(path) != known["sha256"]:
            wrong.append(f"{name} is damaged")
    if wrong:
        raise CannotInstall(
            f"{len(wrong)} of {len(files)} files are not as they were packed: "
            f"{'; '.join(wrong[:5])}. Copy and unpack the archive again"
        )


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            found.update(chunk)
    return found.hexdigest()


def install(root: Path, target: Path, requirements: str) -> None:
    """Make the environment and let pip fill it, from the bundle and from nowhere else."""
    sys.stdout.write(f"making {target}\n")
    run(
        [sys.executable, "-m", "venv", str(target)],
        "on Debian and Ubuntu the package python3-venv is needed",
    )
    sys.stdout.write("installing the wheels: up to 900 MB on disk, one to three minutes\n")
    sys.stdout.flush()
    argv = [str(target / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-index"]
    argv += ["--no-deps", "--no-cache-dir", "--disable-pip-version-check", "--require-hashes"]
    argv += ["--find-links", str(root / "wheels"), "-r", str(root / requirements)]
    run(argv, "is there room on the disk? The same command goes on")


def run(argv: list[str], advice: str) -> None:
    """Run a command that does not see this machine's settings of pip."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PIP_")}
    environment.update(PIP_CONFIG_FILE=os.devnull, PIP_NO_INDEX="1")
    code = subprocess.call(argv, env=environment)
    if code != 0:
        raise CannotInstall(f"`{' '.join(argv[1:4])} …` ended with exit code {code}: {advice}")


if __name__ == "__main__":
    sys.exit(main())
