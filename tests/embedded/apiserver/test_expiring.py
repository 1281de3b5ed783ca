"""Events go after an hour."""

from datetime import UTC, datetime, timedelta

from labkit.embedded.apiserver import expiring
from labkit.embedded.apiserver.store import Store


def test_only_events_older_than_an_hour_go(tmp_path):
    store = Store(tmp_path / "a.sqlite")
    now = datetime.now(UTC)
    for name, minutes in (("old", 61), ("new", 59)):
        seen = (now - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
        metadata = {"name": name, "namespace": "default", "creationTimestamp": seen}
        store.put("events", {"kind": "Event", "apiVersion": "v1", "metadata": metadata})
    assert expiring.expire(store, at=now) == 1
    assert [entry.name for entry in store.entries("events")] == ["new"]
    store.close()
