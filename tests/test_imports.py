"""Optional packages can be kept out of an import, and come back afterwards."""

import sys

import pytest

from labkit.imports import without


def test_a_package_seems_not_to_be_installed_only_inside_the_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "this", raising=False)

    with without("this"), pytest.raises(ImportError):
        import this  # noqa: F401

    assert "this" not in sys.modules


def test_a_package_that_is_imported_already_stays() -> None:
    with without("json"):
        import json

    assert sys.modules["json"] is json
