"""Collecting what is wrong with an object: the causes of a 422, in Kubernetes' words."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cause:
    """One cause of a Status: `reason`, `message` and the `field` it is about."""

    reason: str
    message: str
    field: str


def shown(value: Any) -> str:
    """Returns a value as Kubernetes prints it in messages."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class Problems(list[Cause]):
    """A list of causes with one method per reason."""

    def required(self, field: str, detail: str = "") -> None:
        """A value is missing."""
        text = "Required value" + (f": {detail}" if detail else "")
        self.append(Cause("FieldValueRequired", text, field))

    def invalid(self, field: str, value: Any, *details: str) -> None:
        """A value breaks a rule, one cause for each detail."""
        for detail in details:
            text = f"Invalid value: {shown(value)}: {detail}"
            self.append(Cause("FieldValueInvalid", text, field))

    def unsupported(self, field: str, value: Any, supported: Iterable[Any]) -> None:
        """A value is none of an enumeration."""
        values = ", ".join(shown(str(item)) for item in supported)
        listed = f": supported values: {values}" if values else ""
        text = f"Unsupported value: {shown(value)}{listed}"
        self.append(Cause("FieldValueNotSupported", text, field))

    def duplicate(self, field: str, value: Any, detail: str = "") -> None:
        """A value must be unique and is there already."""
        text = f"Duplicate value: {shown(value)}" + (f": {detail}" if detail else "")
        self.append(Cause("FieldValueDuplicate", text, field))

    def not_found(self, field: str, value: Any) -> None:
        """A value refers to something that is not there."""
        self.append(Cause("FieldValueNotFound", f"Not found: {shown(value)}", field))

    def forbidden(self, field: str, detail: str) -> None:
        """A value must not be given (or changed) here."""
        self.append(Cause("FieldValueForbidden", f"Forbidden: {detail}", field))

    def too_long(self, field: str, limit: int) -> None:
        """A value has too many bytes."""
        unit = "byte" if limit == 1 else "bytes"
        text = f"Too long: may not be more than {limit} {unit}"
        self.append(Cause("FieldValueTooLong", text, field))

    def too_many(self, field: str, count: int, limit: int) -> None:
        """A list or map has too many elements."""
        unit = "item" if limit == 1 else "items"
        text = f"Too many: {count}: must have at most {limit} {unit}"
        self.append(Cause("FieldValueTooMany", text, field))

    def immutable(self, field: str, value: Any, old: Any) -> None:
        """A value must not change after creation."""
        if value != old:
            self.invalid(field, value, "field is immutable")
