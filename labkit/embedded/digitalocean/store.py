"""JSON documents in one SQLite file (WAL): every resource of the account, and small facts.

Each call is one transaction, so a process killed at any moment leaves a state that was true.
No query language: an account holds tens of resources.
"""

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (kind, id)
)
"""


class Store:
    """Documents by kind and id, listed in the order of their creation."""

    def __init__(self, database: Path) -> None:
        # The file holds credentials of clusters: it must be private before SQLite opens it.
        os.close(os.open(database, os.O_CREAT | os.O_RDWR, 0o600))
        self._connection = sqlite3.connect(database, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute(_SCHEMA)

    def put(self, kind: str, key: str, body: dict[str, Any]) -> None:
        """Create or replace a document; a replaced one keeps its place."""
        self._connection.execute(
            "INSERT INTO documents (kind, id, body) VALUES (?, ?, ?) "
            "ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
            (kind, key, json.dumps(body)),
        )

    def get(self, kind: str, key: str) -> dict[str, Any] | None:
        """Return a document or None."""
        row = self._connection.execute(
            "SELECT body FROM documents WHERE kind = ? AND id = ?", (kind, key)
        ).fetchone()
        return None if row is None else dict(json.loads(row[0]))

    def list(self, kind: str) -> list[dict[str, Any]]:
        """Return all documents of a kind."""
        rows = self._connection.execute(
            "SELECT body FROM documents WHERE kind = ? ORDER BY position", (kind,)
        )
        return [json.loads(row[0]) for row in rows]

    def delete(self, kind: str, key: str) -> bool:
        """Remove a document; return whether it was there."""
        done = self._connection.execute(
            "DELETE FROM documents WHERE kind = ? AND id = ?", (kind, key)
        )
        return done.rowcount > 0

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
