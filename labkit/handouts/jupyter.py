"""How JupyterLab is started on a folder of notebooks: quiet, offline, with the lab's commands."""

import os
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from labkit.errors import InputError
from labkit.handouts.writing import START_NOTEBOOK


def require_notebooks(folder: Path) -> Path:
    """The folder, resolved.

    Raises:
        InputError: it has no notebooks.
    """
    if not (folder / START_NOTEBOOK).is_file():
        raise InputError(
            "There are no notebooks to open",
            problems=[f"{folder}: there is no {START_NOTEBOOK} in it"],
            fix=f"`labkit init {folder}` writes them"
            if str(folder) != "."
            else "`labkit init DIR`, then `labkit jupyter DIR`",
        )
    return folder.resolve()


def command(folder: Path, *, port: int | None, browser: bool) -> list[str]:
    """The command that opens JupyterLab on notebook 00.

    Args:
        folder: holds `notebooks`; nothing outside it is shown.
        port: of the server; None takes the first that is free from 8888 on.
        browser: open it in the browser; without, the address is printed only.
    """
    argv = [
        *(sys.executable, "-m", "jupyterlab"),
        f"--ServerApp.root_dir={folder}",
        f"--LabApp.default_url=/lab/tree/{START_NOTEBOOK.as_posix()}",
    ]
    if os.geteuid() == 0:  # in a container; it listens on 127.0.0.1 only, and wants its token
        argv.append("--allow-root")
    if port is not None:
        argv += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    return argv if browser else [*argv, "--no-browser"]


def environment(lab: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The server's environment: terminals and kernels find the lab's `kubectl` and `linkerd`.

    labkit's configuration keeps JupyterLab from asking for news, updates and extensions; the user's
    own stays in force for everything else.
    """
    own = str(files("labkit") / "data" / "jupyter")
    path = os.pathsep.join(part for part in (own, environ.get("JUPYTER_CONFIG_PATH", "")) if part)
    return {**environ, **lab, "JUPYTER_CONFIG_PATH": path}
