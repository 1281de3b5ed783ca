# ruff: noqa: INP001 - a script, no package
"""Writes docs/checks.md from the checks themselves: `python docs/generate_checks.py`.

tests/test_docs.py compares the file with what this prints.
"""

import re
from pathlib import Path

from labkit.chapters import CHAPTERS
from labkit.checks import Check, Reason
from labkit.inventory import all_checks

HEAD = """# Checks

`labkit check` runs them; `labkit check 04` those of one chapter; `labkit check --list` shows them
without running any. A check looks and answers pass, fail or warn, with what it saw; when it does not
hold, with a fix that can be pasted into a shell (after `eval "$(labkit env)"`, which puts `kubectl`
and `linkerd` first on PATH). It repairs nothing. In a headless run a failed check ends the notebook.

**Waiting.** What may still come up by itself (marked `…` below) is looked at again until it holds or
the check's time is over; `--skip-wait` looks once. A check that does not answer within its time is
left, and fails with that reason. `{…}` stands for what was observed. Beside the reasons below, an
error on the way (no clusters yet, an API server that does not answer) is a reason with its own fix.

Exit codes: 0 all hold, 1 one fails, 2 none ran, 3 warnings only. Each check has a test in which it
fails on a real lab; what it then shows is kept in `tests/golden/checks`. This page is made by
`docs/generate_checks.py`.
"""

_PLACE = re.compile(r"\{[^{}]+\}")


def render() -> str:
    """The page."""
    titles = {chapter.CHECKS[0].chapter: _title(chapter.__doc__ or "") for chapter in CHAPTERS}
    lines = [HEAD]
    shown = ""
    checks = all_checks()
    for check in checks:
        if check.chapter != shown:
            shown = check.chapter
            lines += ["", f"## {titles[shown]}", ""]
            lines += ["| Id | What must hold | Clusters | What it proves | Time |"]
            lines += ["|---|---|---|---|---|"]
            lines += [_row(item) for item in checks if item.chapter == shown]
            lines += ["", "| Id | Why it may not hold | Fix |", "|---|---|---|"]
        lines += [_reason(check, reason) for reason in check.reasons]
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def _row(check: Check) -> str:
    where = ", ".join(check.clusters) or "-"
    limit = f"{check.limit_s:g} s"
    return f"| `{check.id}` | {check.title} | {where} | {check.proves} | {limit} |"


def _reason(check: Check, reason: Reason) -> str:
    mark = {"warn": "! "}.get(reason.status, "")
    text = _PLACE.sub("{…}", reason.text)
    fix = _PLACE.sub("{…}", reason.fix or check.fix)
    coming = " …" if reason.coming else ""
    return f"| `{check.id}` | {mark}{_cell(text)}{coming} | `{_cell(fix)}` |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _title(docstring: str) -> str:
    return docstring.splitlines()[0].rstrip(".")


if __name__ == "__main__":
    Path(__file__).with_name("checks.md").write_text(render())
