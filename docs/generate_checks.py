# ruff: noqa: INP001 - a script, no package
"""Writes docs/checks.md from the checks themselves: `python docs/generate_checks.py`.

tests/test_docs.py compares the file with what this prints.
"""

from pathlib import Path

from labkit.chapters import CHAPTERS
from labkit.lab import all_checks

HEAD = """# Checks

`labkit check` runs them; `labkit check 04` those of one chapter. A check looks and answers pass,
fail or warn, with what it saw; when it failed, with a fix. It repairs nothing. In a headless run a
failed check ends the notebook. This page is made by `docs/generate_checks.py`.
"""


def render() -> str:
    """The page."""
    titles = {chapter.CHECKS[0].chapter: _title(chapter.__doc__ or "") for chapter in CHAPTERS}
    lines = [HEAD]
    shown = ""
    for check in all_checks():
        if check.chapter != shown:
            shown = check.chapter
            lines += ["", f"## {titles[shown]}", ""]
            lines += ["| Id | What must hold | Clusters | What it proves |", "|---|---|---|---|"]
        where = ", ".join(check.clusters) or "-"
        lines.append(f"| `{check.id}` | {check.title} | {where} | {check.proves} |")
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def _title(docstring: str) -> str:
    return docstring.splitlines()[0].rstrip(".")


if __name__ == "__main__":
    Path(__file__).with_name("checks.md").write_text(render())
