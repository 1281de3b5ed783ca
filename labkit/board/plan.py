"""The plan of a workshop: minutes of each chapter, from `labkit/data/workshop-plan.yaml`."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import yaml

from labkit.errors import InputError

LONGEST_MIN = 24 * 60


def read_plan(path: Path | None = None) -> Mapping[str, float]:
    """Chapter number → minutes.

    Args:
        path: another plan; None is the one that labkit brings.

    Raises:
        InputError: it cannot be read, or does not fit; all problems together.
    """
    where = str(path or "the plan of labkit")
    try:
        text = (
            path.read_text()
            if path
            else (resources.files("labkit") / "data/workshop-plan.yaml").read_text()
        )
        content = yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(
            f"{where} cannot be read", problems=[str(error).replace("\n", " ")[:200]]
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("minutes"), dict):
        raise InputError(
            f"{where} is no plan", problems=['a mapping `minutes:` is missing, as  "03": 15']
        )
    minutes = content["minutes"]
    problems = [f"unknown key {key}" for key in content if key != "minutes"]
    problems += [
        f"minutes.{chapter}: {value!r}; a chapter is two digits in quotes, its minutes a number "
        f"from 1 to {LONGEST_MIN}"
        for chapter, value in minutes.items()
        if not _fits(chapter, value)
    ]
    if problems:
        raise InputError(f"{where} does not fit", problems=problems)
    return {chapter: float(value) for chapter, value in sorted(minutes.items())}


def _fits(chapter: object, value: object) -> bool:
    number = isinstance(chapter, str) and len(chapter) == 2 and chapter.isdecimal()
    minutes = isinstance(value, int | float) and not isinstance(value, bool)
    return number and minutes and 1 <= float(value) <= LONGEST_MIN  # type: ignore[arg-type]
