"""What a kubelet reports of a container whose image it cannot get.

Pure: which reason the container waits for, and which events tell why. Waiting and trying again is
the business of :mod:`labkit.embedded.node.lives`.
"""

from dataclasses import dataclass

from labkit.embedded.images.catalog import ImageNotFound, InvalidImageName


@dataclass(frozen=True)
class ImageTrouble:
    """Why there is no image.

    Attributes:
        reason: of the waiting container.
        message: of the waiting container.
        events: (reason, message) in the order in which they are told.
        backs_off: whether the container waits as ImagePullBackOff until the next try.
    """

    reason: str
    message: str
    events: tuple[tuple[str, str], ...]
    backs_off: bool = False


def trouble_with(
    image: str, policy: str, problem: ImageNotFound | InvalidImageName
) -> ImageTrouble:
    """What to report.

    Args:
        image: the reference in the pod's spec.
        policy: the container's imagePullPolicy.
        problem: what the catalogue said.
    """
    if isinstance(problem, InvalidImageName):
        text = f'Failed to apply default image tag "{image}": {problem.what}'
        return _trouble("InvalidImageName", text, ("InspectFailed", text))
    if policy == "Never":
        text = f'Container image "{image}" is not present with pull policy of Never'
        return _trouble("ErrImageNeverPull", text, ("ErrImageNeverPull", text))
    text = f"{problem.what}: {problem.seen}" + (f" ({problem.fix})" if problem.fix else "")
    return _trouble(
        "ErrImagePull",
        text,
        ("Pulling", f'Pulling image "{image}"'),
        ("Failed", f'Failed to pull image "{image}": {text}'),
        backs_off=True,
    )


def _trouble(
    reason: str, message: str, *events: tuple[str, str], backs_off: bool = False
) -> ImageTrouble:
    return ImageTrouble(reason, message, (*events, ("Failed", f"Error: {reason}")), backs_off)
