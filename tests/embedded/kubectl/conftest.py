"""The module that reads and compares transcripts; these tests are no package."""

import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def transcripts():
    name = "kubectl_transcripts"
    if name not in sys.modules:
        path = Path(__file__).with_name("transcripts.py")
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]
