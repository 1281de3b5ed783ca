"""`python -m labkit.runs.template_process`: imports once what kernels need, and forks them.

It reads requests from the socket that is its standard input, one JSON object a line (arguments,
folder, environment), and answers each with the pid of a kernel: a child that goes on as if it had
been started by itself, in a session of its own. When the socket's other end is closed it ends, and
so do its kernels, because their parent is gone. Single-threaded on purpose: only then is a fork
safe.
"""

import gc
import json
import os
import signal
import socket
import sys
import traceback
import warnings
from importlib import import_module
from typing import Any, NoReturn

IMPORTED = ("ipykernel.kernelapp", "ipykernel.ipkernel", "labkit.opening", "labkit.picture")


def main() -> None:
    """Serve until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever asked
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them here: no zombies
    channel = socket.socket(fileno=os.dup(0))
    for name in IMPORTED:
        import_module(name)
    gc.collect()
    gc.freeze()  # what is shared with all kernels is not touched by their collectors
    with channel.makefile("r") as requests:
        for line in requests:
            request = json.loads(line)
            with warnings.catch_warnings():
                # OpenBLAS has threads, and cares for forks itself.
                warnings.simplefilter("ignore", DeprecationWarning)
                pid = os.fork()
            if pid == 0:
                _become(request, channel)
            channel.sendall(f"{pid}\n".encode())


def _become(request: dict[str, Any], channel: socket.socket) -> NoReturn:
    """Be a kernel, never to return."""
    code = 1
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for mine in (0, channel.fileno()):  # held open, it would hide the template's end
            os.dup2(nothing, mine)
        os.close(nothing)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ.clear()
        os.environ.update(request["env"])
        os.chdir(request["cwd"])
        sys.argv = request["argv"]
        from ipykernel.kernelapp import IPKernelApp

        # Whose end is its own; ipykernel has read the environment when it was imported.
        parent = f"--IPKernelApp.parent_handle={os.getppid()}"
        IPKernelApp.launch_instance([*request["argv"][1:], parent])
        code = 0
    except Exception:  # noqa: BLE001 - `_exit` would swallow why a kernel died
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
