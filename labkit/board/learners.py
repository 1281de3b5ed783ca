"""One learner's progress as text, for the learner."""

from labkit.board.plan import read_plan
from labkit.display import Table
from labkit.learner import ChapterRecord, LearnerRecord, Sharing

GLYPHS = {"not started": "·", "running": "…", "passed": "✔", "failed": "✘"}


def progress_text(record: LearnerRecord, sharing: Sharing) -> str:
    """Chapters with state and time against the plan, and who else sees it."""
    plan = read_plan()
    numbers = sorted({*plan, *record.chapters})
    rows = [_row(number, record.chapter(number), plan.get(number)) for number in numbers]
    passed = sum(chapter.state == "passed" for chapter in record.chapters.values())
    head = f"{record.shown_name}: {passed} of {len(numbers)} chapters passed"
    if record.at is not None:
        head += f", at chapter {record.at}"
    if record.exercises:
        solved = sum(record.exercises.values())
        head += f"; {solved} exercise{'' if solved == 1 else 's'} solved"
        if still := [name for name, done in record.exercises.items() if not done]:
            head += f", tried and open: {', '.join(still)}"
    if not record.learner:
        head += "\n(no name yet: `labkit progress --name 'Your Name'`)"
    return f"{head}\n\n{Table.of(rows)}\n\n{_shared(sharing)}"


def _row(number: str, chapter: ChapterRecord, planned_min: float | None) -> dict[str, str]:
    plan = "" if planned_min is None else f"{planned_min:.0f} min"
    return {
        "chapter": number,
        "state": f"{GLYPHS[chapter.state]} {chapter.state}" + (" (solved)" * chapter.solved),
        "time": f"{chapter.spent_s / 60:.0f} min" if chapter.started else "",
        "plan": plan,
        "last passed": f"{chapter.passed.astimezone():%H:%M}" if chapter.passed else "",
        "failing checks": ", ".join(chapter.failing),
    }


def _shared(sharing: Sharing) -> str:
    if not sharing.on:
        return "Shared with nobody; `labkit progress --join URL` or `--share FOLDER` would."
    places = [place for place in (sharing.url, sharing.folder) if place]
    text = f"Shared with {' and '.join(places)}"
    return f"{text}; not reached last time: {sharing.away}" if sharing.away else f"{text}."
