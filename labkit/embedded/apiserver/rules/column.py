"""A printed column, and the columns that many kinds share.

A column is a name, where its description comes from (a field of the kind, or text), and a
function from object and time to cell (see `cells`). Wide columns have priority 1.
"""

from dataclasses import dataclass

from labkit.embedded.apiserver.rules.cells import (
    Cell,
    each_container,
    since,
    value,
)


@dataclass(frozen=True)
class Column:
    """One printed column; `about` is a field path of the kind or, with a blank, the text itself."""

    name: str
    about: str
    cell: Cell
    type: str = "string"
    priority: int = 0
    format: str = ""


NAME = Column("Name", "metadata.name", value("metadata.name"), format="name")


AGE = Column("Age", "metadata.creationTimestamp", since("metadata.creationTimestamp"))


CREATED = Column(
    "Created At", "metadata.creationTimestamp", value("metadata.creationTimestamp"), "date"
)


DEFAULT = (NAME, CREATED)


def template(path: str = "spec.template.spec") -> tuple[Column, Column]:
    """The wide columns of everything that has a pod template."""
    return (
        Column(
            "Containers",
            "Names of each container in the template.",
            each_container("name", path),
            priority=1,
        ),
        Column(
            "Images",
            "Images referenced by each container in the template.",
            each_container("image", path),
            priority=1,
        ),
    )


REPLICAS = (
    NAME,
    Column("Desired", "spec.replicas", value("spec.replicas", 0), "integer"),
    Column("Current", "status.replicas", value("status.replicas", 0), "integer"),
    Column("Ready", "status.readyReplicas", value("status.readyReplicas", 0), "integer"),
    AGE,
    *template(),
)
