"""Patterns of custom resources' schemas, matched in time that grows with the text only.

Kubernetes matches them with RE2. Python's engine may need time exponential in the text, so it
is asked for short texts and simple patterns only; the others go to the RE2 that comes with pyarrow.
"""

import functools
import re
import warnings
from typing import Any

_PATTERN = 1000
_TEXT = 256
"""Characters of a pattern and of a text up to which Python's engine may be asked."""

_CHOICES = 6
_LOOPS = 2
"""Choices (`?`, `|`) and repetitions in a pattern, up to which 256 characters take no time."""

_REPEATS = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")


def matches(pattern: str, text: str) -> bool:
    """Whether the text has a part that the pattern describes; true when it is no pattern."""
    known = _compiled(pattern) if len(text) <= _TEXT else None
    if known is not None:
        return known.search(text) is not None
    return _re2(pattern, text)


GO_WORDS = {
    "missing )": "missing closing )",
    "missing ]": "missing closing ]",
    "no argument for repetition operator": "missing argument to repetition operator",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid perl operator": "invalid or unsupported Perl syntax",
}
"""What Go's parser says where that of RE2 in C++ has other words."""


def problem(pattern: str) -> str:
    """Why a text is no pattern, in the words of Go's parser; "" when it is one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
        if not re.search(r"\(\?[=!<>(]|\\[1-9]", pattern):
            return ""  # both engines know what is left: RE2 need not be loaded for nearly all
    except (re.error, RecursionError, OverflowError):
        pass
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.match_substring_regex(pa.scalar(""), pattern)
    except (pa.ArrowException, UnicodeEncodeError) as error:
        text = str(error).rpartition("Invalid regular expression: ")[2]
        reason, _, part = text.partition(": ")
        return f"error parsing regexp: {GO_WORDS.get(reason, reason)}: `{part}`"
    return ""


@functools.lru_cache(1000)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """The pattern for Python's engine, None when that could take long or does not know it."""
    if len(pattern) > _PATTERN:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what Python only warns of, RE2 reads differently
            tree = re._parser.parse(pattern)  # type: ignore[attr-defined]  # noqa: SLF001
            choices, loops = _ways(tree)
            return re.compile(pattern) if choices <= _CHOICES and loops <= _LOOPS else None
    except (re.error, RecursionError, OverflowError, FutureWarning):
        return None


def _ways(tree: Any) -> tuple[int, int]:
    """How many choices and repetitions a pattern has; too many when one lies in a repetition."""
    choices = loops = 0
    for name, argument in tree:
        inner = [_ways(part) for part in _parts(argument)]
        within = sum(c for c, _ in inner), sum(n for _, n in inner)
        if str(name) in _REPEATS:
            least, most = argument[0], argument[1]
            if most > 1 and any(within):
                return _CHOICES + 1, _LOOPS + 1
            loops += most > 1 and most != least
            choices += most == 1 and most != least
        choices += within[0] + (str(name) == "BRANCH")
        loops += within[1]
    return choices, loops


def _parts(argument: Any) -> list[Any]:
    """The parsed patterns inside of an argument of a node."""
    if isinstance(argument, re._parser.SubPattern):  # type: ignore[attr-defined]  # noqa: SLF001
        return [argument]
    if isinstance(argument, list | tuple):
        return [part for item in argument for part in _parts(item)]
    return []


def _re2(pattern: str, text: str) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return bool(pc.match_substring_regex(pa.scalar(text), pattern).as_py())
    except (pa.ArrowException, UnicodeEncodeError):
        return True
