"""The store keeps the present as objects and the past as JSON."""

from pathlib import Path
from typing import Any

from labkit.embedded.apiserver.store import Store


def _config_map(value: str) -> dict[str, Any]:
    metadata = {"namespace": "default", "name": "a"}
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata, "data": {"k": value}}


def test_only_the_current_object_stays_parsed_and_the_past_can_still_be_read(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path / "objects.sqlite")
    first = store.put("configmaps", _config_map("one"))
    second = store.put("configmaps", _config_map("two"))

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

    assert gone.parsed is None
    assert gone.obj["metadata"]["resourceVersion"] == str(gone.rv)
    store.close()
