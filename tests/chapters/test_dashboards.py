"""Whether a success rate is what the doughnut explains, or chance, or a fault."""

from types import SimpleNamespace

import pytest

from labkit.chapters import dashboards


@pytest.mark.parametrize(
    ("success", "requests", "status"),
    [
        (0.92, 600, "pass"),
        (0.765, 33, "warn"),
        (1.0, 26, "warn"),
        (1.0, 600, "fail"),
        (0.5, 33, "fail"),
        (0.765, 600, "fail"),
        (None, 0, "fail"),
    ],
)
def test_few_requests_leave_it_to_chance(monkeypatch, success, requests, status):
    row = SimpleNamespace(success=success, requests=requests)
    monkeypatch.setattr(dashboards, "read", lambda *_, **__: ())
    monkeypatch.setattr(dashboards, "find", lambda *_: row)
    assert dashboards._success(None).status == status
