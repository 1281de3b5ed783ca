"""Kernels for notebooks, one for each, started while notebooks before still work.

A kernel takes two seconds to start and to import what every notebook needs. On Linux only the first
one pays for it: the others are forks of a template. Each notebook still has a fresh kernel of its
own. Kernels talk over unix sockets, which other users cannot read.
"""

import asyncio
import logging
import os
import re
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil

if TYPE_CHECKING:
    from jupyter_client.manager import AsyncKernelManager

    from labkit.runs.template import Template

logger = logging.getLogger(__name__)

SHORT_TEMPORARY = Path("/tmp")  # noqa: S108 - $TMPDIR is too long for sockets on macOS
AHEAD = 2
"""Kernels that wait: a notebook may be over before the next kernel has started."""

_PREFIX = "labkit-kernel-"
"""Folders of kernels: this, the process that made them, and some letters."""

IMPORTED = ("labkit.opening", "labkit.picture")
"""Imported by a kernel before its notebook comes; no name of it is bound there."""


@dataclass
class _Kernel:
    manager: "AsyncKernelManager"
    folder: Path

    def end(self) -> None:
        # papermill leaves a kernel manager that it was given to its giver
        if self.manager.has_kernel:
            asyncio.run(_now(self.manager.shutdown_kernel(now=True)))
        shutil.rmtree(self.folder, ignore_errors=True)

    def alive(self) -> bool:
        return bool(asyncio.run(_now(self.manager.is_alive())))


async def _now(work: Any) -> Any:
    return await work


def remove_leftovers(within: Path = SHORT_TEMPORARY) -> list[Path]:
    """Remove the folders of kernels whose run was killed.

    Returns:
        The folders that are gone.
    """
    gone = []
    for folder in within.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another run may be faster
            about = folder.lstat()
            owner = re.match(rf"{_PREFIX}(\d+)-", folder.name)
            if owner is None or about.st_uid != os.getuid():
                continue
            if _lives(int(owner[1]), since=about.st_ctime):
                continue
            shutil.rmtree(folder)
            gone.append(folder)
    return gone


def _lives(pid: int, *, since: float) -> bool:
    """Whether the process that had this id at a moment is still there."""
    try:
        process = psutil.Process(pid)
        return process.create_time() <= since and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


class Kernels:
    """Kernels in one work folder; those that wait are ended with the block.

    Args:
        folder: where notebooks are, their work folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()  # the template is there already
        self._waiting: deque[_Kernel] = deque()
        self._template: Template | None = None
        self._can_fork = sys.platform == "linux"

    def __enter__(self) -> Self:
        remove_leftovers()
        return self

    def __exit__(self, *exc_info: object) -> None:
        for kernel in self._waiting:
            kernel.end()
        if self._template is not None:
            self._template.end()

    def warm_up(self) -> None:
        """Let the template begin to import; it takes two seconds, and nobody waits for it here."""
        if self._can_fork:
            with suppress(OSError):  # told when a kernel is wanted
                self._the_template()

    def prepare(self, most: int = AHEAD) -> None:
        """Start kernels now, so that as many wait as may be needed.

        Args:
            most: notebooks that are still to come.
        """
        while len(self._waiting) < min(AHEAD, most):
            self._waiting.append(self._start(IMPORTED))

    @contextmanager
    def next(self) -> Iterator["AsyncKernelManager"]:
        """A fresh kernel for one notebook; it ends with the block."""
        kernel = self._waiting.popleft() if self._waiting else None
        if kernel is not None and not kernel.alive():
            kernel.end()
            kernel = None
        kernel = kernel or self._start(())
        try:
            yield kernel.manager
        finally:
            kernel.end()

    def _start(self, modules: tuple[str, ...]) -> _Kernel:
        from labkit.runs.template import TemplateGone

        if modules and self._can_fork:
            try:
                return self._launch(modules, self._the_template())
            except (TemplateGone, OSError):
                logger.warning("kernels are started one by one from now on", exc_info=True)
                self._can_fork = False
        return self._launch(modules, None)

    def _the_template(self) -> "Template":
        from labkit.runs.template import Template

        self._template = self._template or Template(self._folder)
        return self._template

    def _launch(self, modules: tuple[str, ...], template: "Template | None") -> _Kernel:
        from jupyter_client.manager import AsyncKernelManager

        folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=SHORT_TEMPORARY))
        manager = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=str(folder / "k"))
        if template is not None:
            from labkit.runs.template import provision

            manager.kernel_id = folder.name
            provision(manager, template)
        lines = [f"--IPKernelApp.exec_lines=__import__({module!r})" for module in modules]
        lines.append("--HistoryManager.enabled=False")  # it would be the user's own history
        kernel = _Kernel(manager, folder)
        try:
            asyncio.run(_now(manager.start_kernel(cwd=str(self._folder), extra_arguments=lines)))
        except BaseException:
            kernel.end()
            raise
        return kernel
