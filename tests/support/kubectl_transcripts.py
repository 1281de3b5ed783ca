"""Transcripts of kubectl: reading one, making two comparable, and what may differ.

A transcript is Markdown with the files of a session and, in order, its commands with stdout, stderr
and exit code. Values that differ from run to run (ages, dates, uids, addresses, generated names,
ports) become placeholders on both sides; what depends on the moment at which a command looked
(pods that are just leaving, steps of a rollout) is taken out on both sides. Everything else is
compared line by line, and each line that differs needs a row in `differences.yaml`.
"""

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_SAFE = "[bcdfghjklmnpqrstvwxz2456789]"
_GENERATED = "web-svc|voting-lb|voting|web|kube-api-access"
_VOLATILE = [
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "<time>"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ [+-]\d{4}", "<time>"),
    (r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000", "<time>"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>"),
    (r'(resourceVersion\\*":? ?\\*")\d+', r"\1<version>"),
    (r'(resourceVersion: ")\d+', r"\1<version>"),
    (r"(Resource Version: +)\d+", r"\1<version>"),
    (r"\S+/(LIVE|MERGED)-[\w<>]+/", r"<tmpdir>/\1-<n>/"),
    (r"^(  (cpu|memory|pods|ephemeral-storage): +)\S+", r"\1<quantity>"),
    (r"((Machine ID|System UUID|Boot ID|Kernel Version|OS Image): +).+", r"\1<redacted>"),
    (r"(Container ID: +)\S+", r"\1<container>"),
    (r"(Image ID: +)\S+", r"\1<image>"),
    (r'(start exec ")[0-9a-f]+', r"\1<exec>"),
    (r"X509SHA256=[0-9a-f]+", "X509SHA256=<digest>"),
    (r'("(gitCommit|goVersion|platform)": ")[^"]+', r"\1<build>"),
    (rf"\b({_GENERATED})-{_SAFE}{{7,10}}-{_SAFE}{{5}}\b", r"\1-<pod>"),
    (rf"\b({_GENERATED})-{_SAFE}{{7,10}}\b", r"\1-<hash>"),
    (rf"\b({_GENERATED})-{_SAFE}{{5}}\b", r"\1-<id>"),
    (r"(pod-template-hash=)\w+", r"\1<hash>"),
    (r"\b10\.(?!96\.1\.1\b)\d+\.\d+\.\d+|\b192\.0\.2\.\d+", "<ip>"),
    (r"(<ip>(?::\w+)?)(?:,\1)+", r"\1"),
    (r"https://127\.0\.0\.1:\d+", "<server>"),
    (r"(\d+):3\d{4}/TCP", r"\1:<port>/TCP"),
    (r"(?<![\w.=-])\d+[smhd](\d+[smh])?( \(x\d+ over \w+\))?(?=\s|$)", "<age>"),
    (r"(?<=\S) {2,}", "  "),
    (r"\s+$", ""),
]


@dataclass(frozen=True)
class Command:
    """One command of a session, and how it was answered."""

    number: int
    title: str
    line: str
    stdout: str
    stderr: str
    code: int


@dataclass(frozen=True)
class Transcript:
    """A session: files by name, and the commands."""

    files: dict[str, str]
    commands: tuple[Command, ...]


def read(path: Path) -> Transcript:
    """Read a transcript."""
    text = path.read_text()
    head, _, body = text.partition("\n## Commands\n")
    files = dict(re.findall(r"^`(\S+)`\n```yaml\n(.*?)^```$", head, re.MULTILINE | re.DOTALL))
    parts = re.split(r"^### (\d+)\. (.*)\n", body, flags=re.MULTILINE)[1:]
    return Transcript(files, tuple(map(_command, parts[::3], parts[1::3], parts[2::3])))


