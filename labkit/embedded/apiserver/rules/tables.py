"""Server-side printing: the Table that kubectl shows.

`table` returns column definitions and rows; descriptions come from the schemas' documentation.
Which representation of each row's object the client gets is the caller's business.
"""

import datetime as dt
import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from labkit.embedded.apiserver.rules.ages import age, parse_time
from labkit.embedded.apiserver.rules.column import DEFAULT, Column
from labkit.embedded.apiserver.rules.columns import COLUMNS
from labkit.embedded.apiserver.rules.jsonpath import JsonPathError, find
from labkit.embedded.apiserver.rules.schemas import OBJECT_META, definitions

Object = Mapping[str, Any]
AGE_COLUMN = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
FINISHED = {
    "Succeeded": "The pod has completed successfully.",
    "Failed": "The pod failed.",
}


def table(
    kind_key: str,
    objects: Sequence[Object],
    *,
    columns_of_crd: Sequence[Mapping[str, Any]] | None = None,
    now: str | dt.datetime | None = None,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Prints objects of one kind.

    Args:
        kind_key: `Pod`, `Deployment.apps`, …
        objects: the objects, one row each.
        columns_of_crd: additionalPrinterColumns of a custom resource's version; None for
            built-in kinds, an empty list for a custom resource without columns.
        now: the time that ages are counted from; default the present.

    Returns:
        Column definitions, and rows with `cells` and `object` (the object itself).
    """
    time = parse_time(now) if isinstance(now, str) else now
    time = time or dt.datetime.now(dt.UTC)
    if columns_of_crd is not None:
        return _custom(objects, columns_of_crd, time)
    columns = COLUMNS.get(kind_key, DEFAULT)
    rows = [_row(columns, obj, time, kind_key) for obj in objects]
    return [dict(definition) for definition in _definitions(kind_key)], rows


def _row(columns: Sequence[Column], obj: Object, now: dt.datetime, kind: str) -> dict[str, Any]:
    row: dict[str, Any] = {"cells": [column.cell(obj, now) for column in columns]}
    phase = (obj.get("status") or {}).get("phase") if kind == "Pod" else None
    if phase in FINISHED:
        row["conditions"] = [
            {"type": "Completed", "status": "True", "reason": phase, "message": FINISHED[phase]}
        ]
    row["object"] = obj
    return row


@functools.cache
def _definitions(kind_key: str) -> tuple[dict[str, Any], ...]:
    return tuple(
        {
            "name": column.name,
            "type": column.type,
            "format": column.format,
            "description": _about(kind_key, column.about),
            "priority": column.priority,
        }
        for column in COLUMNS.get(kind_key, DEFAULT)
    )


def _about(kind_key: str, about: str) -> str:
    if " " in about:
        return about
    if about.startswith("metadata."):
        return definitions().description(OBJECT_META, about.removeprefix("metadata."))
    kind, _, group = kind_key.partition(".")
    group = "" if kind == "Event" else group
    known = definitions().names
    for version in ("v1", "v2"):
        name = known.get((group, version, kind))
        if name is not None and (text := definitions().description(name, about)):
            return text
    return ""


def _custom(
    objects: Sequence[Object], columns: Sequence[Mapping[str, Any]], now: dt.datetime
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    meta = functools.partial(definitions().description, OBJECT_META)
    age_column = {**AGE_COLUMN, "description": meta("creationTimestamp")}
    shown = list(columns) or [age_column]
    heads = [
        {
            "name": "Name",
            "type": "string",
            "format": "name",
            "description": meta("name"),
            "priority": 0,
        }
    ]
    for column in shown:
        about = f"Custom resource definition column (in JSONPath format): {column['jsonPath']}"
        heads.append(
            {
                "name": column["name"],
                "type": column["type"],
                "format": column.get("format", ""),
                "description": column.get("description") or about,
                "priority": column.get("priority", 0),
            }
        )
    rows = []
    for obj in objects:
        cells = [(obj.get("metadata") or {}).get("name", "")]
        cells.extend(_custom_cell(obj, column, now) for column in shown)
        rows.append({"cells": cells, "object": obj})
    return heads, rows


def _custom_cell(obj: Object, column: Mapping[str, Any], now: dt.datetime) -> Any:
    try:
        found = find(obj, column["jsonPath"])
    except JsonPathError:
        return None
    if not found or found[0] is None:
        return None
    return _typed(found[0], column["type"], now)


def _typed(value: Any, kind: str, now: dt.datetime) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "string":
        if isinstance(value, bool):
            return str(value).lower()
        return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    if kind == "integer":
        return int(value) if number else None
    if kind == "number":
        return value if number else None
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if kind == "date":
        return age(value, now) if parse_time(value) else "<invalid>"
    return None
