"""What exercises share: the learner's answers, and a namespace for what they start.

Answers are kept in the lab's folder, so that `labkit check --exercises` can look at them again.
"""

from labkit.checks import Reason
from labkit.clients.manifests import Object
from labkit.clients.rollouts import remove_namespace, wait_for_account
from labkit.context import LabContext
from labkit.errors import StateError
from labkit.exercises.shell import ShellOutput
from labkit.progress import progress

NAMESPACE = "labkit-exercises"
"""Where workloads of exercises live; no chapter looks there."""

IMAGE = "curlimages/curl:8.11.1"
VISITOR = "visitor"
HINTS = "# unfold the hints below the task, or look at the solution in the instructor's notebook"
NOT_ANSWERED = Reason("nothing was answered yet: `answer` in the cell above is empty")
LONGEST_ANSWER = 2000
_ANSWERS = "answers"

Answer = str | float | list["Answer"] | dict[str, "Answer"] | None


def keep(lab: LabContext, exercise: str, answer: object) -> None:
    """Keep a learner's answer; None takes it back."""
    answers = dict(lab.folder.recall().get(_ANSWERS) or {})
    answers[exercise] = _plain(answer)
    lab.folder.remember(answers=answers)


def forget(lab: LabContext, exercise: str) -> None:
    """Drop a learner's answer."""
    answers = dict(lab.folder.recall().get(_ANSWERS) or {})
    if exercise in answers:
        lab.folder.remember(answers={k: v for k, v in answers.items() if k != exercise})


def answer_of(lab: LabContext, exercise: str) -> Answer:
    """A learner's answer, None when there is none."""
    found: Answer = (lab.folder.recall().get(_ANSWERS) or {}).get(exercise)
    return found


def _plain(value: object) -> Answer:
    """An answer as JSON can hold it; what a shell printed counts as its text."""
    if isinstance(value, ShellOutput):
        value = value.text
    if isinstance(value, bool) or not isinstance(value, (int, float, list, tuple, dict)):
        text = "" if value is None else str(value).strip()
        return text[:LONGEST_ANSWER] or None
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value[:LONGEST_ANSWER]]
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    return float(value)


def words(answer: Answer, *names: str) -> list[str] | None:
    """Texts of an answer with several parts, None when a part is empty or missing."""
    parts = [answer.get(name) for name in names] if isinstance(answer, dict) else []
    found = [str(part).strip() for part in parts if part not in (None, "")]
    return found if parts and len(found) == len(names) else None


def number(answer: Answer) -> float | None:
    """A number that was answered, also as text."""
    try:
        return float(answer)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def make_namespace(lab: LabContext, cluster: str) -> None:
    """Make the exercises' namespace where it is not, without a proxy for what is created in it.

    Raises:
        StateError: it is there, and not the lab's.
        WaitTimeout: it has no service account yet.
    """
    lab.require_own(cluster, NAMESPACE)
    metadata: Object = {"name": NAMESPACE}
    lab.install(cluster, [{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}])
    wait_for_account(lab.kubernetes(cluster), NAMESPACE)


def is_own(lab: LabContext, cluster: str) -> bool:
    """Whether the exercises' namespace in a cluster is the lab's, not one that was there before."""
    try:
        lab.require_own(cluster, NAMESPACE)
    except StateError:
        return False
    return True


def drop_namespace(lab: LabContext, cluster: str) -> None:
    """Remove what exercises left in a cluster; a namespace that is not the lab's stays."""
    kubernetes = lab.kubernetes(cluster)
    if kubernetes.get("v1", "Namespace", NAMESPACE) is None or not is_own(lab, cluster):
        return
    with progress(f"Removing what exercises left in {cluster}") as shown:
        remove_namespace(kubernetes, NAMESPACE, report=shown)


def idle_deployment(name: str) -> Object:
    """A deployment of one pod that waits to be told something, labelled `app: NAME`."""
    labels = {"app": name}
    spec = {
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "curl", "image": IMAGE, "command": ["sleep", "infinity"]}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }
