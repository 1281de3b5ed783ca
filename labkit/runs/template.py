"""Kernels that are forked from a template, where the system can: on Linux.

A kernel of its own making imports for two seconds what the one before it imported as well. A
template process has imported it once, and a fork of it is a kernel: as fresh, in milliseconds.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import psutil
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

if TYPE_CHECKING:
    from jupyter_client.connect import KernelConnectionInfo
    from jupyter_client.manager import AsyncKernelManager

MODULE = "labkit.runs.template_process"
ANSWER_TIMEOUT_S = 60.0
END_TIMEOUT_S = 5.0


class TemplateGone(Exception):  # noqa: N818 - reads as what happened
    """The template process does not answer; kernels have to be started by themselves."""


class Template:
    """The template process.

    Args:
        folder: its work folder.
    """

    def __init__(self, folder: Path) -> None:
        self._channel, other = socket.socketpair()
        self._channel.settimeout(ANSWER_TIMEOUT_S)
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", MODULE],
                stdin=other.fileno(),
                cwd=folder,
                start_new_session=True,
            )

    def fork(self, argv: list[str], *, cwd: str, env: dict[str, str]) -> "Forked":
        """A new kernel.

        Args:
            argv: the kernel's command line, its program first.
            cwd: its work folder.
            env: its environment.

        Raises:
            TemplateGone: there is no answer.
        """
        request = json.dumps({"argv": argv, "cwd": cwd, "env": env}) + "\n"
        try:
            self._channel.sendall(request.encode())
            answer = self._channel.recv(32)
            return Forked(int(answer))
        except (OSError, ValueError, psutil.Error) as error:
            raise TemplateGone(repr(error)) from error

    def end(self) -> None:
        """End it; kernels that still live end with it."""
        self._channel.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_TIMEOUT_S)
            return
        self._process.kill()
        self._process.wait()


class Forked:
    """A kernel's process, with what is needed of `subprocess.Popen`: it is no child of this one."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._process = psutil.Process(pid)

    def poll(self) -> int | None:
        """None while it lives, then 1: its exit code is known to the template only."""
        with suppress(psutil.NoSuchProcess):
            if self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE:
                return None
        return 1

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        psutil.wait_procs([self._process], timeout=timeout)
        return 1

    def send_signal(self, number: int) -> None:
        """Send a signal; nothing when it has ended."""
        with suppress(psutil.NoSuchProcess):
            self._process.send_signal(number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class ForkProvisioner(LocalProvisioner):
    """Starts a kernel by asking a template for it."""

    template: Template

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> "KernelConnectionInfo":
        """Start the kernel; its arguments are those behind `-m ipykernel_launcher`."""
        arguments = cmd[cmd.index("-m") + 1 :]
        cwd = str(kwargs.get("cwd") or Path.cwd())
        forked = self.template.fork(arguments, cwd=cwd, env=dict(kwargs.get("env") or os.environ))
        self.process = cast("Any", forked)
        self.pid, self.pgid, self.cwd = forked.pid, forked.pid, cwd
        return self.connection_info


def provision(manager: "AsyncKernelManager", template: Template) -> None:
    """Let a manager start its kernel from a template."""
    made = ForkProvisioner(
        kernel_id=manager.kernel_id, kernel_spec=manager.kernel_spec, parent=manager
    )
    made.template = template
    manager.provisioner = made
