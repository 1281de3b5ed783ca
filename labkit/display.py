"""What a step shows: a table, the equivalent shell command, a note. Text and HTML say the same.

Values render themselves (`_repr_html_` in a notebook, `str` on a terminal); nothing here prints.
"""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

_CELL = "text-align:left;padding:2px 12px 2px 0;vertical-align:top;font-family:monospace"
SHELL_STYLE = (
    "background:#f6f8fa;color:#24292f;border-left:3px solid #57606a;padding:6px 10px;"
    "margin:6px 0;white-space:pre-wrap"
)
"""How a command to paste looks in a notebook."""


class Printer(Protocol):
    """What IPython hands to `_repr_pretty_`."""

    def text(self, text: str) -> None:
        """Write text."""


class Shown:
    """A value whose plain text in a notebook is what it prints as, not its fields."""

    def __init_subclass__(cls) -> None:
        # IPython asks class by class and would find a dataclass's own __repr__ first.
        cls._repr_pretty_ = Shown._repr_pretty_  # type: ignore[method-assign]

    def _repr_pretty_(self, printer: Printer, cycle: bool) -> None:  # noqa: FBT001 - IPython's
        del cycle
        printer.text(str(self))


def _width(text: str) -> int:
    """Columns that a text takes on a terminal: two for a character of Chinese or Japanese."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


@dataclass(frozen=True)
class Table(Shown):
    """Rows under columns.

    Attributes:
        columns: headings.
        rows: cells as text, in the order of the columns.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, object]]) -> "Table":
        """A table of mappings; the first one's keys are the columns."""
        columns = tuple(rows[0]) if rows else ()
        body = tuple(tuple(str(row.get(name, "")) for name in columns) for row in rows)
        return cls(columns, body)

    def __str__(self) -> str:
        lines = [self.columns, *self.rows]
        if not self.columns:
            return ""
        widths = [max(_width(line[i]) for line in lines) for i in range(len(self.columns))]
        return "\n".join(
            "   ".join(
                cell + " " * (width - _width(cell))
                for cell, width in zip(line, widths, strict=True)
            ).rstrip()
            for line in lines
        )

    def _repr_html_(self) -> str:
        head = "".join(f"<th style='{_CELL}'>{html.escape(name)}</th>" for name in self.columns)
        body = "".join(
            "<tr>"
            + "".join(f"<td style='{_CELL}'>{html.escape(cell)}</td>" for cell in row)
            + "</tr>"
            for row in self.rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


@dataclass(frozen=True)
class Step(Shown):
    """What a chapter's step did.

    Attributes:
        title: one sentence, in the past tense.
        by_hand: what one would type to do the same by hand.
        table: what there is now.
        notes: what to notice.
        facts: values for programs; what later steps and tests read.
    """

    title: str
    by_hand: tuple[str, ...] = ()
    table: Table | None = None
    notes: tuple[str, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        parts = [self.title]
        if self.by_hand:
            parts.append("\n".join(f"$ {line}" for line in self.by_hand))
        if self.table is not None and self.table.rows:
            parts.append(str(self.table))
        parts += self.notes
        return "\n\n".join(parts)

    def _repr_html_(self) -> str:
        parts = [f"<p><b>{html.escape(self.title)}</b></p>"]
        if self.by_hand:
            lines = html.escape("\n".join(f"$ {line}" for line in self.by_hand))
            parts.append(f"<div>By hand:</div><pre style='{SHELL_STYLE}'>{lines}</pre>")
        if self.table is not None and self.table.rows:
            parts.append(self.table._repr_html_())
        parts += [f"<p>{html.escape(note)}</p>" for note in self.notes]
        return "".join(parts)
