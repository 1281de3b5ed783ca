"""The board as text for a terminal, as facts for programs, and as one HTML page."""

from collections.abc import Callable
from dataclasses import asdict
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from labkit.board.learners import GLYPHS
from labkit.board.standing import Cell, Pace, Room, age_text
from labkit.certs import write_private
from labkit.display import Table
from labkit.errors import StateError

MOST_FAILING = 8


def room_text(room: Room) -> str:
    """The board for a terminal; who needs help comes first."""
    parts = [f"{room.summary}   ({room.made.astimezone():%H:%M:%S})"]
    if room.rows:
        parts.append(str(_learners(room)))
    else:
        parts.append("Nobody has shared progress yet.")
    if room.failing:
        parts.append(f"What fails most\n{_failing(room)}")
    if any(pace.n for pace in room.paces):
        parts.append(f"Minutes per chapter, of those who passed it themselves\n{_paces(room)}")
    if room.exercises:
        parts.append(f"Exercises that were tried\n{_exercises(room)}")
    if room.unread:
        lines = "\n".join(f"! {item.name}: {item.reason}" for item in room.unread)
        parts.append(f"Could not be read\n{lines}")
    parts.append(_legend(room))
    return "\n\n".join(parts)


def room_facts(room: Room) -> dict[str, Any]:
    """The board for programs."""
    return {
        "schema": "labkit.board/1",
        "made": room.made.isoformat(),
        "learners": [
            {**{k: v for k, v in asdict(row).items() if k != "cells"}, "note": row.note}
            for row in room.rows
        ],
        "failing": [asdict(item) for item in room.failing],
        "chapters": [asdict(pace) for pace in room.paces],
        "exercises": [asdict(item) for item in room.exercises],
        "unread": [asdict(item) for item in room.unread],
    }


def _legend(room: Room) -> str:
    numbers = " ".join(pace.chapter for pace in room.paces)
    marks = ", ".join(f"{glyph} {state}" for state, glyph in GLYPHS.items())
    return f"chapters: {numbers}; {marks}, s solved by `labkit solve`"


def _learners(room: Room) -> Table:
    return Table.of(
        [
            {
                "learner": row.name,
                "at": row.at or "-",
                "state": f"{GLYPHS[row.state]} {row.state}",
                "chapters": "".join(mark(cell) for cell in row.cells),
                "exercises": row.exercises or "",
                "min": f"{row.spent_min:.0f}",
                "last change": age_text(row.age_s),
                "note": row.note,
                "failing": ", ".join(row.failing[:3]) + ("…" if len(row.failing) > 3 else ""),
            }
            for row in room.rows
        ]
    )


def mark(cell: Cell) -> str:
    """One character for one chapter."""
    return "s" if cell.solved else GLYPHS[cell.state]


def _failing(room: Room) -> Table:
    return Table.of(
        [
            {"check": it.id, "learners": it.learners, "must hold": it.title, "fix": it.fix}
            for it in room.failing[:MOST_FAILING]
        ]
    )


def _paces(room: Room) -> Table:
    return Table.of(
        [
            {
                "chapter": pace.chapter,
                "plan": _minutes(pace.plan_min),
                "median": _minutes(pace.median_min) + (" late" if pace.late else ""),
                "longest": _minutes(pace.longest_min),
                "n": pace.n,
                "there now": pace.here,
            }
            for pace in room.paces
        ]
    )


def _exercises(room: Room) -> Table:
    return Table.of(
        [
            {"exercise": it.id, "solved": it.solved, "open": it.open, "solved when": it.title}
            for it in room.exercises
        ]
    )


def _minutes(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def bar(pace: Pace, longest_min: float) -> tuple[float, float]:
    """Lengths of a chapter's bars, percent of the longest: planned, and taken."""
    scale = 100 / max(longest_min, 1.0)
    return (pace.plan_min or 0.0) * scale, (pace.median_min or 0.0) * scale


def room_page(room: Room, *, refresh_s: int | None = None, pause: str = "") -> str:
    """The board as one HTML page that loads nothing.

    Args:
        room: the board.
        refresh_s: the page asks for itself again after so many seconds; None: it does not.
        pause: link to the page that does not refresh (or does again); empty: no link.
    """
    from jinja2 import Environment, StrictUndefined

    text = (resources.files("labkit") / "data/board.html.j2").read_text()
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    longest = max((max(p.plan_min or 0, p.median_min or 0) for p in room.paces), default=1.0)
    helpers: dict[str, Callable[..., object]] = {"age": age_text, "mark": mark}
    return environment.from_string(text).render(
        room=room,
        glyphs=GLYPHS,
        bars={pace.chapter: bar(pace, longest) for pace in room.paces},
        refresh_s=refresh_s,
        pause=pause,
        labkit_version=metadata.version("labkit"),
        **helpers,
    )


def write_page(path: Path, page: str) -> None:
    """Write the page as a whole; a browser never sees half of it.

    Raises:
        StateError: it cannot be written.
    """
    try:
        write_private(path, page.encode())
    except OSError as error:
        raise StateError(
            f"{path} cannot be written",
            seen=error.strerror or str(error),
            fix="give --html a file in a folder that exists and can be written",
        ) from error
