"""Snapshots for the tests of the live view."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def lab():
    """The module that makes snapshots; these tests are no package."""
    spec = importlib.util.spec_from_file_location(
        "snapshots", Path(__file__).with_name("snapshots.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
