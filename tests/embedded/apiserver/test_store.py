"""The store keeps the present as objects and the past as JSON."""

import sqlite3
from pathlib import Path
from typing import Any

from labkit.embedded.apiserver import store as stores
from labkit.embedded.apiserver.entries import encode
from labkit.embedded.apiserver.store import Store


def _config_map(value: str, name: str = "a") -> dict[str, Any]:
    metadata = {"namespace": "default", "name": name}
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata, "data": {"k": value}}


def _time_passes(store: Store) -> None:
    """As many changes as the store keeps whole for watchers."""
    for number in range(stores._FRESH + 1):
        store.put("configmaps", _config_map(str(number), "other"))


def test_only_the_current_object_stays_parsed_and_the_past_can_still_be_read(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path / "objects.sqlite")
    first = store.put("configmaps", _config_map("one"))
    second = store.put("configmaps", _config_map("two"))
    _time_passes(store)

    assert first.parsed is None
    assert second.parsed is not None
    assert [entry.obj["data"] for entry in store.entries_at("configmaps", None, first.rv)] == [
        {"k": "one"}
    ]
    store.close()


def test_a_removed_object_is_kept_as_json_only(tmp_path: Path) -> None:
    store = Store(tmp_path / "objects.sqlite")
    store.put("configmaps", _config_map("one"))
    gone = store.remove("configmaps", "default", "a")
    _time_passes(store)

    assert gone.parsed is None
    assert gone.obj["metadata"]["resourceVersion"] == str(gone.rv)
    store.close()


def test_what_was_stored_is_the_same_after_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path / "objects.sqlite")
    for name in ("b", "a", "ü"):
        store.put("configmaps", _config_map("é\u2028", name))
    before = [(e.name, e.rv, e.raw, e.item, e.obj) for e in store.entries("configmaps")]
    store.close()

    again = Store(tmp_path / "objects.sqlite")
    assert [(e.name, e.rv, e.raw, e.item, e.obj) for e in again.entries("configmaps")] == before
    assert again.rv == again.rv_on_disk == 3
    again.close()


def test_a_file_of_an_earlier_lab_is_taken_over(tmp_path: Path) -> None:
    """It had one table of objects, keyed by their names."""
    earlier = sqlite3.connect(tmp_path / "objects.sqlite", isolation_level=None)
    earlier.executescript(
        "CREATE TABLE objects (storage TEXT, namespace TEXT, name TEXT, rv INTEGER, body BLOB,"
        " PRIMARY KEY (storage, namespace, name)) WITHOUT ROWID"
    )
    for rv, name in ((5, "b"), (7, "a")):
        obj = _config_map(str(rv), name)
        obj["metadata"]["resourceVersion"] = str(rv)
        row = ("configmaps", "default", name, rv, encode(obj)[0])
        earlier.execute("INSERT INTO objects VALUES (?, ?, ?, ?, ?)", row)
    earlier.close()

    for _ in range(2):
        store = Store(tmp_path / "objects.sqlite")
        assert [(entry.name, entry.rv) for entry in store.entries("configmaps")] == [
            ("a", 7),
            ("b", 5),
        ]
        store.close()
    store = Store(tmp_path / "objects.sqlite")
    changed = store.put("configmaps", _config_map("new", "a"))
    store.remove("configmaps", "default", "b")
    store.close()
    again = Store(tmp_path / "objects.sqlite")
    assert [(entry.name, entry.rv) for entry in again.entries("configmaps")] == [("a", changed.rv)]
    again.close()
