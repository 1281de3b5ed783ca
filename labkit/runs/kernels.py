"""Kernels for notebooks, one for each, started while the notebook before still works.

A kernel takes two seconds to start and to import what every notebook needs, most of it while a
notebook waits for something else. Each notebook still has a fresh kernel of its own. Kernels talk
over unix sockets, which other users cannot read.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from jupyter_client.manager import AsyncKernelManager

SHORT_TEMPORARY = Path("/tmp")  # noqa: S108 - $TMPDIR is too long for sockets on macOS
IMPORTED = ("labkit.lab", "labkit.picture")
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


class Kernels:
    """Kernels in one work folder; the one that waits is ended with the block.

    Args:
        folder: where notebooks are, their work folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: _Kernel | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._waiting is not None:
            self._waiting.end()

    def prepare(self) -> None:
        """Start the next kernel now, unless one waits already."""
        if self._waiting is None:
            self._waiting = self._start(IMPORTED)

    @contextmanager
    def next(self) -> Iterator["AsyncKernelManager"]:
        """A fresh kernel for one notebook; it ends with the block."""
        kernel, self._waiting = self._waiting, None
        if kernel is not None and not kernel.alive():
            kernel.end()
            kernel = None
        kernel = kernel or self._start(())
        try:
            yield kernel.manager
        finally:
            kernel.end()

    def _start(self, modules: tuple[str, ...]) -> _Kernel:
        from jupyter_client.manager import AsyncKernelManager

        folder = Path(tempfile.mkdtemp(prefix="labkit-kernel-", dir=SHORT_TEMPORARY))
        manager = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=str(folder / "k"))
        lines = [f"--IPKernelApp.exec_lines=__import__({module!r})" for module in modules]
        kernel = _Kernel(manager, folder)
        try:
            asyncio.run(_now(manager.start_kernel(cwd=str(self._folder), extra_arguments=lines)))
        except BaseException:
            kernel.end()
            raise
        return kernel
