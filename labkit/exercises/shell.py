"""A shell line from a notebook, as typed after `eval "$(labkit env)"`.

For learners who look for themselves. A line that fails shows its exit code and what it said, not a
traceback: failing is a part of looking.
"""

import html
from dataclasses import dataclass

from labkit.clients.command import run
from labkit.context import LabContext
from labkit.display import SHELL_STYLE, Shown

TIMEOUT_S = 120.0
MOST_SHOWN = 20_000
"""Characters; more is cut, the notebook stays small."""


@dataclass(frozen=True)
class ShellOutput(Shown):
    """What a shell line did.

    Attributes:
        line: as typed.
        code: exit code.
        stdout: what it printed.
        stderr: what it said beside that.
    """

    line: str
    code: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        """What it printed, without blanks around."""
        return self.stdout.strip()

    def _said(self) -> str:
        said = "\n".join(part for part in (self.stdout.rstrip(), self.stderr.rstrip()) if part)
        if len(said) > MOST_SHOWN:
            said = f"{said[:MOST_SHOWN]}\n… {len(said) - MOST_SHOWN} more characters"
        return f"{said}\n(exit code {self.code})" if self.code else said

    def __str__(self) -> str:
        typed = "\n".join(f"$ {line}" for line in self.line.splitlines())
        return f"{typed}\n{self._said()}".rstrip()

    def _repr_html_(self) -> str:
        typed = html.escape("\n".join(f"$ {line}" for line in self.line.splitlines()))
        said = html.escape(self._said())
        return f"<pre style='{SHELL_STYLE}'>{typed}</pre><pre>{said}</pre>"


def run_shell(lab: LabContext, text: str, *, timeout_s: float = TIMEOUT_S) -> ShellOutput:
    """Run lines in bash, with the lab's `kubectl`, `linkerd` and kubeconfig.

    Args:
        lab: the lab.
        text: one or several lines.
        timeout_s: seconds until it is ended.

    Raises:
        CommandError: it did not end in time, or there is no bash.
    """
    lines = text.strip()
    done = run(
        ["bash", "-c", lines],
        timeout_s=timeout_s,
        env={**lab.shell_environment(), "NO_COLOR": "1"},
        check=False,
        shown_as=["bash", "-c", lines],
        fix="a command that goes on for ever needs an end: `… | head -n 20`",
    )
    return ShellOutput(lines, done.returncode, done.stdout, done.stderr)