def _command(number: str, title: str, text: str) -> Command:
    def block(start: str) -> str:
        found = re.search(rf"^{start}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        return found[1] if found else ""

    line = block("```console").removeprefix("$ ").rstrip("\n")
    code = re.search(r"^exit code: (\d+)$", text, re.MULTILINE)
    assert line, title
    assert code, title
    out, err = block("stdout:\n```text"), block("stderr:\n```text")
    return Command(int(number), title, line, out, err, int(code[1]))


def comparable(command: Command, *, node: str) -> list[str]:
    """The answer as lines without volatile values.

    Args:
        command: with its answer.
        node: the name of the cluster's node.
    """
    lines = [f"exit code {command.code}"]
    for name, text in (("", command.stdout), ("stderr: ", command.stderr)):
        found = [_steady(line, node) for line in text.rstrip().splitlines()]
        for applies, change in _OF_THE_MOMENT:
            if re.search(applies, command.line):
                found = change(found)
        lines += [f"{name}{line}" for line in _sorted_runs(found)]
    return lines


def _steady(line: str, node: str) -> str:
    line = re.sub(rf"(?<![\w-]){re.escape(node)}(?![\w-])", "<node>", line)
    for pattern, placeholder in _VOLATILE:
        line = re.sub(pattern, placeholder, line)
    return line


def _sorted_runs(lines: list[str]) -> list[str]:
    """Neighbours with generated names are in the order of what was generated: sort them."""
    generated = re.compile(r"^\S*-<(pod|hash|id)>")
    result: list[str] = []
    run: list[str] = []
    for line in [*lines, ""]:
        if generated.search(line):
            run.append(line)
            continue
        result += [*sorted(run), line]
        run = []
    return result[:-1]


def _without(pattern: str) -> Callable[[list[str]], list[str]]:
    return lambda lines: [line for line in lines if not re.search(pattern, line)]


def _without_repetition(lines: list[str]) -> list[str]:
    return [line for before, line in zip(["", *lines], lines, strict=False) if line != before]


def _shapes_of_events(lines: list[str]) -> list[str]:
    """How often and in which order ReplicaSets were scaled depends on how fast pods were."""
    similar = [line.replace("(combined from similar events): ", "") for line in lines]
    return sorted({re.sub(r"from \d+ to \d+", "from <n> to <n>", line) for line in similar})


_LEAVING = r"<pod>.* (Terminating|Completed) "
_STEP = (
    r"^Waiting for deployment \"\w+\" rollout to finish: "
    r"(\d+ of \d+ updated replicas are available"
    r"|\d+ out of \d+ new replicas have been updated"
    r"|\d+ old replicas are pending termination)\.\.\.$"
)
_OF_THE_MOMENT: Sequence[tuple[str, Callable[[list[str]], list[str]]]] = (
    (r"get (pods|all)", _without(_LEAVING)),
    (r" -w\b", _without_repetition),
    (r"rollout status", _without(_STEP)),
    (r"kubectl (get )?events", _shapes_of_events),
    (r"port-forward", _without(r"\[::1\]")),
)


@dataclass
class Difference:
    """A declared difference: which commands, why, and exactly what."""

    what: str
    reason: str
    commands: dict[int, str]
    """By number, as they are typed."""
    patterns: tuple[str, ...]
    """Of whole lines: `- …` that only the transcript has, `+ …` that only the cluster has."""
    seen: set[int | str] = field(default_factory=set)
    """The commands and patterns for which it occurred."""

    def covers(self, number: int, line: str) -> bool:
        """Whether a line of a command's comparison is declared here; remembers that it is."""
        if number not in self.commands:
            return False
        found = {p for p in self.patterns if p[0] == line[0] and re.fullmatch(p[2:], line[2:])}
        if found:
            self.seen |= {number, *found}
        return bool(found)

    def missing(self) -> list[str]:
        """What is declared and did not occur."""
        unseen = [str(item) for item in (*self.commands, *self.patterns) if item not in self.seen]
        return [f"declared, but it does not occur any more: {self.what}: {it}" for it in unseen]


def read_differences(path: Path) -> list[Difference]:
    """Read the table of declared differences."""
    rows: list[dict[str, Any]] = yaml.safe_load(path.read_text())
    return [
        Difference(
            row["what"],
            " ".join(row["reason"].split()),
            row["commands"],
            (
                *(f"- {line}" for line in row.get("recorded", ())),
                *(f"+ {line}" for line in row.get("here", ())),
            ),
        )
        for row in rows
    ]


def undeclared(
    number: int, recorded: list[str], here: list[str], declared: Sequence[Difference]
) -> list[str]:
    """The lines of a command's answers that differ without being declared."""
    changes = [line for line in difflib.ndiff(recorded, here) if line[0] in "+-"]
    return [line for line in changes if not [True for row in declared if row.covers(number, line)]]
