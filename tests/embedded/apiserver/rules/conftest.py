"""Exchanges recorded from a real API server, for tests that compare rules with it."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from labkit.embedded.apiserver.rules.schemas import Schemas

ROOT = Path(__file__).parents[4]


def contracts_folder() -> Path:
    return Path(os.environ.get("LABKIT_CONTRACTS") or ROOT / "../shared/contracts").resolve()


@pytest.fixture(scope="session")
def recorded() -> list[dict[str, Any]]:
    """All recorded scenarios."""
    path = contracts_folder() / "kube-http.json"
    if not path.is_file():
        pytest.skip(f"no recorded exchanges at {path}; set LABKIT_CONTRACTS to their folder")
    scenarios: list[dict[str, Any]] = json.loads(path.read_text())
    return scenarios


@pytest.fixture(scope="session")
def schemas() -> Schemas:
    return Schemas.load()
