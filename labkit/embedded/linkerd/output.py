"""What the command writes: manifests and results on stdout, everything else on stderr.

Colour and glyphs follow Linkerd's: `√ ‼ ×`, coloured only on a terminal. Deliberately absent: any
logging; the command speaks only through these functions.
"""

import json
import os
import sys
from collections.abc import Sequence
from typing import Any, TextIO

SUCCESS, WARNING, FAILURE = "√", "‼", "×"
_COLOURS = {SUCCESS: "32", WARNING: "33", FAILURE: "31"}


def out(text: str) -> None:
    """Write a line (or lines) to stdout."""
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")


def err(text: str) -> None:
    """Write a line (or lines) to stderr."""
    sys.stderr.write(text if text.endswith("\n") else f"{text}\n")


def out_json(value: Any) -> None:
    """Write a value as JSON, indented by two."""
    out(json.dumps(value, indent=2, ensure_ascii=False))


def glyph(symbol: str, stream: TextIO | None = None) -> str:
    """The status glyph, coloured when the stream is a terminal and NO_COLOR is not set."""
    stream = stream or sys.stdout
    if not stream.isatty() or os.environ.get("NO_COLOR"):
        return symbol
    return f"\033[{_COLOURS[symbol]};1m{symbol}\033[0m"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: int = 0) -> str:
    """A table with columns padded to the widest cell and three spaces between them.

    Args:
        header: column titles.
        rows: cells as text.
        right: how many columns at the end are aligned right.
    """
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    first_right = len(header) - right
    return "\n".join(
        "   ".join(
            cell.rjust(width) if index >= first_right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
