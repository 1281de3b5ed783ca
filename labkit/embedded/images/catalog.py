"""Which program stands behind an image: the embedded cloud's container registry.

A node asks here what to run for a container's image and command. Entry points are names, resolved
at run time, so that this table imports nothing of what it lists. Two kinds exist: a `process` is a
Python module run as `python -m MODULE ARGS`; a `component` is a coroutine
`run(container, runtime) -> exit code` that lives inside the cloud's daemon.

Installed packages add images of their own by entry points of the group `labkit.images`: the name
is a repository, the object an `Image`. They are looked for when an image is not in the table, so
that nobody pays for them who has none.

Deliberately absent: pulling, tags (any tag of a known repository is served) and shells.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Literal

from labkit.errors import LabkitError

logger = logging.getLogger(__name__)

ENTRY_POINTS = "labkit.images"
"""Group of the entry points by which installed packages add images."""

_WORD = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?:\w(?:[\w.-]*\w)?(?::\d+)?/)?{_WORD}(?:/{_WORD})*(?::\w[\w.-]{{0,127}})?(?:@\w[\w+.-]*:[0-9a-fA-F]+)?"
)
"""Registry, path, tag and digest of an image, as container runtimes accept them."""

_DEFAULT_REGISTRY = "docker.io"
_DEFAULT_REGISTRY_ALIASES = ("docker.io", "index.docker.io", "registry-1.docker.io")


class ImageNotFound(LabkitError, LookupError):  # noqa: N818 - reads as what happened
    """No image of this name: what a kubelet reports as ErrImagePull."""


class InvalidImageName(LabkitError, ValueError):  # noqa: N818 - the kubelet's word
    """Not the name of any image: what a kubelet reports as InvalidImageName."""


class CommandNotFound(LabkitError, LookupError):  # noqa: N818 - reads as what happened
    """The image has no such command: what a kubelet reports as StartError."""


@dataclass(frozen=True)
class Program:
    """How one command of an image is run.

    Attributes:
        kind: `process` (own process), `component` (a coroutine in the daemon) or `command` (of
            the base image: one of this machine stands for it).
        entry: `package.module` of a process, `package.module:function` of a component, the word
            of a command.
    """

    kind: Literal["process", "component", "command"]
    entry: str


@dataclass(frozen=True)
class Image:
    """The programs in one image.

    Attributes:
        programs: by base name of the command; "" is the image's entry point.
        has_shell: whether the real image holds a shell and the usual tools.
        exposed_ports: where its programs listen whether a pod declares it or not.
    """

    programs: Mapping[str, Program]
    has_shell: bool = False
    exposed_ports: tuple[int, ...] = ()


def _process(entry: str) -> Program:
    return Program(kind="process", entry=f"labkit.embedded.images.{entry}")


def _component(entry: str) -> Program:
    return Program(kind="component", entry=f"labkit.embedded.{entry}")


_IDLE = _component("images.pause:run")
_NOTHING = _component("images.pause:finish")
_WEB = _process("emojivoto.web")
_EMOJI = _process("emojivoto.emoji")
_VOTING = _process("emojivoto.voting")
_CURL = _process("curl")
_VEGETA = _process("vegeta")
_PROXY = _component("mesh.proxy:run")
_VALIDATOR = _component("mesh.validator:run")
_SERVICE_MIRROR = _component("mesh.service_mirror:run")
_PROMETHEUS = _component("mesh.viz.prometheus:run")

IMAGES: Mapping[str, Image] = {
    "ghcr.io/buoyantio/emojivoto-web": Image(
        {
            "": _WEB,
            "emojivoto-web": _WEB,
            "emojivoto-vote-bot": _process("emojivoto.vote_bot"),
        },
        has_shell=True,
    ),
    "ghcr.io/buoyantio/emojivoto-emoji-svc": Image(
        {"": _EMOJI, "emojivoto-emoji-svc": _EMOJI}, has_shell=True
    ),
    "ghcr.io/buoyantio/emojivoto-voting-svc": Image(
        {"": _VOTING, "emojivoto-voting-svc": _VOTING}, has_shell=True
    ),
    "docker.io/peterevans/vegeta": Image({"vegeta": _VEGETA}, has_shell=True),
    "docker.io/curlimages/curl": Image(
        {"": _CURL, "curl": _CURL, "sleep": _component("images.pause:sleep")}, has_shell=True
    ),
    "registry.k8s.io/pause": Image({"": _IDLE, "pause": _IDLE}),
    "cr.l5d.io/linkerd/proxy": Image(
        {
            "": _PROXY,
            "linkerd2-proxy": _PROXY,
            "linkerd2-proxy-identity": _PROXY,
            # Redirecting traffic is the job of `http_proxy` here: the init container has no work.
            "linkerd2-proxy-init": _NOTHING,
            "proxy-init": _NOTHING,
        }
    ),
    "cr.l5d.io/linkerd/controller": Image(
        {
            "identity": _component("mesh.identity:run"),
            "destination": _component("mesh.destination:run"),
            "proxy-injector": _component("mesh.injector:run"),
            "service-mirror": _SERVICE_MIRROR,
            # Parts of the control plane that a mesh lab's traffic never asks for.
            "sp-validator": _VALIDATOR,
            "policy": _VALIDATOR,
            "policy-controller": _VALIDATOR,
            "linkerd-policy-controller": _VALIDATOR,
            "heartbeat": _NOTHING,
        }
    ),
    "cr.l5d.io/linkerd/metrics-api": Image({"": _component("mesh.viz.metrics_api:run")}),
    "cr.l5d.io/linkerd/tap": Image(
        {
            "": _component("mesh.viz.tap:run"),
            "api": _component("mesh.viz.tap:run"),
            "injector": _component("mesh.viz.tap_injector:run"),
        }
    ),
    "cr.l5d.io/linkerd/web": Image({"": _component("mesh.viz.web:run")}),
    "docker.io/prom/prometheus": Image(
        {"": _PROMETHEUS, "prometheus": _PROMETHEUS}, has_shell=True
    ),
}


def repository_of(image: str) -> str:
    """The full repository of an image reference: registry added, tag and digest removed.

    Example:
        >>> repository_of("curlimages/curl:8.10.1")
        'docker.io/curlimages/curl'
    """
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    name = f"{head}{slash}{last.partition(':')[0]}"
    first, slash, rest = name.partition("/")
    if not slash:
        return f"{_DEFAULT_REGISTRY}/library/{name}"
    if first in _DEFAULT_REGISTRY_ALIASES:
        rest = rest if "/" in rest else f"library/{rest}"
        return f"{_DEFAULT_REGISTRY}/{rest}"
    has_registry = "." in first or ":" in first or first == "localhost"
    return name if has_registry else f"{_DEFAULT_REGISTRY}/{name}"


def reference_of(image: str) -> str:
    """The full reference of an image: registry and tag added where they are left out."""
    name, at, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2] or ("" if at else "latest")
    return repository_of(image) + (f":{tag}" if tag else "") + at + digest


@cache
def _installed() -> Mapping[str, EntryPoint]:
    """Images of installed packages; a daemon looks once."""
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


@cache
def _load(point: EntryPoint) -> Image:
    try:
        found = point.load()
    except Exception as error:
        logger.exception("the image %s of an installed package cannot be loaded", point.name)
        raise _not_loaded(point, f"{type(error).__name__}: {error}") from error
    if not isinstance(found, Image):
        raise _not_loaded(point, f"a {type(found).__name__}, not an Image")
    return found


def _not_loaded(point: EntryPoint, seen: str) -> ImageNotFound:
    return ImageNotFound(
        f'failed to load image "{point.name}"',
        seen=f"entry point {point.value}: {seen}",
        fix=f"mend the package that declares it in the group {ENTRY_POINTS}",
    )


def _look_up(image: str) -> Image | None:
    repository = repository_of(image)
    if repository in IMAGES:
        return IMAGES[repository]
    point = _installed().get(repository)
    return _load(point) if point else None


def find_image(image: str) -> Image:
    """The image behind a reference such as `ghcr.io/buoyantio/emojivoto-web:v11`.

    Raises:
        ImageNotFound: no such repository; the message lists those that exist.
        InvalidImageName: no image can have this name.
    """
    if not _REFERENCE.fullmatch(image):
        raise InvalidImageName(f'couldn\'t parse image name "{image}": invalid reference format')
    found = _look_up(image)
    if found is None:
        raise ImageNotFound(
            f'failed to resolve reference "{reference_of(image)}"',
            seen=f"{reference_of(image)}: not found",
            fix="the embedded cloud serves only: " + ", ".join(sorted({*IMAGES, *_installed()})),
        )
    return found


def exposed_ports(image: str) -> tuple[int, ...]:
    """Ports on which an image's programs listen without being told; none of an unknown image."""
    try:
        return find_image(image).exposed_ports
    except (ImageNotFound, InvalidImageName):
        return ()


