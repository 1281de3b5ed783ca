"""Every error that labkit raises on purpose.

::

    LabkitError
    ├── InputError (ValueError)         the user's input does not fit; all problems together
    ├── StateError                      the lab is in a state that does not permit this
    ├── WaitTimeout (TimeoutError)      something did not become true in time
    ├── CommandError                    a command (kubectl, linkerd) failed
    ├── CertificateError (ValueError)   a certificate or chain is not what it must be
    ├── CheckFailed                     a chapter's check failed
    ├── HttpError                       a service behind HTTP refused, or could not be reached
    │   ├── CloudError                  a cloud's API
    │   └── BoardError                  the board that a learner's progress goes to
    └── KubernetesError                 a Kubernetes API server refused, or could not be reached

A message has three parts: what failed and on what, what was seen, what to do next.
Foreign exceptions are translated in one place per adapter and chained. What is seen is cut to
256 characters and never holds a header or a token.
"""

from collections.abc import Sequence

_SEEN_LIMIT = 256


def _sentence(text: str) -> str:
    text = text.strip()
    return text if not text or text.endswith((".", "!", "?", ":", "…")) else text + "."


class LabkitError(Exception):
    """Base of every error meant for people.

    Attributes:
        what: what failed, and on what.
        seen: what was observed (cut to 256 characters), may be empty.
        fix: what to do next, may be empty.
    """

    def __init__(self, what: str, *, seen: str = "", fix: str = "") -> None:
        self.what = what
        self.seen = seen if len(seen) <= _SEEN_LIMIT else seen[: _SEEN_LIMIT - 1] + "…"
        self.fix = fix
        super().__init__(what)

    def __str__(self) -> str:
        parts = [_sentence(self.what)]
        if self.seen:
            parts.append(f"Seen: {_sentence(self.seen)}")
        if self.fix:
            parts.append(f"Next: {_sentence(self.fix)}")
        return " ".join(parts)


class InputError(LabkitError, ValueError):
    """The user's input does not fit. Command-line exit code 2.

    Attributes:
        problems: one line for each problem, with file and line where there is one.
    """

    def __init__(self, what: str, *, problems: Sequence[str] = (), fix: str = "") -> None:
        super().__init__(what, fix=fix)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"  - {problem}" for problem in self.problems)])


class StateError(LabkitError):
    """The lab, its folder or its daemon is in a state that does not permit this."""


class WaitTimeout(LabkitError, TimeoutError):  # noqa: N818 - reads as what happened
    """Something did not become true in time; `seen` quotes the last observation."""


class CommandError(LabkitError):
    """A command failed.

    Attributes:
        argv: the command.
        returncode: its exit code, None when it could not be started or ran out of time.
        stderr: the end of its standard error.
    """

    def __init__(
        self, argv: Sequence[str], *, returncode: int | None, stderr: str = "", fix: str = ""
    ) -> None:
        self.argv = tuple(argv)
        self.returncode = returncode
        self.stderr = stderr.strip()[-4096:]
        how = "did not end" if returncode is None else f"ended with exit code {returncode}"
        super().__init__(f"`{' '.join(argv)}` {how}", seen=self.stderr[-_SEEN_LIMIT:], fix=fix)


class CertificateError(LabkitError, ValueError):
    """A certificate, key or chain is not what it must be."""


class CheckFailed(LabkitError):  # noqa: N818 - reads as what happened
    """A chapter's check failed; `seen` holds the reason."""


class HttpError(LabkitError):
    """A service behind HTTP refused a request or could not be reached.

    Attributes:
        status: HTTP status, None when there was no answer, or no HTTP.
        retry_after_s: seconds after which it may be asked again, None where nothing is known.
    """

    def __init__(
        self,
        what: str,
        *,
        status: int | None = None,
        seen: str = "",
        fix: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(what, seen=seen, fix=fix)
        self.status = status
        self.retry_after_s = retry_after_s


class CloudError(HttpError):
    """A cloud's API refused a request or could not be reached."""


class BoardError(HttpError):
    """A learner's progress did not reach the board.

    Without `retry_after_s` trying again as it is would fail in the same way.
    """


class KubernetesError(LabkitError):
    """A Kubernetes API server refused a request or could not be reached.

    Attributes:
        status: HTTP status, None when there was no answer.
        reason: the Status object's reason, as `NotFound` or `Conflict`.
    """

    def __init__(
        self,
        what: str,
        *,
        status: int | None = None,
        reason: str = "",
        seen: str = "",
        fix: str = "",
    ) -> None:
        super().__init__(what, seen=seen, fix=fix)
        self.status = status
        self.reason = reason
