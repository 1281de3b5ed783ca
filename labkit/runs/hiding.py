"""What a kept notebook must not show: paths of this machine, and secrets of the lab."""

import os
import sys
from contextlib import suppress
from pathlib import Path

import yaml

from labkit.clouds import TOKEN_VARIABLES
from labkit.folder import LabFolder
from labkit.handouts.materials import NOTEBOOKS
from labkit.lab import Lab
from labkit.params import Params

SECRET_LENGTH = 8
"""Shorter values are no tokens, and replacing them would garble a notebook."""


def paths(params: Params, run_folder: Path) -> dict[str, str]:
    """Paths of this machine and what stands for them in a kept notebook."""
    lab_folder = LabFolder.of(params.lab_name).root
    places = {
        str(run_folder): f"runs/{run_folder.name}",
        str(lab_folder): f"~/.labkit/{params.lab_name}",
        str(NOTEBOOKS.parent): ".",
        str(Path(sys.prefix)): ".venv",
        str(Path.home()): "~",
    }
    # a home that is the root folder (some containers) would hide every slash
    return {path: text for path, text in places.items() if path != "/"}


def secrets(params: Params) -> dict[str, str]:
    """Secrets of this lab by value, and what stands for them in a kept notebook."""
    found = [os.environ.get(name, "") for name in TOKEN_VARIABLES]
    found += Lab.of(params).cloud.secrets()
    with suppress(OSError, yaml.YAMLError):
        content = yaml.safe_load(LabFolder.of(params.lab_name).kubeconfig.read_text())
        for user in content["users"]:
            found += [user["user"].get(key, "") for key in ("token", "client-key-data")]
    return {secret: "***" for secret in found if len(secret) >= SECRET_LENGTH}