def programs_of(image: str) -> Mapping[str, Program]:
    """The programs of a reference's image by name; none when there is no such image."""
    found = IMAGES.get(repository_of(image))
    return {} if found is None else found.programs


def has_shell(image: str) -> bool:
    """Whether the real image of a reference holds a shell; others are distroless."""
    found = _look_up(image)
    return found is not None and found.has_shell


def find_program(image: str, argv: Sequence[str]) -> tuple[Program, tuple[str, ...]]:
    """What to run for a container.

    Args:
        image: the reference in the pod's spec.
        argv: the container's command followed by its args; may be empty.

    Returns:
        The program, and the arguments that remain for it.

    Raises:
        ImageNotFound: no such repository.
        InvalidImageName: no image can have this name.
        CommandNotFound: the image has no such command.
    """
    programs = find_image(image).programs
    command = argv[0].rpartition("/")[2] if argv else ""
    if command and command in programs:
        return programs[command], tuple(argv[1:])
    # An option or a URL in first place is an argument of the image's own entry point.
    if "" in programs and (not argv or argv[0].startswith("-") or "://" in argv[0]):
        return programs[""], tuple(argv)
    wanted = argv[0] if argv else "(no command)"
    raise CommandNotFound(
        f'exec: "{wanted}": executable file not found in $PATH',
        seen=f"image {image}",
        fix="commands of this image: " + ", ".join(sorted(filter(None, programs))),
    )
