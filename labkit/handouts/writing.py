"""`labkit init`: notebooks, params and a page to start from, in a folder of the learner's own.

Nothing that the learner has changed is overwritten unless that is asked for, and then it is kept
beside. What was written is listed with its digest in `.labkit.json`: so a change is known.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml

from labkit.errors import InputError
from labkit.handouts import cells
from labkit.handouts.materials import FIRST, NOTEBOOKS, PARAMS

Edition = Literal["learner", "instructor"]

RECORD = ".labkit.json"
OWN_PARAMS = Path("params") / "lab.yaml"
START = Path("START.md")
START_NOTEBOOK = Path("notebooks") / FIRST
_SOURCES = " (cells)"
"""Stands behind a notebook's name in the record: the digest of its cells without their output."""


@dataclass(frozen=True)
class Handout:
    """What `init` did.

    Attributes:
        folder: where.
        edition: for whom.
        written: names of the files that are new or other than before.
        kept: how many files were as they must be.
        backup: where the files are that were changed and have been replaced; None without any.
    """

    folder: Path
    edition: Edition
    written: tuple[str, ...]
    kept: int
    backup: Path | None


def hand_out(
    folder: Path, *, edition: Edition, values: Mapping[str, Any], force: bool = False
) -> Handout:
    """Write the notebooks of an edition, params files and a page to start from.

    Args:
        folder: may exist; files of other names in it are left alone.
        edition: the learner's has no solutions.
        values: parameters that were given; they become the notebooks' own.
        force: replace changed files, and keep them in `backup/<time>`.

    Raises:
        InputError: the folder cannot be used, or it has changed files; all are named, and nothing
            was written.
    """
    wanted = _contents(edition, values)
    record = _read_record(folder)
    _require_folder(folder)
    stale = {name: text for name, text in wanted.items() if _digest_of(folder / name) != _sha(text)}
    changed = {
        name: how for name in stale if (how := _change(folder / name, name, record)) is not None
    }
    if changed and not force:
        raise InputError(
            f"{folder} has files that were changed since they were handed out",
            problems=[f"{name}: {how}" for name, how in changed.items()],
            fix="take another folder, or --force: it keeps them in backup/ and writes new ones",
        )
    backup = _back_up(folder, changed) if changed else None
    for name, text in stale.items():
        _write(folder / name, text)
    _write(folder / RECORD, json.dumps(_record(edition, wanted), indent=1) + "\n")
    return Handout(folder, edition, tuple(stale), len(wanted) - len(stale), backup)


def _contents(edition: Edition, values: Mapping[str, Any]) -> dict[str, str]:
    """Name → text of every file."""
    found = {}
    for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")):
        notebook = cells.parameterised(cells.cleared(cells.read(path)), values)
        if edition == "learner":
            notebook = cells.without_solutions(notebook)
        found[f"notebooks/{path.name}"] = cells.text_of(notebook)
    for path in sorted(PARAMS.iterdir()):
        if path.suffix in (".yaml", ".json"):
            found[f"params/{path.name}"] = path.read_text()
    given = {"lab_name": "demo", **values}
    head = "# What this folder's lab is made with; `labkit config --params params/lab.yaml`\n"
    found[str(OWN_PARAMS)] = head + yaml.safe_dump(given, sort_keys=False, allow_unicode=True)
    found[str(START)] = (files("labkit") / "data" / "start.md").read_text()
    return found


def _require_folder(folder: Path) -> None:
    """Make it.

    Raises:
        InputError: it is a file, or cannot be written.
    """
    try:
        for inner in (folder, folder / "notebooks", folder / "params"):
            inner.mkdir(parents=True, exist_ok=True)
            if not os.access(inner, os.W_OK):
                raise PermissionError(13, "no permission to write")
    except OSError as error:
        raise InputError(
            "The notebooks cannot be written",
            problems=[f"{folder}: {error.strerror}"],
            fix="choose another folder",
        ) from error


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _digest_of(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return None


def _sources(text: str) -> str:
    """Digest of the cells' sources of a notebook, empty when it is none."""
    try:
        return _sha("\0".join(cells.source_of(cell) for cell in json.loads(text)["cells"]))
    except (ValueError, LookupError, TypeError):
        return ""


def _record(edition: Edition, wanted: Mapping[str, str]) -> dict[str, Any]:
    digests = {name: _sha(text) for name, text in wanted.items()}
    digests |= {
        name + _SOURCES: _sources(text) for name, text in wanted.items() if name.endswith(".ipynb")
    }
    return {"labkit": version("labkit"), "edition": edition, "files": digests}


def _read_record(folder: Path) -> dict[str, str]:
    try:
        found = json.loads((folder / RECORD).read_text())["files"]
    except (OSError, ValueError, LookupError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _change(path: Path, name: str, record: Mapping[str, str]) -> str | None:
    """What the learner did to a file; None when it is as it was handed out, or not there."""
    digest = _digest_of(path)
    if digest is None or digest == record.get(name):
        return None
    if name not in record:
        return "it was there before"
    sources = _sources(path.read_text(errors="replace"))
    if sources and sources == record.get(name + _SOURCES):
        return "it was run, its outputs would be lost"
    return "it was edited"


def _back_up(folder: Path, names: Mapping[str, str]) -> Path:
    backup = folder / "backup" / f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
    for name in names:
        target = backup / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / name, target)
    return backup


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text)
    part.replace(path)
